"""Archiving the journal: what moves, what stays, and that nothing is lost or doubled."""

from __future__ import annotations

import pytest
from archive_support import AGE, LEASE_S, archive, in_ledger, journals, make_old_orders, part_keys

from seedance_dagster.engine.archiving import ArchivingError, archive_journal
from seedance_dagster.ledger.order import Reported, State
from seedance_dagster.storage.journal_file import decode
from seedance_dagster.storage.versions import ObjectVersion


@pytest.mark.each_database
def test_journals_move_and_are_whole(services, store, orders, clock, small_parts):
    """The entries of orders that ended long ago are in S3 alone, and read together they are as before."""
    old = make_old_orders(orders, clock)
    before, rows = journals(services), services.ledger.queries.find()
    archivable = services.ledger.archive.archivable(clock() - AGE)
    parts = archive(services)
    assert archivable.orders == len(old)
    assert (
        archivable.entries == sum(part.entries for part in parts) == sum(len(before[o.order_id]) for o in old)
    )
    assert {part.key for part in parts} == part_keys(store)
    assert len(parts) == 2
    assert in_ledger(services).isdisjoint(order.order_id for order in old)
    assert journals(services) == before
    assert services.ledger.queries.find() == rows


@pytest.mark.each_database
def test_what_may_still_change_stays(services, orders, clock):
    """Orders that are open, uncertain, not reported, or younger stay, and so does the newest entry."""
    kept = [orders.make(state, state.value) for state in State if state.value not in ("rejected", "failed")]
    gone = orders.make(State.STORED, "reported", reported=True)
    clock.forward(days=60)
    kept.append(orders.make(State.STORED, "younger", reported=True))
    clock.forward(days=60)
    archive(services)
    assert in_ledger(services) == {order.order_id for order in kept}
    clock.forward(days=60)
    archive(services)
    assert kept[-1].order_id in in_ledger(services), "the newest entry says how far the ledger has come"
    assert gone.order_id not in in_ledger(services)


def test_an_attempt_that_was_tried_again_moves(services, orders, clock):
    """A failed attempt with a later one moves, although it is never reported."""
    failed = orders.make(State.FAILED, "a", retry_at=clock())
    [retry] = [order for order in services.ledger.queries.find() if order.state is State.QUEUED]
    orders.advance(retry, State.STORED, reported=True)
    clock.forward(days=91)
    orders.make(State.QUEUED, "today")
    archive(services)
    assert in_ledger(services).isdisjoint({failed.order_id, retry.order_id})


def test_a_second_time_adds_nothing(services, store, orders, clock):
    """A second pass archives no entry again."""
    make_old_orders(orders, clock)
    archive(services)
    objects = dict(store.objects)
    assert archive(services) == []
    assert store.objects == objects


def test_two_at_once(services, orders, clock, small_parts):
    """A second process is refused with a message while the first archives, and everything moves once."""
    make_old_orders(orders, clock)
    before = journals(services)
    first = archive_journal(services, clock() - AGE, owner="archive one")
    next(first)
    with pytest.raises(
        ArchivingError, match="archive one is already archiving the journal of this ledger: wait"
    ):
        archive(services, "archive two")
    list(first)
    assert journals(services) == before
    assert archive(services, "archive two") == []


def test_a_process_that_stood_still_deletes_nothing(services, store, orders, clock):
    """A process that stood still deletes no entries: the next one has archived them meanwhile."""
    make_old_orders(orders, clock)
    before = journals(services)

    def overtaken(key: str) -> None:
        store.before_put = lambda _: None
        clock.forward(seconds=LEASE_S)
        archive(services, "the next one")

    store.before_put = lambda key: overtaken(key) if "/.journal/" in key else None
    assert archive(services, "the slow one") == []
    assert journals(services) == before
    assert part_keys(store) == {part.key for part in services.ledger.archive.parts()}


@pytest.mark.each_database
def test_an_order_that_becomes_active_keeps_its_journal(services, store, orders, clock):
    """If a video is fetched again while its journal is written, its entries stay and the others move."""
    active, *others = make_old_orders(orders, clock)

    def fetch_again(_: str) -> None:
        store.before_put = lambda _: None
        services.ledger.repairs.fetch_again(active, actor="audit", video_url="u", reason="lost")

    store.before_put = lambda key: fetch_again(key) if "/.journal/" in key else None
    [part] = archive(services)
    assert [entry.to_state for entry in services.ledger.queries.journal(active.order_id)][-1] == "succeeded"
    assert {entry.order_id for entry in decode(store.objects[part.key])} == {o.order_id for o in others}
    assert part_keys(store) == {part.key}


@pytest.mark.each_database
def test_an_archived_order_may_become_active(services, store, orders, clock):
    """Later entries of an archived order follow those in the archive, and are archived later."""
    order, *_ = make_old_orders(orders, clock)
    archive(services)
    moved = services.ledger.repairs.fetch_again(order, actor="audit", video_url="u", reason="lost")
    states = [entry.to_state for entry in journals(services)[order.order_id]]
    assert states[-2:] == ["stored", "succeeded"]
    orders.advance(moved, State.STORED, reported=True)
    clock.forward(days=91)
    orders.make(State.QUEUED, "much later")
    before = journals(services)
    archive(services)
    assert len(services.ledger.archive.parts_of([order.order_id])[order.order_id]) == 2
    assert journals(services) == before


def test_what_reads_differently_deletes_nothing(services, store, orders, clock, monkeypatch):
    """A store that does not return what was written is not trusted with the only copy."""
    make_old_orders(orders, clock)
    before = journals(services)
    monkeypatch.setattr(store, "read_version", lambda _: ObjectVersion(b"damaged", ""))
    monkeypatch.setattr(store, "replace_version", lambda *_, **__: None)
    with pytest.raises(ArchivingError, match=r"does not read as it was written: nothing was deleted"):
        archive(services)
    assert journals(services) == before
    assert part_keys(store) == set()


def test_links_in_the_archive_have_no_queries(services, store, orders, clock):
    """The query of a link, which may be secret, stays out of the bucket."""
    order = orders.make(
        State.REJECTED, "a", reason="no such picture as https://me:pw@c.example.com/a?sig=5ec"
    )
    [link] = services.ledger.reports.links(order.order_id)
    services.ledger.reports.mark_reported({link: Reported.ENDED})
    clock.forward(days=91)
    orders.make(State.QUEUED, "today")
    [part] = archive(services)
    [reason] = [e.detail["reason"] for e in decode(store.objects[part.key]) if "reason" in e.detail]
    assert reason == "no such picture as https://c.example.com/a"
