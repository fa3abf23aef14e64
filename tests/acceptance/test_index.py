"""The whole group of a set in one backfill, as "Materialize all" in the UI launches it."""

from __future__ import annotations

import io
import json

import pyarrow.parquet as pq
import pytest

NAME = "spots"
GROUP = ["prompts", "tasks", "videos", "index"]
_INDEX = """query { assetNodeOrError(assetKey: {path: ["spots", "index"]}) { ... on AssetNode {
    staleStatus assetMaterializations(limit: 10) { runId tags { key value } } } } }"""


@pytest.mark.parametrize("refused", [(), ("p3",)])
def test_a_group_with_its_index_is_one_backfill(world, tmp_path, refused):
    """The backfill ends, and the index lists every video, is in sync, and leaves out a refused prompt."""
    prompts = tmp_path / f"{NAME}.jsonl"
    texts = {f"p{number}": f"prompt {number}" for number in range(6)}
    texts |= {key: f"{texts[key]} [fault:moderation]" for key in refused}
    rows = [{"id": key, "prompt": text} for key, text in texts.items()]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with world(prompts, "--render-seconds", "1") as system:
        keys = system.partitions(NAME, 6)
        status = system.ended(system.backfill(GROUP, keys, NAME), 240)
        assert status == ("COMPLETED_FAILED" if refused else "COMPLETED_SUCCESS")
        videos = system.statuses(NAME, "videos")
        assert set(videos["failedPartitions"]) == set(refused)
        assert len(videos["materializedPartitions"]) == 6 - len(refused)
        index = system.ask(_INDEX)["assetNodeOrError"]
        assert index["assetMaterializations"], system.runs()
        assert index["staleStatus"] == "FRESH"
        key = f"seedance/{NAME}/index/part-00001.parquet"
        content = system.s3().get_object(Bucket="videos", Key=key)["Body"].read()
        rows = pq.read_table(io.BytesIO(content)).to_pylist()
        assert sorted(row["partition"] for row in rows) == [key for key in texts if key not in refused]
