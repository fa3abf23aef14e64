"""Whole audits: what is read, in which order, and how little."""

from __future__ import annotations

from datetime import timedelta

import pytest
from audit_snapshots import POINTS, row, telling
from audit_world import VIDEO, World
from ledger_states_support import NOW

from seedance_dagster.api.errors import AuthenticationError, VendorError
from seedance_dagster.audit import verify
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.orders import OrderRequest


@pytest.fixture
def world(tmp_path, clock):
    """Three stored orders of which all books say the same."""
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=clock)
    it = World(ledger)
    for number in (1, 2, 3):
        it.add(number)
    yield it
    ledger.close()


def test_agreement_is_seen_from_listings_alone(world):
    """Where everything agrees no task, no object and no manifest is read by itself."""
    found = world.audit()
    assert found.findings == ()
    assert (found.audited, len(found.books.vendor.rows), len(found.books.storage.objects)) == (3, 3, 9)
    assert world.vendor.asked == []
    assert world.store.looked_at == []


def test_deep_reads_every_object_and_no_task(world):
    """`--deep` is about bytes: each video, poster and manifest is read once."""
    assert world.kinds(deep=True) == []
    assert sorted(world.store.looked_at) == sorted(world.store.objects)
    assert world.vendor.asked == []


def test_the_history_is_read_from_the_first_order_on(world):
    """The window begins with the first order, or with `since`, a little earlier for wrong clocks."""
    world.audit()
    world.audit(since=NOW - timedelta(hours=1))
    starts = [start for start, _ in world.vendor.windows]
    assert starts == [NOW - timedelta(hours=3, minutes=5), NOW - timedelta(hours=1, minutes=5)]


def test_an_empty_ledger_is_audited_over_the_last_month(tmp_path, clock):
    """A ledger that was lost is no clean audit: what others made lately has no order."""
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=clock)
    world = World(ledger)
    world.vendor.rows["stranger"] = row()
    assert world.kinds() == ["unmatched_task"]
    assert world.vendor.windows[0][0] == NOW - timedelta(days=30)
    ledger.close()


def test_what_came_while_the_books_were_read_is_no_finding(world):
    """An order that is stored and told after S3, vendor and Dagster were read is no difference."""
    assert world.audit(lambda: world.add(4)).findings == ()


@pytest.mark.parametrize("fails", ["history", "task"])
def test_a_vendor_that_is_down_leaves_the_other_books_compared(world, fails):
    """The vendor's book is named as unread, without the blame on any order; the rest is compared."""
    order = world.ledger.queries.get(1)
    world.change_task(order, points_charged=2 * POINTS)
    del world.store.objects[order.video_key]
    world.vendor.fails[fails] = VendorError("the vendor is down")
    found = world.audit()
    assert [each.kind.value for each in found.findings] == ["missing_in_s3", "source_unavailable"]
    assert "the vendor is down" in found.findings[-1].what


def test_without_a_key_the_other_books_are_compared(world):
    """Months later the key may be gone; what it would have shown is named as unread."""

    def refuse():
        raise AuthenticationError("no API key: set GOAPI_API_KEY to your key")

    class Locked(World):
        @property
        def services(self):
            from dataclasses import replace

            return replace(super().services, open_client=refuse)

    locked = Locked(world.ledger, world.vendor, world.store, world.dagster)
    [each] = locked.audit().findings
    assert (each.kind.value, each.what) == ("source_unavailable", "no API key: set GOAPI_API_KEY to your key")


def test_tasks_that_are_read_by_themselves_are_bounded(world, monkeypatch):
    """Where the whole history differs, some tasks tell why, and the rest is named as unread."""
    monkeypatch.setattr(verify, "MOST_TASKS", 2)
    for number in (1, 2, 3):
        world.change_task(world.ledger.queries.get(number), points_charged=2 * POINTS)
    found = world.audit().findings
    assert [each.kind.value for each in found] == ["charge_differs", "charge_differs", "source_unavailable"]
    assert found[-1].what == "3 tasks differ from the ledger in the history, 2 of them were read"
    assert len(world.vendor.asked) == 2


def test_tasks_of_nobody_are_read_only_where_an_order_may_have_lost_them(world, new_order):
    """A stranger's task is read by itself while an order's answer is missing, else its row says enough."""
    world.vendor.rows["stranger"] = row()
    assert world.kinds() == ["unmatched_task"]
    assert world.vendor.asked == []
    world.ledger.orders.place([new_order("frog")], OrderRequest(idempotency_key="c", run_id="r"))
    world.ledger.claims.take("w", limit=1, max_in_flight=None)
    assert world.kinds() == ["unmatched_task"]
    assert world.vendor.asked == ["stranger"]


def test_one_set_is_audited_without_the_others(world):
    """Findings of other sets, and tasks of nobody, are left to the audit of everything."""
    other = world.add(7, prompt_set="others", partition="p7")
    del world.store.objects[other.video_key]
    world.vendor.rows["stranger"] = row()
    assert world.kinds(prompt_set="spots") == []
    assert world.kinds(prompt_set="others") == ["missing_in_s3"]
    assert world.kinds() == ["unmatched_task", "missing_in_s3"]


def test_findings_come_by_kind_and_place(world):
    """The same differences always come in the same order, with sums by kind."""
    for number in (3, 1, 2):
        del world.store.objects[world.ledger.queries.get(number).video_key]
    world.store.objects[world.ledger.queries.get(2).poster_key] = b"garbage"
    found = world.audit()
    assert [(each.kind.value, each.partition) for each in found.findings] == [
        ("missing_in_s3", "p1"),
        ("missing_in_s3", "p2"),
        ("missing_in_s3", "p3"),
        ("bytes_changed", "p2"),
    ]
    sums = {kind.value: of_kind for kind, of_kind in found.kinds.items()}
    assert sums == {"missing_in_s3": (3, 3 * POINTS), "bytes_changed": (1, POINTS)}


def test_an_object_that_was_written_again_is_hashed(world):
    """An object newer than its order is hashed without `--deep` where the store knows no hash of it."""
    order = world.add(4, stored_at=NOW - timedelta(hours=1))
    assert world.kinds() == []
    assert set(world.store.looked_at) == {order.video_key, order.poster_key}
    world.store.objects[order.video_key] = VIDEO[::-1]
    assert world.kinds() == ["bytes_changed"]


def test_an_event_of_a_partition_is_read_again_before_it_is_missed(world):
    """What Dagster was told meanwhile is found at the second look."""
    late = world.dagster.tellings.pop()
    read = world.dagster.told

    def told(prompt_set, partitions=None):
        if partitions is not None:
            assert partitions == ["p3"]
            world.dagster.tellings.append(late)
        return read(prompt_set, partitions)

    world.dagster.told = told
    assert world.kinds() == []
    assert telling(world.ledger.queries.get(3)) == late
