"""946 real prompts through the UI's backfill and the sensor alone."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import pytest

from seedance_dagster.media.video import probe

PROMPTS = Path(os.environ.get("ACCEPTANCE_PROMPTS", "../shared/data/vbench_prompts.jsonl")).absolute()
NAME = "vbench_prompts"
COUNT, REPEATED = 946, 2


@pytest.mark.skipif(not PROMPTS.exists(), reason="the VBench prompts are not part of this repository")
def test_a_backfill_of_tasks_brings_every_video_home(world, tmp_path):
    """One backfill of tasks gives all 946 prompts a video, in few runs; each request is paid for once."""
    with world(PROMPTS, "--render-seconds", "2", "--plan-limit", "200") as system:
        keys = system.partitions(NAME, COUNT)
        system.backfill(["tasks"], keys, NAME)
        system.until(lambda: len(system.statuses(NAME, "videos")["materializedPartitions"]) == COUNT, 900)
        videos = system.stack.dagster.api.materializations([NAME, "videos"])
        books = system.books()
        assert len(system.runs()) <= 15
        assert (books["tasks"], books["most_tasks_of_one_prompt"], books["key_leaks"]) == (
            COUNT - REPEATED,
            1,
            0,
        )
        costs = {video["seedance/task_id"]: video["seedance/cost_usd"] for video in videos.values()}
        cost = sum(Decimal(str(usd)) for usd in costs.values())
        assert cost * 10_000_000 == books["points_charged"]
        s3 = system.s3()
        for number, (key, video) in enumerate(videos.items()):
            bucket, _, path = video["dagster/uri"].removeprefix("s3://").partition("/")
            file = tmp_path / "video.mp4"
            s3.download_file(bucket, path, str(file))
            facts = probe(file)
            assert abs(facts.duration_s - 5) < 0.1, key
            assert abs(facts.width / facts.height / (16 / 9) - 1) < 0.03, (number, key)
