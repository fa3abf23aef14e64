"""Writers of an index: killed, at the same time, and held up; no older part is left over a newer one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
from index_support import MANIFEST, PART, assert_current, partitions_in

from seedance_dagster.engine.indexing import IndexingError, is_due, refresh_index
from seedance_dagster.engine.policy import Pacing, Policy
from seedance_dagster.ledger.order import State


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_killed_writer_leaves_an_index_that_can_be_read(services, store, orders, small_parts, victim):
    """After a kill each video is read at most once, and the next writer completes the index."""
    orders.make_many(State.STORED, "a", "b", "c")
    refresh_index(services, "spots", owner="w")
    orders.make_many(State.STORED, "d", "e", "f")
    puts = iter(range(9))

    def kill(_key: str) -> None:
        if next(puts) == victim:
            raise KeyboardInterrupt

    store.before_put = kill
    with pytest.raises(KeyboardInterrupt):
        refresh_index(services, "spots", owner="w")
    store.before_put = lambda _: None
    partitions = partitions_in(store)
    assert len(partitions) == len(set(partitions))
    assert {"a", "b", "c"} <= set(partitions)
    assert is_due(services, "spots")
    refresh_index(services, "spots", owner="next")
    assert_current(services)


@pytest.mark.each_database
def test_concurrent_writers_leave_an_index_of_all_videos(services, store, orders):
    """Eight writers store a video each and refresh the index, which lists all of them at the end."""
    services = replace(services, policy=Policy(pacing=Pacing(index_wait_s=0.002)))
    names = [f"p{number}" for number in range(8)]
    claimed = orders.make_many(State.CLAIMED, *names)

    def work(order) -> None:
        orders.advance(order, State.STORED)
        refresh_index(services, "spots", owner=order.partition)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, claimed))
    assert sorted(partitions_in(store)) == names
    assert_current(services)
    assert refresh_index(services, "spots", owner="late") is None


@pytest.mark.parametrize("conditions", [True, False])
@pytest.mark.parametrize("stalled", [PART, MANIFEST])
def test_a_delayed_writer_does_not_leave_older_bytes(services, store, orders, clock, stalled, conditions):
    """A writer whose lease ran out while it wrote, after another wrote a newer index, writes again."""
    orders.make(State.STORED, "ape")
    refresh_index(services, "spots", owner="a")
    store.writer = SimpleNamespace(knows_conditions=conditions)
    orders.make(State.STORED, "cat")

    def stall(key: str) -> None:
        if key == stalled:
            store.before_put = lambda _: None
            clock.forward(seconds=31)
            orders.make(State.STORED, "dog")
            assert refresh_index(services, "spots", owner="b").videos == 3

    store.before_put = stall
    assert refresh_index(services, "spots", owner="a").videos == 3
    assert_current(services)


def test_a_writer_that_waits_for_another_finds_its_work_done(services, store, orders, monkeypatch):
    """A writer that waited for another does not write the same index again."""
    orders.make(State.STORED, "cat")
    services.ledger.leases.acquire("index spots", "b", seconds=30)

    def end_other(_seconds: float) -> None:
        refresh_index(services, "spots", owner="b")

    monkeypatch.setattr("seedance_dagster.engine.indexing.time.sleep", end_other)
    assert refresh_index(services, "spots", owner="a") is None
    assert store.written == [PART, MANIFEST]


def test_an_index_that_others_keep_writing_is_an_error(services, orders):
    """The error names the owner of the lease."""
    services = replace(services, policy=Policy(pacing=Pacing(index_lease_s=0.001, index_wait_s=0.001)))
    orders.make(State.STORED)
    services.ledger.leases.acquire("index spots", "run 7", seconds=60)
    with pytest.raises(IndexingError, match="the index of spots is being written by run 7"):
        refresh_index(services, "spots", owner="a")
