"""Audits in groups: orders about which all sources agree are not kept, and nothing else changes."""

from __future__ import annotations

import asyncio
import copy
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from audit_snapshots import event_of
from audit_world import World, agreeing_world
from factories import NOW, Clock, columns_of, make_request, open_ledger
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import Planter
from plants import PLANTS

from seedance_dagster.api.errors import VendorError
from seedance_dagster.audit import screen
from seedance_dagster.audit.audit import Audit
from seedance_dagster.audit.audit import audit as run_audit
from seedance_dagster.audit.screen import COMPARING, AgreeingOrders, Screening
from seedance_dagster.audit.snapshots import Scope
from seedance_dagster.engine.indexing import refresh_index
from seedance_dagster.ledger.order import Reported, State
from seedance_dagster.ledger.partitions import Link, link_orders
from seedance_dagster.prompts.identity import fingerprint

LONG_AGO = NOW - timedelta(hours=2)
EARLY = NOW - timedelta(hours=9)
EVERYTHING = 1000


@contextmanager
def varied_world() -> Iterator[World]:
    """Open a world of orders that share partitions, requests and videos, copied from one made once."""
    ledger_file, made = _varied()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "ledger.db").write_bytes(ledger_file)
        with open_ledger(Path(name), Clock()) as ledger:
            yield World(ledger, *copy.deepcopy((made.vendor, made.store, made.dagster)))


@cache
def _varied() -> tuple[bytes, World]:
    with tempfile.TemporaryDirectory() as name:
        with open_ledger(Path(name), Clock()) as ledger:
            world = World(ledger)
            for number in (1, 2, 3):
                world.add(number, stored_at=LONG_AGO)
            world.add(4, partition="p1", stored_at=LONG_AGO)  # p1 was edited, so that it has two videos
            early = {"ordered_at": EARLY, "booked_at": EARLY}
            other = world.add(5, prompt_set="others", stored_at=LONG_AGO, **early)
            _give(world, "others", "again", 2)  # another set asked for the video of p2
            # The request of p3 failed once more, for another set.
            failed = columns_of(other) | {"fingerprint": fingerprint(make_request("cat 3")), "attempt": 2}
            failed |= {"task_id": None}
            ledger.repairs.restore(failed, order_id=6, actor="test", source="test", state=State.FAILED)
            for prompt_set in ("spots", "others"):
                written = refresh_index(world.services, prompt_set, owner="test", force=True)
                assert written is not None
                world.dagster.report_index(written)
        return (Path(name) / "ledger.db").read_bytes(), world


def _give(world: World, prompt_set: str, partition: str, order_id: int) -> None:
    """Give an order to one more partition, and report it there."""
    order = world.ledger.queries.get(order_id)
    with world.ledger._database.writing() as connection:
        link_orders(connection, [Link(prompt_set, partition, order_id, Reported.STORED)], at=NOW)
    world.dagster.events.append(event_of(order, prompt_set=prompt_set, partition=partition))
    world.dagster.report_task(order, prompt_set, partition)


def audit(world: World, group: int | None, **scope: Any) -> Audit:
    """Audit in groups of a given size, or with the whole comparison at once."""

    async def screen_nothing(_self, lists):
        return AgreeingOrders(), [order_id for together in lists for order_id in together]

    with pytest.MonkeyPatch.context() as patch:
        if group is None:
            patch.setattr(Screening, "screen", screen_nothing)
        else:
            patch.setattr(screen, "GROUP", group)
        return world.audit(**scope)


def essence(done: Audit) -> tuple[object, ...]:
    """Return all that an audit reports."""
    return done.findings, done.totals, done.compared


@pytest.mark.sampled(8)
@pytest.mark.parametrize("plant", [pytest.param(plant, id=name) for name, plant in PLANTS.items()])
def test_each_damage_is_found_by_groups_as_by_a_comparison_of_everything(plant):
    """Findings, evidence, totals and counts are the same, with and without `--deep`."""
    with varied_world() as world:
        plant.plant(Planter(world, Clock()))
        for deep in (False, True):
            assert essence(audit(world, 1, deep=deep)) == essence(audit(world, None, deep=deep))


@pytest.mark.parametrize("examples", [10, pytest.param(25, marks=pytest.mark.long)])
def test_damages_together_are_found_in_groups_of_any_size(examples):
    """Several damages to any orders give the same report in groups of 1, of 3 and of everything."""
    numbers = st.integers(1, 5)
    scopes = [{}, {"prompt_set": "spots"}, {"prompt_set": "others"}, {"since": EARLY + timedelta(hours=1)}]

    @settings(max_examples=examples, deadline=None)
    @given(
        damages=st.lists(
            st.tuples(numbers, st.sampled_from(sorted(PLANTS))), max_size=3, unique_by=itemgetter(1)
        ),
        deep=st.booleans(),
        scope=st.sampled_from(scopes),
    )
    def compare(damages, deep, scope):
        with varied_world() as world:
            planters = {number: Planter(world, Clock(), number) for number, _ in damages}
            for number, name in damages:
                try:
                    PLANTS[name].plant(planters[number])
                except (KeyError, ValueError):
                    continue  # an earlier damage took away what this one would change
            whole = essence(audit(world, None, deep=deep, **scope))
            for group in (1, 3, EVERYTHING):
                assert essence(audit(world, group, deep=deep, **scope)) == whole

    compare()


@pytest.mark.parametrize("deep", [False, True])
def test_orders_about_which_all_sources_agree_are_not_kept(deep):
    """Only damaged orders, and those that share a partition or a request with them, are kept."""
    with varied_world() as world:
        assert audit(world, EVERYTHING, deep=deep).snapshots.ledger.orders == ()
        Planter(world, Clock(), 2).wipe()
        done = audit(world, EVERYTHING, deep=deep)
        assert [finding.kind.value for finding in done.findings] == ["not_materialized"]
        assert {order.order_id for order in done.snapshots.ledger.orders} == {2}


@pytest.mark.parametrize("fails", ["history", "task"])
@pytest.mark.parametrize("deep", [False, True])
def test_a_vendor_that_is_down_is_reported_as_by_a_comparison_of_everything(fails, deep):
    """The other sources are compared all the same."""
    with varied_world() as world:
        Planter(world, Clock(), 3).task(points_charged=1)
        Planter(world, Clock(), 5).lose("video")
        world.vendor.fails[fails] = VendorError("the vendor is down")
        assert essence(audit(world, 1, deep=deep)) == essence(audit(world, None, deep=deep))


def test_tasks_of_later_groups_are_not_asked_for_where_those_of_one_cannot_be_read():
    """A deep audit does not wait for a vendor that is down once in each group."""
    with varied_world() as world:
        world.vendor.fails["task"] = VendorError("the vendor is down")
        [finding] = audit(world, 1, deep=True).findings
        assert finding.message == "tasks cannot be read: the vendor is down"
        assert set(world.vendor.requested) <= {"task-1", "task-4"}  # p1 has both


@pytest.mark.parametrize("partition", ["p1", "p8"])
def test_what_is_stored_while_groups_are_compared_is_not_a_finding(partition, monkeypatch):
    """A video that is stored, reported and indexed after its partition was compared is not audited."""
    monkeypatch.setattr(screen, "GROUP", 1)
    with varied_world() as world:
        added = []

        def progress(step: str, _done: int, _total: int) -> None:
            if step == COMPARING and not added:
                added.append(world.add(8, partition=partition))

        done = asyncio.run(run_audit(world.services, world.dagster, Scope(), progress=progress))
        assert added
        assert done.findings == ()


def test_a_restored_retry_is_booked_as_the_attempt_that_agrees_everywhere(tmp_path, clock):
    """The attempt before a missing order is found though it is not among what an audit leaves."""
    with agreeing_world(tmp_path, clock, orders=1, stored_at=LONG_AGO) as world:
        first = columns_of(world.add(2, attempt=2, retries=0, stored_at=LONG_AGO, booked_at=EARLY))
        first |= {"attempt": 1, "retries": 1, "task_id": None, "ordered_at": EARLY}
        first |= dict.fromkeys(("video_key", "poster_key", "manifest_key"))
        world.ledger.repairs.restore(first, order_id=3, actor="test", source="test", state=State.FAILED)
        planter = Planter(world, clock, 2)
        planter.remove_row()
        planter.wipe()
        planter.wipe_task()
        assert 3 not in {order.order_id for order in world.audit().snapshots.ledger.orders}
        assert world.repair()["missing_order"].repaired
        assert world.ledger.queries.get(2).booked_at == EARLY
