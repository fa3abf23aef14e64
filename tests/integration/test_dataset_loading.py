"""Exported datasets in the hands of others: `datasets`, webdataset, DuckDB and pandas."""

from __future__ import annotations

import gc
import json
import subprocess
import sys

import pytest
from dataset_support import FILE_FORMATS, Shop
from stores import open_store, running_s3

from seedance_dagster.datasets.export.errors import ExportError
from seedance_dagster.datasets.export.plan import Format
from seedance_dagster.ledger.verdict import Verdict

HALVES = "train=0.5,test=0.5"
_WITH_DATASETS = """
import json, pathlib, sys
from datasets import Video, load_dataset
from datasets.utils.logging import disable_progress_bar
disable_progress_bar()
seen = {}
for name, column in (("videofolder", "video"), ("webdataset", "mp4"), ("parquet", "")):
    clips = load_dataset(f"{sys.argv[1]}/{name}", cache_dir=f"{sys.argv[1]}/cache")
    if column:
        clips = clips.cast_column(column, Video(decode=False))
    def size(row):
        return len(row[column]["bytes"] or pathlib.Path(row[column]["path"]).read_bytes())
    rows = [row for split in clips.values() for row in split]
    seen[name] = {
        "splits": {split: len(rows) for split, rows in clips.items()},
        "captions": sorted(row.get("json", row)["caption"] for row in rows),
        "bytes": sum(map(size, rows)) if column else 0,
    }
print(json.dumps(seen))
"""


@pytest.fixture
def exported(orders, tmp_path) -> Shop:
    """Three accepted clips in two splits, in each format of files; one has no reported charge."""
    shop = Shop(orders)
    shop.accepted("cat", "cat.t2", prompt="A cat", tags={"campaign": "spring"})
    shop.accepted("dog", charged=None)
    shop.make("owl")
    shop.judge(Verdict.DISCARDED, "owl")
    for form in FILE_FORMATS:
        shop.export(tmp_path / "ds" / form, form, HALVES)
    return shop


def test_tables_are_read_by_duckdb_and_pandas(exported, tmp_path):
    """DuckDB and pandas read all splits as one table with types, and tags as JSON."""
    import duckdb
    import pandas as pd

    folder = tmp_path / "ds" / "parquet"
    query = f"SELECT split, count(*), sum(cost_usd) FROM '{folder}/*.parquet' GROUP BY split ORDER BY 2"
    [few, many] = duckdb.sql(query).fetchall()
    assert (few[1:], many[1:]) == ((1, None), (2, 0.8))
    clips = pd.read_parquet(folder / f"{many[0]}.parquet")
    assert [json.loads(tags)["campaign"] for tags in clips["tags"]] == ["spring", "spring"]
    assert list(clips["uri"].str[:10]) == ["s3://video"] * 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves files open
def test_shards_are_streamed_by_webdataset(exported, tmp_path):
    """Each clip is streamed with its row, under a key without a dot."""
    import webdataset as wds

    shards = sorted(map(str, (tmp_path / "ds" / "webdataset").rglob("*.tar")))
    clips = {clip["__key__"]: clip for clip in wds.WebDataset(shards, shardshuffle=False)}
    gc.collect()
    assert set(clips) == {"cat", "cat~t2", "dog"}
    assert (
        clips["dog"]["mp4"]
        == exported.store.objects[next(key for key in exported.store.objects if "/dog/" in key)]
    )
    assert json.loads(clips["cat~t2"]["json"])["partition"] == "cat.t2"


@pytest.mark.long
def test_every_format_is_loaded_by_datasets(exported, tmp_path):
    """`datasets` loads every format by the folder's name alone, without a network."""
    folder = str(tmp_path / "ds")
    environ = {"HF_HUB_OFFLINE": "1", "HF_HOME": f"{folder}/home", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", _WITH_DATASETS, folder],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name, seen in json.loads(done.stdout).items():
        assert sorted(seen["splits"].values()) == [1, 2], name
        assert seen["captions"] == ["A cat", "A cat", "dog"], name
        assert seen["bytes"] == (0 if name == "parquet" else 300 * len("catcat.t2dog")), name


@pytest.mark.long
def test_a_dataset_goes_to_s3_and_from_there(exported, tmp_path):
    """A second export writes nothing; it deletes an outdated file, but no file of another program."""
    (tmp_path / "s3" / "training").mkdir(parents=True)
    with running_s3(tmp_path / "s3") as server:
        store = open_store(server, "training", "")
        exported.store.client = store.client
        for form in (Format.VIDEOFOLDER, Format.WEBDATASET):
            place = f"s3://training/{form}"
            assert exported.export(place, form, HALVES).written
            assert exported.export(place, form, HALVES).unchanged
        store.put_bytes("videofolder/notes.txt", b"mine", content_type="text/plain", metadata={})
        exported.judge(Verdict.DISCARDED, "cat.t2")
        assert exported.export("s3://training/videofolder", Format.VIDEOFOLDER, HALVES).deleted == 1
        assert {key.rpartition("/")[2] for key in store.listing("videofolder")} == {
            ".seedance-dataset.json",
            "README.md",
            "cat.mp4",
            "dog.mp4",
            "metadata.jsonl",
            "notes.txt",
        }
        with pytest.raises(ExportError, match="s3://training/webdataset holds another dataset: spots as web"):
            exported.export("s3://training/webdataset", Format.PARQUET)
