"""The files of an index as DuckDB, pandas and `datasets` read them, and the formats of parts."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from index_support import FOLDER
from stores import MemoryStore

from seedance_dagster.engine import index_writer
from seedance_dagster.engine.indexing import refresh_index
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.videos import CurrentVideo
from seedance_dagster.storage.index import COLUMNS, index_row, to_jsonl
from seedance_dagster.storage.index_files import part_format

_WITH_DATASETS = """
import json, sys
from datasets import load_dataset
from datasets.utils.logging import disable_progress_bar
disable_progress_bar()
rows = load_dataset("parquet", data_files=f"{sys.argv[1]}/*.parquet", cache_dir=f"{sys.argv[1]}/.cache")
print(json.dumps([[row["partition"], row["tags"], row["scores"]] for row in rows["train"]]))
"""


@pytest.fixture
def folder(ledger, clock, orders, monkeypatch, tmp_path) -> Path:
    """A copy of an index of two parts; one row has no charge."""
    monkeypatch.setattr(index_writer, "PART_ROWS", 2)
    store = MemoryStore(prefix="p")
    orders.make_many(State.STORED, "cat", "dog", tags={"campaign": "spring"})
    orders.make(State.STORED, "elk", charged=None)
    refresh_index(
        Services(ledger=ledger, open_client=lambda: None, store=store, clock=clock), "spots", owner="w"
    )
    place = tmp_path / "index"
    place.mkdir()
    for key, body in store.objects.items():
        if key.startswith(FOLDER):
            (place / key.removeprefix(FOLDER)).write_bytes(body)
    return place


def test_the_parts_are_one_table_for_duckdb_and_pandas(folder):
    """DuckDB reads a glob, pandas the folder, which leaves out the manifest; tags are key and value."""
    import duckdb
    import pandas as pd

    rows = duckdb.sql(
        f"SELECT partition, cost_usd, [tag.value FOR tag IN tags IF tag.key = 'campaign'], verdict "
        f"FROM '{folder}/*.parquet' ORDER BY partition"
    ).fetchall()
    assert rows == [
        ("cat", 0.4, ["spring"], "undecided"),
        ("dog", 0.4, ["spring"], "undecided"),
        ("elk", None, [], "undecided"),
    ]
    videos = pd.read_parquet(folder)
    assert list(videos["partition"]) == ["cat", "dog", "elk"]
    assert videos["tags"].map(lambda tags: {tag["key"]: tag["value"] for tag in tags}).tolist() == [
        {"campaign": "spring"},
        {"campaign": "spring"},
        {},
    ]


@pytest.mark.long
def test_the_parts_are_one_table_for_datasets(folder):
    """`datasets` loads the parts as one table by a glob, without a network."""
    environ = {"HF_HUB_OFFLINE": "1", "HF_HOME": f"{folder}/.home", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", _WITH_DATASETS, str(folder)],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == [
        ["cat", [{"key": "campaign", "value": "spring"}], []],
        ["dog", [{"key": "campaign", "value": "spring"}], []],
        ["elk", [], []],
    ]


def test_both_formats_have_the_same_rows(orders, monkeypatch):
    """They agree in every row, column and type, and the same rows give the same bytes in any order."""
    rows = [
        index_row("spots", CurrentVideo(order.partition, order, order.tags), str)
        for order in (
            orders.make(State.STORED, "cat", tags={"a": "b"}),
            orders.make(State.STORED, "dog", charged=None),
        )
    ]
    parquet = part_format()
    table = pq.read_table(io.BytesIO(parquet.encode(rows)))
    assert table.column_names == [column.name for column in COLUMNS]
    assert table.to_pylist() == rows
    assert str(table.schema.field("stored_at").type) == "timestamp[us, tz=UTC]"
    assert str(table.schema.field("points_charged").type) == "int64"
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    lines = part_format()
    assert lines.encode(rows) == to_jsonl(rows)
    for form in (parquet, lines):
        whole = form.encode(rows)
        assert form.encode(rows[::-1]) == whole
        assert form.merge(form.encode(rows[:1]), [], rows[1:]) == whole
        assert form.merge(whole, ["dog"], rows[1:]) == whole
        assert form.merge(whole, ["cat", "dog"], []) == form.encode([])
        assert form.partitions(whole) == ["cat", "dog"]
        assert form.figures(whole) == (2, rows[0]["points_charged"])
        assert form.figures(form.encode([])) == (0, 0)


@pytest.mark.parametrize("pyarrow", [True, False])
def test_a_part_that_is_damaged_or_has_other_columns_is_not_merged(monkeypatch, pyarrow):
    """A part that is damaged or has other columns is written again as a whole."""
    if not pyarrow:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    form = part_format()
    for body in (b"{", b'{"uri": ""}\n', _other_parquet()):
        with pytest.raises(ValueError, match=r".+"):
            form.merge(body, [], [])
        with pytest.raises(ValueError, match=r".+"):
            form.partitions(body)


def _other_parquet() -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.table({"uri": pa.array([], pa.string())}), content)
    return content.getvalue()
