"""Values of assets as rows of prompts: data frames, Arrow tables, lists."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from seedance_dagster.prompts.asset_rows import set_document, table_of_value
from seedance_dagster.prompts.formats.tables import Columns
from seedance_dagster.prompts.problems import PromptSetError, UnreadableError

ROWS = [
    {
        "id": "cat",
        "prompt": "a cat",
        "duration": 5.0,
        "image_urls": ["s3://a/b.png"],
        "made": date(2026, 4, 6),
    },
    {"id": "dog", "prompt": "a dog", "duration": float("nan"), "image_urls": None, "made": None},
]


class PandasFrame:
    """A value with the part of a pandas DataFrame that is used."""

    columns = ("id", "prompt")

    def to_dict(self, orient: str) -> list[dict[str, object]]:
        assert orient == "records"
        return [{**row, "seed": np.int64(7), "image_urls": np.array(row["image_urls"] or [])} for row in ROWS]


class PolarsFrame:
    """A value with the part of a Polars DataFrame that is used."""

    def to_dicts(self) -> list[dict[str, object]]:
        return ROWS


@pytest.mark.parametrize(
    "value", [ROWS, tuple(ROWS), pa.Table.from_pylist(ROWS), PandasFrame(), PolarsFrame()]
)
def test_every_kind_of_table_gives_the_same_prompts(value):
    """Cells without a value are left out, numbers of NumPy are numbers, further columns are tags."""
    document = set_document("spots", table_of_value(value, "x"), Columns(), {"defaults": {}}, "x")
    cat, dog = document["prompts"]
    assert (cat["id"], cat["prompt"], cat["duration"]) == ("cat", "a cat", 5)
    assert cat["image_urls"] == ["s3://a/b.png"]
    assert cat["tags"]["made"] == "2026-04-06"
    assert "duration" not in dog
    assert (document["name"], document["on_bad_rows"]) == ("spots", "skip")


def test_what_is_no_table_is_said_in_words():
    """A value that is not a table gives a message with what is allowed; a bad row keeps its place."""
    with pytest.raises(
        UnreadableError, match="has a value of the type int; allowed are a pandas or Polars DataFrame"
    ):
        table_of_value(5, "x")
    with pytest.raises(UnreadableError, match="needs a column named prompt; its columns are 'text'"):
        set_document("spots", table_of_value([{"text": "a cat"}], "x"), Columns(), {}, "x")
    with pytest.raises(PromptSetError, match="column 'Duration' resembles the field duration"):
        set_document("spots", table_of_value([{"prompt": "a", "Duration": 5}], "x"), Columns(), {}, "x")


def test_bytes_are_left_out_and_named():
    """Neither the text of a bytes literal nor a picture is ordered or kept."""
    rows = [{"prompt": "a cat", "mask": b"..."}, {"prompt": b"a dog"}]
    table = table_of_value(rows, "x")
    assert [str(problem) for problem in table.problems] == [
        "x: warning: column 'mask' holds bytes, which cannot be a tag; it is left out",
        "x: warning: column 'prompt' holds bytes, which cannot be a tag; it is left out",
    ]
    assert [dict(cells) for _, cells in table.rows] == [{"prompt": "a cat"}, {}]


def test_a_set_of_values_has_the_same_order_in_every_process():
    """References in another order would be another request."""
    names = {f"s3://a/{number}.png" for number in range(20)}
    [(_, cells)] = table_of_value([{"prompt": "x", "image_urls": names}], "x").rows
    assert cells["image_urls"] == sorted(names)


def test_two_columns_of_one_name_are_an_error():
    """A frame with two columns of one name would lose one of them without a word."""
    with pytest.raises(UnreadableError, match="has two columns named 'prompt'; rename one of them"):
        table_of_value(pa.table([["a"], ["b"]], names=["prompt", "prompt"]), "x")


def test_decimals_of_a_database_are_whole_numbers():
    """Warehouses have decimals where other tables have whole numbers; fractions stay as they are."""
    rows = [{"prompt": "a cat", "id": Decimal(7), "duration": Decimal("5.00"), "weight": Decimal("1.50")}]
    [(_, cells)] = table_of_value(rows, "x").rows
    assert dict(cells) == {"prompt": "a cat", "id": 7, "duration": 5, "weight": "1.50"}


def test_bytes_in_the_column_of_a_field_are_an_error():
    """Pictures in image_urls are not left out: a video of the text alone would be paid for."""
    table = table_of_value([{"prompt": "a cat", "image_urls": b"..."}], "x")
    with pytest.raises(
        PromptSetError, match="column 'image_urls' holds bytes, which the field does not take"
    ):
        set_document("spots", table, Columns(), {}, "x")


def test_a_list_of_texts_is_a_list_of_prompts():
    """As in a JSON file; a list of anything else fails the run, and the last prompts stay."""
    document = set_document("spots", table_of_value(["a cat", "a dog"], "x"), Columns(), {}, "x")
    assert [row["prompt"] for row in document["prompts"]] == ["a cat", "a dog"]
    with pytest.raises(UnreadableError, match="is a list of values of the type list; allowed are dicts"):
        table_of_value([["a cat"]], "x")


def test_a_row_that_cannot_be_used_keeps_its_place():
    """The numbers in the check's messages are those of the asset's rows."""
    rows = [{"prompt": "a cat"}, None, {"prompt": "a dog"}]
    document = set_document("spots", table_of_value(rows, "x"), Columns(), {}, "x")
    assert document["prompts"] == [{"prompt": "a cat"}, None, {"prompt": "a dog"}]
