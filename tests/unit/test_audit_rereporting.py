"""Repairs of what Dagster shows: which video is told again, and what only a person can wipe."""

from __future__ import annotations

import pytest
from audit_snapshots import telling
from audit_world import World

from seedance_dagster.audit.repair import RepairResult
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.schema import orders


@pytest.fixture
def world(tmp_path, clock, monkeypatch):
    """Two stored orders of which all books say the same, and a vendor whose links give their videos."""

    async def check_link(url, *, limits):
        pass

    monkeypatch.setattr("seedance_dagster.audit.repair.check_link", check_link)
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=clock)
    it = World(ledger)
    it.add(1)
    it.add(2)
    yield it
    ledger.close()


@pytest.fixture
def order(world):
    """The order that things happen to."""
    return world.ledger.queries.get(1)


def other_request(world: World) -> None:
    """Order 3: the newest video of the first order's partition, of another request."""
    keys = {f"{name}_key": f"seedance/spots/p1/b-a1/{name}" for name in ("video", "poster", "manifest")}
    world.add(3, partition="p1", fingerprint="b", **keys)


def refuse(world: World, order_id: int) -> None:
    """Let the ledger say that an order was refused."""
    with world.ledger._database.writing() as connection:
        connection.execute(orders.update().where(orders.c.order_id == order_id).values(state=State.REJECTED))


@pytest.mark.parametrize("wrong", [True, False])
def test_dagster_is_told_again(world, order, wrong):
    """A materialization that is gone or wrong is followed by one that says what the ledger says."""
    world.dagster.tellings = [telling(world.ledger.queries.get(2))]
    if wrong:
        world.dagster.tellings.append(telling(order, data_version="0"))
    [mending] = world.repair().values()
    assert (mending.repaired, mending.what) == (True, "Dagster was told again")
    assert world.dagster.told_again == [1]
    assert [each.actor for each in world.ledger.queries.journal(1)] == ["test", "audit 1"]
    assert world.kinds() == []


def test_a_wrong_event_of_another_order_is_covered_by_what_should_be_shown(world, order):
    """Dagster is told of the video that the partition shows, not of the one whose event was wrong."""
    other_request(world)
    world.dagster.tellings.append(telling(order, data_version="0"))
    mendings = world.repair()
    assert mendings["materialization_differs"] == RepairResult(True, "Dagster was told again")
    assert set(world.dagster.told_again) == {3}
    assert world.kinds() == []


def test_an_event_at_another_partition_is_left_to_people(world, order):
    """RecordedEvent its own partition again would not take it away."""
    world.dagster.tellings.append(telling(order, partition="p9"))
    [mending] = world.repair().values()
    assert mending == RepairResult(False, "it stands at another video's partition: wipe it in Dagster")
    assert world.dagster.told_again == []


def test_a_video_that_only_gets_an_observation_is_not_called_mended(world, order, monkeypatch):
    """While a newer order is under way the wrong materialization stays, and so does the finding."""
    world.dagster.tellings.append(telling(order, data_version="0"))
    monkeypatch.setattr(world.dagster, "tell", lambda _: False)
    [mending] = world.repair().values()
    assert mending == RepairResult(
        False, "a newer order of its partition is under way: audit again once that ended"
    )


def test_an_event_of_a_refused_order_is_covered_by_what_should_be_shown(world, order):
    """Where the partition has a video that one is told, whatever became of the order of the event."""
    refused = world.add(3, partition="p1", fingerprint="b", attempt=2)
    refuse(world, refused.order_id)
    [mending] = [each for kind, each in world.repair().items() if kind == "materialization_differs"]
    assert mending == RepairResult(True, "Dagster was told again")
    assert world.dagster.told_again == [1]


def test_nothing_is_told_of_a_video_that_is_fetched_again(world, order):
    """The video that would cover a wrong event of another order is told by the run that fetches it."""
    other_request(world)
    world.dagster.tellings.append(telling(order, data_version="0"))
    del world.store.objects[world.ledger.queries.get(3).video_key]
    mendings = world.repair()
    assert mendings["materialization_differs"] == RepairResult(True, "the run that fetches the video does it")
    assert world.dagster.told_again == []


def test_a_foreign_materialization_over_nothing_is_left_to_people(world):
    """There is no video to cover it with; who made it can wipe it."""
    world.dagster.tellings.append(telling(world.ledger.queries.get(1), partition="p9", metadata={}))
    [mending] = world.repair().values()
    assert mending == RepairResult(False, "nothing is stored for its partition: wipe it in Dagster")


def test_an_order_without_a_video_is_not_made_to_agree(world, order):
    """A materialization of an order that the ledger calls refused is left to people."""
    refuse(world, 1)
    [mending] = world.repair().values()
    assert mending == RepairResult(False, "nothing is stored for its partition: wipe it in Dagster")
