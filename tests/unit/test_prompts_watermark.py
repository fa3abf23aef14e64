"""`remove_watermark` in prompt files: its values, its price and its effect on the identity."""

from __future__ import annotations

import pytest
from prompts_support import load, load_prompts, only_prompt, problems_of

from seedance_dagster.prompts.identity import fingerprint
from seedance_dagster.prompts.price_file import PriceFileError, load_catalog

PREVIEW = {"id": "a", "prompt": "a cat", "task_type": "seedance-2-preview"}
ROW = "type: remove-watermark, usd_per_second: 0.02"


@pytest.fixture
def prices(tmp_path):
    """The file of a team that knows the price of a removal."""
    return write(tmp_path, ROW)


def write(folder, row):
    path = folder / "prices.yaml"
    path.write_text(f"prices:\n  - {{{row}}}\n")
    return str(path)


@pytest.mark.parametrize("task_type", ["seedance-2-preview", "seedance-2-fast"])
def test_any_type_may_ask_for_it(tmp_path, prices, task_type):
    """Any task type may ask for the removal, which is not a field of the first task."""
    asked = PREVIEW | {"task_type": task_type, "remove_watermark": True}
    request = only_prompt(load_prompts(tmp_path, asked, prices=prices)).request
    assert request.remove_watermark
    assert "remove_watermark" not in request.to_wire()["input"]


def test_false_is_the_same_as_nothing(tmp_path, prices):
    """Spelled out or left out, the request is one; with the removal it is another."""
    prints = [
        fingerprint(only_prompt(load_prompts(tmp_path, PREVIEW | fields, prices=prices)).request)
        for fields in ({}, {"remove_watermark": False}, {"remove_watermark": True})
    ]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(("cell", "removed"), [("true", True), ("FALSE", False), ("", False)])
def test_a_column_of_a_table(tmp_path, prices, cell, removed):
    """A column of a table sets the removal, as another one sets the sound."""
    text = f"prompt,task_type,remove_watermark\na cat,seedance-2-preview,{cell}\n"
    assert only_prompt(load(tmp_path, "spots.csv", text, prices=prices)).request.remove_watermark is removed


@pytest.mark.parametrize("value", ["yes", 0, 1, [True]])
def test_what_it_may_not_be(tmp_path, prices, value):
    """The message says what is allowed."""
    [(place, field, message)] = problems_of(
        load_prompts(tmp_path, PREVIEW | {"remove_watermark": value}, prices=prices)
    )
    assert ("(a)" in str(place), field) == (True, "remove_watermark")
    assert message.endswith("allowed are true and false")


def test_without_a_price_the_prompt_is_an_error(tmp_path):
    """File, prompt and field are named, and the row to add."""
    loaded = load_prompts(tmp_path, PREVIEW | {"remove_watermark": True})
    assert loaded.sets == ()
    [problem] = loaded.problems
    assert (problem.source.endswith("spots.json"), problem.field) == (True, "remove_watermark")
    assert "{type: remove-watermark, usd_per_second: 0.02}" in problem.message
    assert "SEEDANCE_PRICES" in problem.message


def test_the_price_is_one_for_all_resolutions(tmp_path):
    """A row without a resolution is enough, and one with a resolution is an error."""
    catalog = load_catalog(write(tmp_path, ROW))
    assert catalog.priced_types[-1] == "remove-watermark"
    assert "remove-watermark" not in catalog.task_types
    with pytest.raises(PriceFileError) as caught:
        load_catalog(write(tmp_path, f"{ROW}, resolution: 480p"))
    assert [problem.field for problem in caught.value.problems] == ["resolution"]
    with pytest.raises(PriceFileError) as caught:
        load_catalog(write(tmp_path, "type: seedance-2, usd_per_second: 0.02"))
    assert [problem.field for problem in caught.value.problems] == ["resolution"]


def test_no_prompt_has_the_type_of_a_removal(tmp_path, prices):
    """It is asked for with `remove_watermark`."""
    asked = PREVIEW | {"task_type": "remove-watermark"}
    [(_, field, _), *_] = problems_of(load_prompts(tmp_path, asked, prices=prices))
    assert field == "task_type"
