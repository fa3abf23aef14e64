"""A backfill of a set with an asset downstream of its videos that runs once for many of them (d7)."""

from __future__ import annotations

import json

DEFINITIONS = """
import dagster as dg

from seedance_dagster import Video, prompt_partitions
from seedance_dagster.defs.definitions import definitions_from_environ


@dg.asset(
    ins={"videos": dg.AssetIn(key=["spots", "videos"])},
    partitions_def=prompt_partitions("spots"),
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def captions(context: dg.AssetExecutionContext, videos: dict[str, Video]) -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"captions": dg.MetadataValue.json(sorted(videos))})


defs = dg.Definitions.merge(definitions_from_environ(), dg.Definitions(assets=[captions]))
"""
_EVENTS = """query { assetNodeOrError(assetKey: {path: ["captions"]}) { ... on AssetNode {
    assetMaterializations(limit: 10) { runId partition metadataEntries {
        ... on JsonMetadataEntry { jsonString } } } } } }"""


def test_an_asset_behind_the_videos_is_made_in_the_same_backfill(world, tmp_path):
    """The asset gets every video, and each partition of the set keeps its own metadata."""
    prompts, definitions = tmp_path / "spots.jsonl", tmp_path / "team.py"
    texts = {f"p{number}": f"prompt {number}" for number in range(4)}
    prompts.write_text("".join(json.dumps({"id": key, "prompt": text}) + "\n" for key, text in texts.items()))
    definitions.write_text(DEFINITIONS)
    with world(prompts, "--render-seconds", "1", definitions=definitions) as system:
        keys = system.partitions("spots", len(texts))
        chain = [["spots", asset] for asset in ("prompts", "tasks", "videos")]
        backfill = system.stack.dagster.api.launch_backfill([*chain, ["captions"]], keys, "acceptance")
        assert system.ended(backfill, 600) == "COMPLETED_SUCCESS", system.runs()
        assert set(system.statuses("captions")["materializedPartitions"]) == set(keys)
        events = system.ask(_EVENTS)["assetNodeOrError"]["assetMaterializations"]
        assert len({event["runId"] for event in events}) == 1
        made_of = {entry["jsonString"] for event in events for entry in event["metadataEntries"] if entry}
        assert made_of == {json.dumps(sorted(keys))}
        for key in keys:
            assert system.stale(key, "captions") == "FRESH"
        shown = system.stack.dagster.api.materializations(["spots", "videos"])
        assert {key: metadata["seedance/prompt"] for key, metadata in shown.items()} == texts
        assert system.books()["tasks"] == len(texts)
