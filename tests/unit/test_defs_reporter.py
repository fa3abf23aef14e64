"""What Dagster is told of orders that others work on at the same time."""

from __future__ import annotations

import dagster as dg
import pytest
from index_support import end_order
from ledger_support import submit_orders

from seedance_dagster.defs.steps.reporter import Reporter
from seedance_dagster.engine.events import Stored, Submitted
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.storage.s3 import VideoStore


def test_an_order_that_is_submitted_while_it_is_told_is_told_again(ledger, new_order, clock):
    """A run that tells of an accepted order never has the last word once another has submitted it."""
    [(order, _)] = ledger.orders.place([new_order()], OrderRequest(idempotency_key="c", run_id="r"))
    services = Services(ledger=ledger, open_client=lambda: None, store=None)
    with dg.DagsterInstance.ephemeral() as instance:
        events = Reporter(instance, services).task(order)
        told = [next(events)]
        # Dagster keeps the event now; meanwhile another worker submits the order and says so.
        [claimed] = ledger.claims.take("w", limit=1, max_in_flight=None)
        ledger.tasks.submitted(
            claimed, actor="w", due_at=clock.now, task={"task_id": "t-1", "points_held": 5}
        )
        told += events
    assert [event.metadata["seedance/task_id"].value for event in told] == ["not yet submitted", "t-1"]


def test_an_order_is_told_as_it_stands(ledger, new_order, clock):
    """An order that was submitted since it was read is told as submitted, once."""
    [(order, _)] = ledger.orders.place([new_order()], OrderRequest(idempotency_key="c", run_id="r"))
    [claimed] = ledger.claims.take("w", limit=1, max_in_flight=None)
    ledger.tasks.submitted(claimed, actor="w", due_at=clock.now, task={"task_id": "t-1", "points_held": 5})
    services = Services(ledger=ledger, open_client=lambda: None, store=None)
    with dg.DagsterInstance.ephemeral() as instance:
        told = list(Reporter(instance, services).task(order))
    assert [event.metadata["seedance/task_id"].value for event in told] == ["t-1"]


@pytest.mark.parametrize("told", ["submitted", "stored"])
def test_the_ledger_is_told_last(ledger, new_order, clock, told):
    """A process killed while Dagster keeps its event leaves an order that is told again, never one untold."""
    if told == "stored":
        event: Submitted | Stored = Stored(end_order(ledger, new_order, clock), None)
    else:
        event = Submitted(*submit_orders(ledger, new_order, clock, "cat"))
    services = Services(ledger=ledger, open_client=lambda: None, store=VideoStore(None, "videos"))
    with dg.DagsterInstance.ephemeral() as instance:
        marks = [ledger.queries.get(1).reported for _ in Reporter(instance, services).event(event)]
    assert set(marks) == {None}
    assert ledger.queries.get(1).reported == told
