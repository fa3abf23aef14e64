"""Reading an index as its users do, and comparing it with the ledger."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import pyarrow.parquet as pq
from stores import MemoryStore

from seedance_dagster.engine.services import Services
from seedance_dagster.storage.index import content_version, index_row, row_digest
from seedance_dagster.storage.index_files import IndexManifest

FOLDER = "p/spots/index/"
MANIFEST = f"{FOLDER}_manifest.json"
PART = f"{FOLDER}part-00001.parquet"


def rows_of(store: MemoryStore, folder: str = FOLDER) -> list[dict[str, Any]]:
    """Return the rows of all parts in the folder, also of those that the manifest does not name."""
    rows: list[dict[str, Any]] = []
    for key in sorted(store.objects):
        if key.startswith(folder) and key.endswith(".parquet"):
            rows += pq.read_table(io.BytesIO(store.objects[key])).to_pylist()
        elif key.startswith(folder) and key.endswith(".jsonl"):
            rows += map(json.loads, store.objects[key].splitlines())
    return rows


def partitions_in(store: MemoryStore) -> list[str]:
    """Return the partitions that a reader of all parts finds."""
    return [row["partition"] for row in rows_of(store)]


def manifest_of(store: MemoryStore) -> IndexManifest:
    """Return the manifest of the set `spots`."""
    return IndexManifest.model_validate_json(store.objects[MANIFEST])


def assert_current(services: Services, prompt_set: str = "spots") -> None:
    """Assert that a reader gets what the ledger has, each video once, and that the manifest says so."""
    store = services.store
    videos = services.ledger.videos.current(prompt_set)
    wanted = [index_row(prompt_set, video, store.uri) for video in videos]
    rows = rows_of(store)
    by_partition = sorted(rows, key=lambda row: row["partition"])
    assert by_partition == sorted(wanted, key=lambda row: row["partition"])
    manifest = manifest_of(store)
    assert manifest.version == content_version(map(row_digest, wanted))
    assert manifest.videos == len(wanted)
    assert sum(part.points_charged for part in manifest.parts) == sum(
        video.order.points_charged or 0 for video in videos
    )
    for part in manifest.parts:
        body = store.objects[FOLDER + part.path]
        assert (part.size_bytes, part.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    listed = {key.rpartition("/")[2] for key in store.objects if key.startswith(FOLDER)}
    assert listed == {"_manifest.json", *(part.path for part in manifest.parts)}
