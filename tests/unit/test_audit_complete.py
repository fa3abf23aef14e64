"""Whole audits: what is read, in which order, and how little of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from audit_snapshots import POINTS, event_of, row
from audit_world import VIDEO, World, agreeing_world
from factories import NOW

from seedance_dagster.api.errors import AuthenticationError, VendorError
from seedance_dagster.audit import verify
from seedance_dagster.engine.reconcile.clocks import UNKNOWN
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.storage.owner import owner_key


@pytest.fixture
def world(tmp_path, clock):
    """Three stored orders about which all sources agree."""
    with agreeing_world(tmp_path, clock, orders=3) as world:
        yield world


def reads_of_orders(world) -> set[str]:
    """Return the objects of orders that were read."""
    keys = {key for key in world.store.reads if "/index/" not in key}
    return keys - {owner_key(world.store.prefix)}


def test_listings_alone_show_that_sources_agree(world):
    """No single task, object or manifest is read when everything agrees, only the owner and the index."""
    audit = world.audit()
    assert audit.findings == ()
    compared = audit.compared
    assert (compared.orders, compared.vendor_tasks, compared.objects) == (3, 3, 12)
    assert world.vendor.requested == []
    assert reads_of_orders(world) == set()


def test_deep_reads_every_object_and_every_task(world):
    """`--deep` reads each video, poster, manifest and task once."""
    assert world.kinds(deep=True) == []
    assert sorted({*world.store.reads}) == sorted(world.store.objects)
    assert sorted(world.vendor.requested) == ["task-1", "task-2", "task-3"]


def test_the_history_is_read_since_the_first_order(world):
    """The window starts with the first order, or with `since`, a little earlier for wrong clocks."""
    world.audit()
    world.audit(since=NOW - timedelta(hours=1))
    starts = {start for start, _ in world.vendor.windows}
    assert starts == {NOW - timedelta(hours=3) - UNKNOWN, NOW - timedelta(hours=1) - UNKNOWN}


def test_an_empty_ledger_is_audited_over_the_last_month(tmp_path, clock):
    """An empty ledger is audited over the last month, and recent tasks without an order are findings."""
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=clock)
    world = World(ledger)
    world.vendor.rows["foreign"] = row()
    assert world.kinds() == ["unmatched_task"]
    assert world.vendor.windows[0][0] == NOW - timedelta(days=30)
    ledger.close()


def test_what_arrives_during_an_audit_is_not_a_finding(world):
    """An order that is stored and reported after S3, vendor and Dagster were read is not a difference."""
    assert world.audit(lambda: world.add(4)).findings == ()


@pytest.mark.parametrize("fails", ["history", "task"])
def test_while_the_vendor_is_down_the_other_sources_are_compared(world, fails):
    """The vendor is reported as unavailable, without a finding about any order; the rest is compared."""
    order = world.ledger.queries.get(1)
    world.change_task(order, points_charged=2 * POINTS)
    del world.store.objects[order.video_key]
    world.vendor.fails[fails] = VendorError("the vendor is down")
    audit = world.audit()
    assert [finding.kind.value for finding in audit.findings] == ["missing_in_s3", "source_unavailable"]
    assert "the vendor is down" in audit.findings[-1].message


def test_without_an_api_key_the_other_sources_are_compared(world):
    """An audit works without the API key; the vendor is reported as unavailable."""

    def refuse():
        raise AuthenticationError("no API key: set GOAPI_API_KEY to your key")

    class Locked(World):
        @property
        def services(self):
            from dataclasses import replace

            return replace(super().services, open_client=refuse)

    locked = Locked(world.ledger, world.vendor, world.store, world.dagster)
    [finding] = locked.audit().findings
    assert (finding.kind.value, finding.message) == (
        "source_unavailable",
        "no API key: set GOAPI_API_KEY to your key",
    )


def test_the_number_of_tasks_that_are_read_is_limited(world, monkeypatch):
    """If the whole history differs, some tasks are read and the rest is reported as not compared."""
    monkeypatch.setattr(verify, "MAX_TASKS", 2)
    for number in (1, 2, 3):
        world.change_task(world.ledger.queries.get(number), points_charged=2 * POINTS)
    findings = world.audit().findings
    assert [finding.kind.value for finding in findings] == [
        "charge_differs",
        "charge_differs",
        "source_unavailable",
    ]
    assert findings[-1].message == "3 tasks differ from the ledger in the history; 2 of them were read"
    assert len(world.vendor.requested) == 2


def test_unmatched_tasks_are_read_only_while_an_order_may_own_them(world, new_order):
    """An unmatched task is read while an order's reply is missing; otherwise its row is enough."""
    world.vendor.rows["foreign"] = row()
    assert world.kinds() == ["unmatched_task"]
    assert world.vendor.requested == []
    world.ledger.orders.place([new_order("frog")], OrderRequest(idempotency_key="c", run_id="r"))
    world.ledger.claims.take("w", limit=1, max_in_flight=None)
    assert world.kinds() == ["unmatched_task"]
    assert world.vendor.requested == ["foreign"]


def test_one_set_is_audited_without_the_others(world):
    """An audit of one set leaves out findings of other sets and unmatched tasks."""
    other = world.add(7, prompt_set="others", partition="p7")
    del world.store.objects[other.video_key]
    world.vendor.rows["foreign"] = row()
    assert world.kinds(prompt_set="spots") == []
    assert world.kinds(prompt_set="others") == ["missing_in_s3"]
    assert world.kinds() == ["unmatched_task", "missing_in_s3"]


def test_findings_are_sorted_by_kind_and_partition(world):
    """The same differences always have the same order, with totals by kind."""
    for number in (3, 1, 2):
        del world.store.objects[world.ledger.queries.get(number).video_key]
    world.store.objects[world.ledger.queries.get(2).poster_key] = b"garbage"
    audit = world.audit()
    assert [(finding.kind.value, finding.partition) for finding in audit.findings] == [
        ("missing_in_s3", "p1"),
        ("missing_in_s3", "p2"),
        ("missing_in_s3", "p3"),
        ("bytes_changed", "p2"),
    ]
    totals = {kind.value: total for kind, total in audit.totals.items()}
    assert totals == {"missing_in_s3": (3, 3 * POINTS), "bytes_changed": (1, POINTS)}


def test_an_object_that_was_overwritten_is_hashed(world):
    """An object newer than its order is hashed, even without `--deep`, if its metadata has no hash."""
    order = world.add(4, stored_at=NOW - timedelta(hours=1))
    assert world.kinds() == []
    assert reads_of_orders(world) == {order.video_key, order.poster_key}
    world.store.objects[order.video_key] = VIDEO[::-1]
    assert world.kinds() == ["bytes_changed"]


def test_a_partition_is_read_again_before_its_event_is_called_missing(world):
    """An event that was recorded meanwhile is found the second time."""
    late = world.dagster.events.pop()
    materializations = world.dagster.materializations

    def late_materializations(prompt_set, partitions=None):
        if partitions is not None:
            assert partitions == ["p3"]
            world.dagster.events.append(late)
        return materializations(prompt_set, partitions)

    world.dagster.materializations = late_materializations
    assert world.kinds() == []
    assert event_of(world.ledger.queries.get(3)) == late
