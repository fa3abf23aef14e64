"""Several references in one cell, and delimiters of tables, as people separate them."""

from __future__ import annotations

import pytest
from prompts_support import PNG, load, load_prompts, only_prompt, problems_of

OTHER = "https://x.example/b,c;d.png?w=1,2"


@pytest.mark.parametrize("between", [" ", "\n", " | ", "; ", ", ", " ;", ",\n", ";", ","])
@pytest.mark.parametrize("end", ["", ";", ", "])
def test_links_in_a_cell_are_separated_as_people_do(tmp_path, between, end):
    """Commas and semicolons between links are not sent as parts of them; those inside a link are."""
    cell = f"{PNG}{between}{OTHER}{end}"
    table = f'prompt,mode,image_urls\nA cat,omni_reference,"{cell}"\n'
    assert only_prompt(load(tmp_path, "a.csv", table)).request.image_urls == (PNG, OTHER)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (PNG, "a text"),
        ([{"url": PNG}], "a list with a mapping in it"),
        ([[PNG]], "a list with a list in it"),
        ({"0": PNG}, "a mapping"),
    ],
)
def test_references_that_are_not_a_list_are_one_error(tmp_path, value, kind):
    """The number of references, and mentions of them, are not complained about as well."""
    prompt = {"prompt": "@image1 walks", "mode": "omni_reference", "image_urls": value}
    example = '["https://cdn.example.com/cat.png"]'
    message = f"is {kind}; it must be a list of URLs, s3:// addresses or paths, such as {example}"
    assert problems_of(load_prompts(tmp_path, prompt)) == [("prompt 1", "image_urls", message)]


@pytest.mark.parametrize("header", ["Prompt;ID;Mood", "PROMPT\tID", "id|Shot prompt|n"])
def test_columns_are_named_one_by_one_without_a_column_of_prompts(tmp_path, header):
    """The remedy names a column, not the whole header, which would order whole rows as prompts."""
    [(_, _, message)] = problems_of(load(tmp_path, "a.csv", f"{header}\nx\n"))
    column = next(
        name for name in header.replace("\t", ";").replace("|", ";").split(";") if "rompt" in name.lower()
    )
    assert message.endswith(f"columns: {{prompt: '{column}'}}")


@pytest.mark.parametrize("url", [f"{PNG},{PNG}", f"{PNG}; {PNG}", f"{PNG},", f"{PNG};s3://b/cat.png"])
def test_several_links_in_one_text_are_not_one_link(tmp_path, url):
    """In a list of a set, the vendor would get all of them as one link."""
    prompt = {"prompt": "x", "mode": "omni_reference", "image_urls": [url]}
    [(_, _, message)] = problems_of(load_prompts(tmp_path, prompt))
    assert message.endswith("has a comma or a semicolon after a link; write each link as an item of the list")


@pytest.mark.parametrize("url", [f" {PNG}\n", f"{PNG}\u00a0", f"\ufeff{PNG}", f"{PNG}\u200b"])
def test_blanks_around_a_link_are_not_sent(tmp_path, url):
    """Cells and JSON texts often end with a blank, which may be invisible."""
    prompt = {"prompt": "x", "mode": "omni_reference", "image_urls": [url]}
    assert only_prompt(load_prompts(tmp_path, prompt)).request.image_urls == (PNG,)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("Cat.png", "there is 'cat.png', which differs in case or in how accents are written"),
        ("ca\u0308t.PNG", "there is 'c\\xe4t.png', which differs in case or in how accents are written"),
        ("refs\\cat.png", "write / in place of \\"),
        ("cats.png", "links begin with https://"),
        ("refs/cat.png", "links begin with https://"),
    ],
)
def test_a_file_with_nearly_that_name_is_named(tmp_path, path, reason):
    """A path that works on one system alone is named, with the file that is there."""
    for name in ("cat.png", "c\u00e4t.png"):
        (tmp_path / name).write_bytes(b"?")
    prompt = {"prompt": "x", "mode": "omni_reference", "image_urls": [path]}
    [(_, _, message)] = problems_of(load_prompts(tmp_path, prompt))
    assert message.endswith(f"does not exist in the prompt file's folder ({reason})")


@pytest.mark.parametrize(
    "text",
    [
        ";prompt\n0;A cat, running\n",
        "\tprompt\n0\tA cat, running\n",
        "|prompt\n0|A cat, running\n",
        ";;\n;prompt\n;A cat, running\n",
        "prompt\t\t\nA cat, running\t\t\n",
        '"";"prompt"\n"0";"A cat, running"\n',
        "\r\rprompt;mood\rA cat, running;\r",
    ],
)
def test_the_only_column_beside_an_index_or_an_empty_one_is_read(tmp_path, text):
    """The number of a row, and its delimiter, are not ordered as a part of the text."""
    assert only_prompt(load(tmp_path, "a.csv", text)).request.prompt == "A cat, running"


@pytest.mark.parametrize(
    ("above", "place"),
    [
        ("My shots\n\n", "line 3"),
        ("# spring\n", "line 2"),
        ("My shots;;\n;;\n", "line 3"),
        ("Shots, spring\n", "line 2"),
    ],
)
def test_a_title_above_the_header_is_named(tmp_path, above, place):
    """The error says where the header is."""
    text = f"{above}id;prompt\ncat;A cat\n"
    text = text.replace(";", ",") if ";" not in above else text
    [(_, _, message)] = problems_of(load(tmp_path, "a.csv", text))
    assert message.endswith(f"; {place} has it: remove what stands above")


def test_a_column_in_another_language_is_likely_the_prompts(tmp_path):
    """The remedy names it."""
    [(_, _, message)] = problems_of(load(tmp_path, "a.csv", "编号,提示词\n1,A cat\n"))
    assert message.endswith("columns: {prompt: '提示词'}")
