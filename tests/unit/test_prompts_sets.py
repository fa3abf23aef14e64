"""Prompt sets: ids, partitions, fingerprints and reports."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prompts_support import MP4, PNG, load_prompts, problems_of

from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.prompts import (
    Problem,
    Prompt,
    PromptSet,
    PromptSetError,
    format_problems,
)
from seedance_dagster.prompts.identity import fingerprint, normalized_text
from seedance_dagster.prompts.slugs import ID_PATTERN, NAME_PATTERN, slug_id, slug_name

REQUEST = GenerationRequest(task_type="seedance-2-fast", prompt="A cat", mode=Mode.TEXT_TO_VIDEO)
texts = st.text(st.characters(exclude_categories=()))


def changed(**fields) -> GenerationRequest:
    return REQUEST.model_copy(update=fields)


@pytest.mark.parametrize(
    "other",
    [
        changed(aspect_ratio="16:9"),
        changed(resolution="480p"),
        changed(audio=True),
        changed(aspect_ratio="16:9", resolution="480p", audio=True),
        changed(image_urls=()),
    ],
)
def test_documented_defaults_do_not_change_the_fingerprint(other):
    """Setting a field to the vendor's default changes nothing."""
    assert fingerprint(other) == fingerprint(REQUEST)


def test_whatever_changes_the_video_changes_the_fingerprint():
    """Every field that affects the video counts, and so does the order of references."""
    frames = changed(mode=Mode.FIRST_LAST_FRAMES, image_urls=(PNG,))
    omni = changed(mode=Mode.OMNI_REFERENCE, image_urls=(PNG,))
    different = [
        REQUEST,
        changed(prompt="a cat"),
        changed(task_type="seedance-2"),
        changed(duration=6),
        changed(aspect_ratio="9:16"),
        changed(resolution="720p"),
        changed(audio=False),
        frames,
        frames.model_copy(update={"image_urls": (PNG, MP4)}),
        frames.model_copy(update={"image_urls": (MP4, PNG)}),
        omni,
        omni.model_copy(update={"video_urls": (PNG,), "image_urls": ()}),
        omni.model_copy(update={"audio_urls": (PNG,), "image_urls": ()}),
        omni.model_copy(update={"aspect_ratio": "1:1"}),
    ]
    assert len({fingerprint(request) for request in different}) == len(different)


def test_an_ignored_ratio_does_not_count():
    """With first and last frames the image decides the ratio, so the field does not count."""
    frames = changed(mode=Mode.FIRST_LAST_FRAMES, image_urls=(PNG,))
    assert fingerprint(frames) == fingerprint(frames.model_copy(update={"aspect_ratio": "9:16"}))


def test_fingerprints_are_fixed_for_good():
    """A new version of the package recognizes what was paid for under an old one."""
    assert fingerprint(REQUEST) == "791e80d1e90b141503e8e418d24c90b040e8d278fe746524182726ecfebd9212"
    omni = changed(
        mode=Mode.OMNI_REFERENCE, prompt="猫 @image1", image_urls=(PNG,), aspect_ratio="9:16", audio=False
    )
    assert fingerprint(omni) == "ed3e57a37cc0079a6a709245684e443d9a1deae853e45a51a0bcd331c043e4b4"


@given(texts)
@example("")
@example("猫")
@example("--- !!! ---")
@example("\ud800")
def test_ids_are_stable_and_allowed(text):
    """Any text has an id that may be a partition key, always the same one."""
    first, second = slug_id(text), slug_id(text, 2)
    assert ID_PATTERN.fullmatch(first)
    assert ID_PATTERN.fullmatch(second)
    assert (slug_id(text), second) == (first, f"{first}-2")


@given(st.sets(texts.map(normalized_text), min_size=2, max_size=10))
def test_different_texts_have_different_ids(several):
    """Texts that read alike have different ids, too."""
    assert len({slug_id(text) for text in several}) == len(several)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("A cat in the garden", "a-cat-in-the-garden-"),
        ("  Éléphant, 3 x!  ", "elephant-3-x-"),
        ("猫", "prompt-"),
        ("word " * 20, "word-word-word-word-word-word-word-word-"),
    ],
)
def test_ids_begin_with_the_texts_words(text, start):
    """A person recognizes the prompt by its id."""
    assert slug_id(text).startswith(start)
    assert len(slug_id(text)) == len(start) + 8


@given(texts)
@example("1" * 80)
@example("_")
def test_names_from_files_are_allowed_or_empty(text):
    """A file's name becomes an allowed name of a set, or an empty one."""
    name = slug_name(text)
    assert name == "" or NAME_PATTERN.fullmatch(name)


def test_equal_texts_have_different_ids(tmp_path):
    """A repeated text is numbered, explicit ids are kept, and a clash is reported for both prompts."""
    text = {"prompt": "A cat"}
    [prompt_set] = load_prompts(tmp_path, text, {**text, "duration": 6}, {**text, "id": "mine"}, text).sets
    first = slug_id("A cat")
    assert [prompt.id for prompt in prompt_set.prompts] == [first, f"{first}-2", "mine", f"{first}-3"]
    clash = load_prompts(tmp_path, text, {"prompt": "A dog", "id": first})
    assert [(error.prompt, error.field) for error in clash.errors] == [
        ("prompt 1", "id"),
        (f"prompt 2 ({first})", "id"),
    ]


def test_ids_may_be_numbers(tmp_path):
    """A number is an id by its digits."""
    [prompt_set] = load_prompts(tmp_path, {"prompt": "x", "id": 7}, {"prompt": "y", "id": "07"}).sets
    assert [prompt.id for prompt in prompt_set.prompts] == ["7", "07"]


def test_partitions_of_a_set():
    """There is one partition per take, in the order of the prompts; takes share fingerprint and tags."""
    cat = Prompt(id="cat", request=REQUEST, takes=3, tags={"a": "b"})
    dog = Prompt(id="dog", request=changed(prompt="A dog"))
    partitions = PromptSet("pets", (cat, dog)).partitions
    assert list(partitions) == ["cat", "cat.t2", "cat.t3", "dog"]
    last = partitions["cat.t3"]
    assert (last.key, last.prompt_id, last.take, last.tags) == ("cat.t3", "cat", 3, {"a": "b"})
    assert len({partition.fingerprint for partition in partitions.values()}) == 2
    assert last.fingerprint == fingerprint(REQUEST)
    assert partitions["dog"].take == 1


def test_the_digest_of_a_set_changes_with_whatever_its_partitions_ask_for():
    """So a set of the same digest need not be compared with the ledger; texts may be anything."""
    cat = Prompt(id="cat", request=REQUEST, tags={"a": "b", "c": "d"})
    others = [
        replace(cat, id="dog"),
        replace(cat, request=changed(prompt="A cat \ud800")),
        replace(cat, takes=2),
        replace(cat, fresh=True),
        replace(cat, tags={"a": "b"}),
        replace(cat, final=REQUEST),
        replace(cat, rights={"image1": {"licence": "CC0"}}),
    ]
    sets = [PromptSet("pets", (prompt,)) for prompt in (cat, *others)]
    sets.append(sets[6].with_accepted({"cat"}))
    assert len({prompt_set.digest for prompt_set in sets}) == len(sets)
    sorted_otherwise = replace(cat, tags={"c": "d", "a": "b"})
    assert PromptSet("pets", (sorted_otherwise,), source="elsewhere").digest == sets[0].digest


@pytest.mark.parametrize(
    ("name", "ids", "message"),
    [
        ("Pets", (), "the name of a prompt set is 'Pets'; allowed are 1 to 63 lower-case letters"),
        ("", (), "the name of a prompt set is ''"),
        ("pets", ("a,b",), "the id of a prompt of pets is 'a,b'; allowed are 1 to 120 letters"),
        ("pets", ("a", "b", "a"), "two prompts of pets have the id 'a'"),
    ],
)
def test_a_set_made_in_python_is_checked(name, ids, message):
    """Names that are not allowed in asset keys or partition keys are refused when a set is created."""
    with pytest.raises(ValueError, match=message):
        PromptSet(name, tuple(Prompt(id=prompt_id, request=REQUEST) for prompt_id in ids))


def test_reports_name_the_place_and_put_errors_first():
    """A report has one line per problem: file, prompt, field, what is wrong."""
    warning = Problem(
        source="a.yaml", prompt="prompt 1", field="ratio", message="is ignored", severity="warning"
    )
    error = Problem(source="b.yaml", message="contains no prompts")
    assert format_problems([warning, error]) == (
        "b.yaml contains no prompts\na.yaml, prompt 1: warning: ratio is ignored"
    )
    raised = PromptSetError(iter([error]))
    assert (str(raised), raised.problems) == ("b.yaml contains no prompts", (error,))


def test_all_problems_of_a_file_are_reported_at_once(tmp_path):
    """Loading reports every problem of every prompt, and those of the file."""
    loaded = load_prompts(
        tmp_path,
        {
            "id": "cat",
            "prompt": "@image1",
            "duration": 20,
            "aspect_ratio": "2:1",
            "takes": 0,
            "colour": "red",
        },
        "just a text",
        {"prompt": "fine"},
        {
            "id": "cat",
            "mode": "omni_reference",
            "image_urls": [PNG.replace("png", "gif")],
            "prompt": "x" * 5000,
        },
    )
    assert [(prompt, field) for prompt, field, _ in problems_of(loaded)] == [
        ("prompt 2", None),
        ("prompt 1 (cat)", "colour"),
        ("prompt 1 (cat)", "id"),
        ("prompt 1 (cat)", "takes"),
        ("prompt 1 (cat)", "duration"),
        ("prompt 1 (cat)", "aspect_ratio"),
        ("prompt 1 (cat)", "prompt"),
        ("prompt 4 (cat)", "id"),
        ("prompt 4 (cat)", "prompt"),
        ("prompt 4 (cat)", "image_urls"),
    ]
