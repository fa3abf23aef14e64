"""A run's maintenance: why orders wait is reported, and no error there ends the run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from seedance_dagster.engine.events import Delayed
from seedance_dagster.engine.policy import Policy
from seedance_dagster.engine.runtime import maintenance
from seedance_dagster.engine.runtime.maintenance import Maintenance
from seedance_dagster.engine.throttle import Throttle
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.order import State
from seedance_dagster.storage.errors import StoreError


@pytest.fixture
def services(ledger, clock):
    def none(key: str) -> bytes:
        raise StoreError("no poster")

    return SimpleNamespace(
        ledger=ledger,
        clock=clock,
        policy=Policy(),
        throttle=lambda: Throttle(None, ("off-peak only",)),
        store=SimpleNamespace(get_bytes=none),
    )


@pytest.fixture
def rounds(services, monkeypatch):
    """Does rounds of maintenance, one for each outcome of reconciliation; returns their reasons."""

    def do(*outcomes: Exception | None, troubles: Sequence[str] = ()) -> list[list[str]]:
        reasons: list[list[str]] = []
        coming = iter(outcomes)

        async def reconciling(_worker: Worker) -> None:
            fault = next(coming)
            if fault is not None:
                raise fault

        async def emit(event: object) -> None:
            assert isinstance(event, Delayed)
            reasons[-1].append(event.reason)

        async def all_of_them() -> None:
            work = Maintenance(Worker("w", services, SimpleNamespace()), None, emit, lambda: list(troubles))
            for _ in outcomes:
                reasons.append([])
                await work.run_once()

        monkeypatch.setattr(maintenance, "reconcile", reconciling)
        asyncio.run(all_of_them())
        return reasons

    return do


def test_why_orders_wait_is_reported_once(rounds, orders):
    """A reason is reported when it is new, and only while something is queued."""
    assert rounds(None) == [[]]
    orders.place("cat")
    assert rounds(None, None, None) == [["off-peak only"], [], []]


def test_an_unavailable_ledger_is_reported_and_does_not_end_the_run(rounds, orders):
    """An unavailable ledger is reported once each time."""
    gone = LedgerUnavailableError("the ledger is locked")
    orders.place("cat")
    assert rounds(gone, gone, None, gone) == [
        ["the ledger is locked"],
        [],
        ["off-peak only"],
        ["the ledger is locked"],
    ]


def test_a_stage_that_cannot_write_is_reported_although_rounds_can(rounds):
    """On a full disk some can still write: the run names the reason while others stand still."""
    assert rounds(None, None, troubles=["the disk is full"]) == [["the disk is full"], []]


def test_an_unexpected_error_does_not_end_the_run(rounds, orders, caplog):
    """An unexpected error is logged with its traceback, and the next round follows."""
    orders.place("cat")
    assert rounds(RuntimeError("surprise"), None) == [[], ["off-peak only"]]
    assert "unexpected error" in caplog.text


def test_unwritten_orders_are_returned(services, ledger, orders):
    """Orders that a worker could not write about are returned while it lives on; sent ones are uncertain."""
    sent, unsent, kept = (order.order_id for order in orders.make_many(State.CLAIMED, "a", "b", "c"))
    worker = Worker("w", services, SimpleNamespace(), possibly_sent={sent, kept}, unwritten={sent, unsent})
    asyncio.run(worker.return_orders())
    assert [ledger.queries.get(order_id).state for order_id in (sent, unsent, kept)] == [
        State.UNCERTAIN,
        State.QUEUED,
        State.CLAIMED,
    ]
    assert (worker.unwritten, worker.possibly_sent) == (set(), {kept})
