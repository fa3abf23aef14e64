"""Repairs of what Dagster shows: which video is reported again, and what only a person can wipe."""

from __future__ import annotations

import pytest
from audit_snapshots import event_of
from audit_world import World, agreeing_world

from seedance_dagster.audit.repair import RepairResult
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.tables.schema import orders


@pytest.fixture
def world(tmp_path, clock, monkeypatch):
    """Two stored orders about which all sources agree, and a vendor whose links work."""

    async def check_link(url, *, limits):
        pass

    monkeypatch.setattr("seedance_dagster.audit.objects.check_link", check_link)
    with agreeing_world(tmp_path, clock) as world:
        yield world


@pytest.fixture
def order(world):
    """The order that is damaged."""
    return world.ledger.queries.get(1)


def other_request(world: World) -> None:
    """Add order 3: the newest video of the first order's partition, for another request."""
    keys = {f"{name}_key": f"seedance/spots/p1/b-a1/{name}" for name in ("video", "poster", "manifest")}
    world.add(3, partition="p1", fingerprint="b", **keys)


def reject(world: World, order_id: int) -> None:
    """Make the ledger say that an order was rejected."""
    with world.ledger._database.writing() as connection:
        connection.execute(orders.update().where(orders.c.order_id == order_id).values(state=State.REJECTED))


@pytest.mark.parametrize("wrong", [True, False])
def test_a_missing_or_wrong_event_is_reported_again(world, order, wrong):
    """A materialization that is missing or wrong is followed by one that agrees with the ledger."""
    world.dagster.events = [event_of(world.ledger.queries.get(2))]
    if wrong:
        world.dagster.events.append(event_of(order, data_version="0"))
    [result] = world.repair().values()
    agreed = "ledger and S3 manifest agree on sha256; ledger and vendor agree on task_id"
    assert (result.repaired, result.message) == (True, f"reported to Dagster again: {agreed}")
    assert world.dagster.reported_again == [1]
    assert [entry.actor for entry in world.ledger.queries.journal(1)] == ["test", "audit 1"]
    assert world.kinds() == []


def test_a_wrong_event_of_an_older_order_is_replaced_by_the_current_video(world, order):
    """The video that the partition should show is reported, not the one whose event was wrong."""
    other_request(world)
    world.dagster.events.append(event_of(order, data_version="0"))
    results = world.repair()
    assert results["materialization_differs"].message.startswith("reported to Dagster again: ledger and")
    assert set(world.dagster.reported_again) == {3}
    assert world.kinds() == []


def test_an_event_at_another_partition_is_left_to_a_person(world, order):
    """Reporting the order's own partition again would not remove it."""
    world.dagster.events.append(event_of(order, partition="p9"))
    [result] = world.repair().values()
    assert result == RepairResult(False, "it is at another video's partition: wipe it in Dagster")
    assert world.dagster.reported_again == []


def test_a_video_that_is_only_observed_is_not_called_repaired(world, order, monkeypatch):
    """While a newer order is under way the wrong materialization stays, and so does the finding."""
    world.dagster.events.append(event_of(order, data_version="0"))
    monkeypatch.setattr(world.dagster, "report", lambda _: False)
    [result] = world.repair().values()
    assert result == RepairResult(
        False, "a newer order of its partition is under way: audit again when it has ended"
    )


def test_an_event_of_a_rejected_order_is_replaced_by_the_current_video(world, order):
    """The partition's video is reported, whatever became of the order that the event names."""
    rejected = world.add(3, partition="p1", fingerprint="b", attempt=2)
    reject(world, rejected.order_id)
    [result] = [result for kind, result in world.repair().items() if kind == "materialization_differs"]
    assert result.message.startswith("reported to Dagster again: ledger and")
    assert world.dagster.reported_again == [1]


def test_a_video_that_is_fetched_again_is_not_reported(world, order):
    """The run that fetches the current video reports it, so the repair does not."""
    other_request(world)
    world.dagster.events.append(event_of(order, data_version="0"))
    del world.store.objects[world.ledger.queries.get(3).video_key]
    results = world.repair()
    assert results["materialization_differs"] == RepairResult(
        True, "the next run repairs it when it fetches the video"
    )
    assert world.dagster.reported_again == []


def test_a_foreign_materialization_without_a_video_is_left_to_a_person(world):
    """There is no video to report instead; whoever made it can wipe it."""
    world.dagster.events.append(event_of(world.ledger.queries.get(1), partition="p9", metadata={}))
    [result] = world.repair().values()
    assert result == RepairResult(False, "no video is stored for its partition: wipe it in Dagster")


def test_an_event_of_an_order_without_a_video_is_left_to_a_person(world, order):
    """A materialization of a rejected order cannot be made to agree with the ledger."""
    reject(world, 1)
    result = world.repair()["materialization_differs"]
    assert result == RepairResult(False, "no video is stored for its partition: wipe it in Dagster")
