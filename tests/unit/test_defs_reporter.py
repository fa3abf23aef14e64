"""What Dagster is told of orders that others work on at the same time."""

from __future__ import annotations

import dagster as dg
import pytest

from seedance_dagster.defs.steps.reporter import Reporter
from seedance_dagster.engine.events import Stored, Submitted
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import State
from seedance_dagster.storage.s3 import VideoStore


def test_an_order_that_is_submitted_while_it_is_told_is_told_again(ledger, orders):
    """A run that tells of an accepted order never has the last word once another has submitted it."""
    [order] = orders.place("cat")
    services = Services(ledger=ledger, open_client=lambda: None, store=None)
    with dg.DagsterInstance.ephemeral() as instance:
        reporting = Reporter(instance, services).task(order)
        events = [next(reporting)]
        # Dagster keeps the event now; meanwhile another worker submits the order and says so.
        orders.advance(order, State.SUBMITTED)
        events += reporting
    assert [event.metadata["seedance/task_id"].value for event in events] == ["not yet submitted", "t-1"]


def test_an_order_is_told_as_it_stands(ledger, orders):
    """An order that was submitted since it was read is told as submitted, once."""
    [order] = orders.place("cat")
    orders.advance(order, State.SUBMITTED)
    services = Services(ledger=ledger, open_client=lambda: None, store=None)
    with dg.DagsterInstance.ephemeral() as instance:
        events = list(Reporter(instance, services).task(order))
    assert [event.metadata["seedance/task_id"].value for event in events] == ["t-1"]


@pytest.mark.parametrize("reported", ["submitted", "stored"])
def test_the_ledger_is_told_last(ledger, orders, reported):
    """A process killed while Dagster keeps its event leaves an order that is told again, never one untold."""
    order = orders.make(State(reported))
    event = Stored(order, None) if order.state is State.STORED else Submitted(order)
    services = Services(ledger=ledger, open_client=lambda: None, store=VideoStore(None, "videos"))
    with dg.DagsterInstance.ephemeral() as instance:
        marks = [ledger.queries.get(1).reported for _ in Reporter(instance, services).event(event)]
    assert set(marks) == {None}
    assert ledger.queries.get(1).reported == reported
