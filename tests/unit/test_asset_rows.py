"""Values of assets as rows of prompts: data frames, Arrow tables, lists."""

from __future__ import annotations

from datetime import date

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
