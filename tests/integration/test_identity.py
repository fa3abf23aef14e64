"""Labels that move between requests: a request is never paid for twice."""

from __future__ import annotations

from typing import Any

import pytest
from code_location import QUIET, CodeLocation, running_location

from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.ledger.order import State

pytestmark = [pytest.mark.integration, QUIET]

LINK = "https://cdn.example.com/cat.png"
SIGNED = f"{LINK}?X-Amz-Date={{day}}&X-Amz-Credential=k{{day}}&X-Amz-Signature=s{{day}}"


@pytest.fixture(scope="module")
def location(s3_server, tmp_path_factory):
    with running_location(tmp_path_factory.mktemp("identity"), s3_server, {"seed": "a seed"}) as location:
        yield location


def with_link(day: int) -> dict[str, Any]:
    return {
        "prompt": "the cat in @image1",
        "mode": "omni_reference",
        "image_urls": [SIGNED.format(day=day)],
    }


CHANGES = {
    "one more take": ({"a": "one"}, {"a": {"prompt": "one", "takes": 2}}, 1),
    "one take less": ({"a": {"prompt": "two", "takes": 2}}, {"a": "two"}, 0),
    "an id changed": ({"a": "three"}, {"b": "three"}, 0),
    "rows swapped": ({"a": "four", "b": "five"}, {"a": "five", "b": "four"}, 0),
    "a row before": ({"a": "six"}, {"new": "seven", "a": "six"}, 1),
    "line ends and blanks": ({"a": "eight\nnine"}, {"a": " eight\r\nnine\n"}, 0),
    "a row twice": ({"a": "ten"}, {"a": "ten", "b": "ten"}, 0),
    "a fresh one": ({"a": "eleven"}, {"a": "eleven", "b": {"prompt": "eleven", "fresh": True}}, 1),
    "no longer fresh": ({"a": {"prompt": "twelve", "fresh": True}}, {"a": "twelve"}, 0),
}


SHORT = ("rows swapped",)


@pytest.mark.parametrize(
    ("before", "after", "paid"),
    [
        pytest.param(*change, id=name, marks=[] if name in SHORT else pytest.mark.long)
        for name, change in CHANGES.items()
    ],
)
def test_a_label_that_moves_costs_nothing(location: CodeLocation, before, after, paid):
    """Only what was never ordered is paid for, and every partition shows the video of its request."""
    location.write(before)
    location.skipped()
    assert run_all(location).success
    tasks = location.books()["tasks"]
    location.write(after)
    location.skipped()
    assert run_all(location).success
    assert location.books()["tasks"] - tasks == paid
    with location.ledger() as ledger:
        shown = {video.partition: video.order for video in ledger.videos.current("spots")}
    for key, prompt in after.items():
        text = prompt if isinstance(prompt, str) else prompt["prompt"]
        metadata = location.newest("videos", key).metadata
        assert metadata["seedance/prompt"].value == shown[key].request["prompt"]
        assert metadata["seedance/prompt"].value.split() == text.split()


def run_all(location: CodeLocation, name: str = "spots"):
    with location.ledger() as ledger:
        keys = [key for key in location.partitions(name) if key in ledger.partitions.requests(name)]
    results = [location.run(key, name=name) for key in keys]
    return next((result for result in results if not result.success), results[-1])


@pytest.mark.long
def test_a_renamed_file_is_not_paid_for_again(location: CodeLocation):
    """The partitions of the new set show the videos of the old one, and say where they were made."""
    location.write({"cat": "a renamed cat"})
    location.skipped()
    assert location.run("cat").success
    tasks = location.books()["tasks"]
    location.write({"cat": "a renamed cat"}, name="spots_v2")
    location.reload()
    location.skipped()
    assert location.run("cat", name="spots_v2").success
    assert location.books()["tasks"] == tasks
    own, renamed = (location.newest("videos", "cat", name).metadata for name in ("spots", "spots_v2"))
    assert renamed["seedance/made_for"].value == "spots/cat"
    assert "seedance/made_for" not in own
    assert renamed["dagster/uri"] == own["dagster/uri"]
    checks = [
        event.asset_check_evaluation_data
        for event in location.run("cat", name="spots_v2").result.all_events
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    assert all(check.passed for check in checks)


@pytest.mark.long
def test_a_plain_set_shows_an_order_in_flight_of_another_set(location: CodeLocation):
    """Two sets with one prompt share its order, and each has its own materialization when it is stored."""
    for name in ("first", "second"):
        location.write({"cat": "a shared cat"}, name=name)
    location.reload()
    location.tick()
    for name in ("first", "second"):
        assert location.run("cat", assets=("tasks",), name=name).success
    [order] = location.orders("cat", "first")
    assert (order.state, location.orders("cat", "second")) == (State.QUEUED, [])
    assert location.advance().success
    for name in ("first", "second"):
        metadata = location.newest("videos", "cat", name).metadata
        assert metadata["seedance/task_id"].value == location.orders("cat", "first")[0].task_id


@pytest.mark.further
def test_a_re_executed_backfill_pays_once_for_a_video_again(location: CodeLocation):
    """A video that `regenerate` paid for answers the re-executions of its backfill, whatever their ids."""
    location.write({"lynx": "a lynx to make again"})
    location.tick()
    assert location.run("lynx").success
    again = {"regenerate": True}
    tags = ({"dagster/backfill": "b1"}, {"dagster/backfill": "b2", "dagster/root_backfill_id": "b1"})
    for of_run in (*tags, *tags):
        assert location.run("lynx", config=again, tags=of_run).success
    assert [order.attempt for order in location.orders("lynx")] == [1, 2]
    retried = location.run("lynx", config=again, tags=tags[0])
    assert "1 video that was stored after this run, its backfill" in retried.log
    assert location.run("lynx", config=again).success
    assert len(location.orders("lynx")) == 3


@pytest.mark.long
def test_a_run_orders_what_it_was_launched_with(location: CodeLocation, monkeypatch):
    """A run orders its own prompts, although a prompt that left its file and came back changed places."""
    texts = {"r1": "range 1", "r2": "range 2", "r3": "range 3", "r4": "range 4"}
    location.write(texts)
    location.tick()
    load_set = PromptSource.load_set

    def shift(source, *arguments):
        location.instance.delete_dynamic_partition("spots_prompts", "r3")
        location.instance.add_dynamic_partitions("spots_prompts", ["r3"])
        return load_set(source, *arguments)

    monkeypatch.setattr(PromptSource, "load_set", shift)
    assert location.run("r1", "r3", assets=("tasks",)).success
    monkeypatch.undo()
    assert [key for key in texts if location.orders(key)] == ["r1", "r2", "r3"]
    empty = location.run("r3", "r4", assets=("tasks",))
    assert empty.message.startswith("the range from r3 to r4 contains no partition: some were removed")
    location.advance()


def test_a_link_that_is_signed_again_is_not_paid_for_again(location: CodeLocation):
    """A link with a new signature leads to the same file, so its prompt is not paid for again."""
    with location.using(seedance=location.resources["seedance"].model_copy(update={"preflight": False})):
        location.write({"cat": with_link(1)})
        location.tick()
        assert location.run("cat", assets=("tasks",)).success
        tasks = len(location.orders("cat"))
        location.write({"cat": with_link(2)})
        location.tick()
        assert location.run("cat", assets=("tasks",)).success
    assert len(location.orders("cat")) == tasks
