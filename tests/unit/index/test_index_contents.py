"""The content of a set's index: its videos, its money, its formats."""

from __future__ import annotations

import json
from datetime import date

import pytest
from factories import read_prompts
from stores import MemoryStore

from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.verdict import Judgement, Verdict
from seedance_dagster.ledger.videos import CurrentVideo
from seedance_dagster.storage.index import COLUMNS, index_row, to_jsonl


def current(ledger) -> list[tuple[str, int]]:
    return [(video.partition, video.order.attempt) for video in ledger.videos.current("spots")]


@pytest.mark.each_database
def test_each_partition_shows_its_newest_video(ledger, orders):
    """Partitions come in the order of their first orders; those without a video are left out."""
    orders.make(State.REJECTED, "bad")
    orders.make(State.STORED, "cat")
    orders.make(State.QUEUED, "dog")
    orders.make(State.STORED, "elk", prompt_set="other")
    orders.make(State.STORED, "cat")
    orders.make(State.FAILED, "cat")
    orders.make(State.STORED, "bad")
    assert current(ledger) == [("bad", 2), ("cat", 2)]


@pytest.mark.each_database
def test_a_video_of_the_current_prompt_comes_before_a_newer_one(ledger, orders):
    """After an edit is taken back, the index shows the first video again."""
    orders.make(State.STORED, "cat", fingerprint="first")
    orders.make(State.STORED, "cat", fingerprint="edited")
    assert [video.order.fingerprint for video in ledger.videos.current("spots")] == ["edited"]
    read_prompts(ledger, "spots", {"cat": "first"})
    assert [video.order.fingerprint for video in ledger.videos.current("spots")] == ["first"]


@pytest.mark.each_database
def test_spend_by_day_counts_everything_that_was_charged(ledger, orders, clock):
    """Penalties and earlier attempts count, on the UTC day of the order."""
    orders.make(State.STORED, "cat", charged=4_000_000)
    orders.make(State.STORED, "cat", charged=5_000_000)
    clock.forward(hours=6)
    orders.make(State.REJECTED, "bad", charged=40_000)
    orders.make(State.FAILED, "free", charged=0)
    orders.make(State.STORED, "unreported", charged=None)
    # Charged but not finished: its money is reserved, as for budgets.
    orders.make(State.SUBMITTED, "late", charged=4_000_000)
    spend = ledger.set_spend.read("spots", max_tags=5)
    assert [(day.day, day.orders, day.points) for day in spend.by_day] == [
        (date(2026, 4, 6), 2, 9_000_000),
        (date(2026, 4, 7), 1, 40_000),
    ]


def test_a_row_has_everything_that_a_dataset_needs(orders):
    """A row has the request, the measures of the file, and no signature; unknown values are null."""
    request = {
        "task_type": "seedance-2",
        "prompt": "ein Kätzchen",
        "mode": "omni_reference",
        "duration": 4,
        "image_urls": ["https://me:s3cret@x.example.com/a.png?sig=s3cret"],
    }
    tags = {"campaign": "spring", "from": "https://x.example.com/v?token=s3cret"}
    order = orders.make(State.STORED, request=request, tags=tags, charged=3_200_000)
    row = index_row("spots", CurrentVideo("cat", order, order.tags), MemoryStore().uri)
    assert list(row) == [column.name for column in COLUMNS]
    assert row["duration"] == row["duration_s"] == 4
    assert row["image_urls"] == ["https://x.example.com/a.png"]
    assert row["video_urls"] == []
    assert row["tags"] == [
        {"key": "campaign", "value": "spring"},
        {"key": "from", "value": "https://x.example.com/v"},
    ]
    assert (row["cost_usd"], row["points_charged"], row["audio"]) == (0.32, 3_200_000, None)
    assert row["uri"] == f"s3://videos/{order.video_key}"
    line = to_jsonl([row])
    assert "ein Kätzchen".encode() in line
    assert b"s3cret" not in line
    assert json.loads(line)["stored_at"] == order.stored_at.isoformat().replace("+00:00", "Z")


@pytest.mark.each_database
def test_a_video_of_another_set_has_the_set_and_tags_of_the_prompt_that_shows_it(ledger, orders):
    """A renamed file's index has the videos that were made under its earlier name, with the tags of now."""
    made = orders.make(State.STORED, "cat", fingerprint="a", tags={"campaign": "spring"})
    asked = PartitionRequest("a", tags={"campaign": "autumn"})
    ledger.partitions.update("spots_v2", {"kitty": asked})
    ledger.partitions.link("spots_v2", {"kitty": made.order_id})
    [video] = ledger.videos.current("spots_v2")
    row = index_row("spots_v2", video, str)
    assert (row["prompt_set"], row["partition"], row["tags"]) == (
        "spots_v2",
        "kitty",
        [{"key": "campaign", "value": "autumn"}],
    )
    assert row["uri"] == made.video_key
    assert ledger.videos.sets() == ["spots", "spots_v2"]


@pytest.mark.each_database
def test_a_removed_prompt_is_marked_until_it_is_back(ledger, orders, clock):
    """The row of a removed prompt says since when, until the prompt is back."""
    orders.make(State.STORED, "cat", fingerprint="a")
    asked = PartitionRequest("a", tags={"campaign": "autumn"})
    for wanted, removed_at in (({"cat": asked}, None), ({}, clock()), ({"cat": asked}, None)):
        ledger.partitions.update("spots", wanted)
        [video] = ledger.videos.current("spots")
        assert index_row("spots", video, str)["removed_at"] == removed_at
        assert ledger.partitions.removed("spots") == (set() if removed_at is None else {"cat"})


@pytest.mark.each_database
def test_a_row_has_the_verdict_on_the_bytes_that_it_shows(ledger, orders):
    """A verdict that was taken back, or on an earlier video, does not count."""
    orders.make(State.STORED, "cat")

    def verdict() -> str:
        [video] = ledger.videos.current("spots")
        return index_row("spots", video, str)["verdict"]

    assert verdict() == "undecided"
    ledger.verdicts.give("spots", {"cat": Judgement(Verdict.ACCEPTED)}, reviewer="ann")
    assert verdict() == "accepted"
    ledger.verdicts.give("spots", {"cat": Judgement(Verdict.DISCARDED)}, reviewer="bob")
    assert verdict() == "discarded"
    ledger.verdicts.undo("spots", ["cat"], reviewer="bob")
    assert verdict() == "accepted"
    orders.make(State.STORED, "cat", artifacts={"sha256": "0" * 64})
    assert verdict() == "undecided"
