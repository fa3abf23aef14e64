"""What Dagster is told of orders that others work on at the same time."""

from __future__ import annotations

import dagster as dg
import pytest

from seedance_dagster.defs.reporting import Reporter
from seedance_dagster.generation.services import Services
from seedance_dagster.ledger import Asking, Ledger


@pytest.fixture
def sqlite_ledger(tmp_path, clock):
    opened = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=clock)
    yield opened
    opened.close()


def test_an_order_that_is_submitted_while_it_is_told_is_told_again(sqlite_ledger, new_order, clock):
    """A run that tells of an accepted order never has the last word once another has submitted it."""
    ledger = sqlite_ledger
    [(order, _)] = ledger.accept([new_order()], Asking(cause="c", run_id="r"))
    services = Services(ledger=ledger, open_client=lambda: None, store=None)
    with dg.DagsterInstance.ephemeral() as instance:
        events = Reporter(instance, services).task(order)
        told = [next(events)]
        # Dagster keeps the event now; meanwhile another worker submits the order and says so.
        [claimed] = ledger.claim("w", limit=1, max_in_flight=None)
        ledger.submitted(claimed, actor="w", due_at=clock.now, task={"task_id": "t-1", "points_held": 5})
        told += events
    assert [event.metadata["seedance/task_id"].value for event in told] == ["not yet submitted", "t-1"]


def test_an_order_is_told_as_it_stands(sqlite_ledger, new_order, clock):
    """An order that was submitted since it was read is told as submitted, once."""
    ledger = sqlite_ledger
    [(order, _)] = ledger.accept([new_order()], Asking(cause="c", run_id="r"))
    [claimed] = ledger.claim("w", limit=1, max_in_flight=None)
    ledger.submitted(claimed, actor="w", due_at=clock.now, task={"task_id": "t-1", "points_held": 5})
    services = Services(ledger=ledger, open_client=lambda: None, store=None)
    with dg.DagsterInstance.ephemeral() as instance:
        told = list(Reporter(instance, services).task(order))
    assert [event.metadata["seedance/task_id"].value for event in told] == ["t-1"]
