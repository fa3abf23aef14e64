"""Changes of orders, as a waiting run reads them from the journal."""

from __future__ import annotations

import pytest

from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest

pytestmark = pytest.mark.each_database
REQUEST = OrderRequest(idempotency_key="c", run_id="r")


def test_changes_are_those_since_an_entry(ledger, orders):
    """Each look begins where the last one ended, and gives the newest state of each order that moved."""
    first, second = orders.place("a", "b")
    seen = ledger.journal.states([first.order_id, second.order_id, 99])
    assert seen.states == {first.order_id: State.QUEUED, second.order_id: State.QUEUED}
    orders.advance(first, State.STORED)
    changes = ledger.journal.changes(seen.up_to)
    assert changes.states[first.order_id] is State.STORED
    assert changes.up_to == ledger.journal.position().entry_id
    again = ledger.journal.changes(changes.up_to)
    assert again.up_to == changes.up_to
    assert again.states[first.order_id] is State.STORED, "an overlap, for entries that were committed late"


def test_an_empty_journal_has_no_changes(ledger):
    """An empty journal has no changes."""
    assert ledger.journal.states([]).up_to == 0
    assert ledger.journal.changes(0).states == {}


def test_orders_are_counted_by_state_and_type_of_task(ledger, orders):
    """Orders are counted by state and type of task, on which the remaining time depends."""
    ids = [orders.make(State.SUBMITTED, "a").order_id, *(order.order_id for order in orders.place("b", "c"))]
    assert ledger.workload.kinds_of(ids) == {
        (State.SUBMITTED, "seedance-2-fast"): 1,
        (State.QUEUED, "seedance-2-fast"): 2,
    }


def test_many_ids_are_looked_for_in_the_queue(ledger, new_order):
    """A wait for more orders than fit into a statement claims its own, and no others."""
    placed = ledger.orders.place([new_order(f"p{number}") for number in range(6)], REQUEST)
    own = {order.order_id for order, _ in placed[3:]} | set(range(1000, 2000))
    taken = ledger.claims.take("w", limit=10, max_in_flight=None, only=own)
    assert {order.order_id for order in taken} == {order.order_id for order, _ in placed[3:]}
    assert ledger.claims.take("w", limit=10, max_in_flight=None, only=own) == []
    assert ledger.claims.take("w", limit=10, max_in_flight=3) == []


def test_orders_placed_together_are_as_they_are_read(ledger, new_order):
    """Placing returns the orders as the ledger holds them, numbers included."""
    answered = ledger.orders.place(
        [new_order("a", reference_facts=[{"kind": "image"}]), new_order("b")], REQUEST
    )
    placed = [order for order, _ in answered]
    assert ledger.queries.get_many([order.order_id for order in placed]) == placed
    [(third, _)] = ledger.orders.place([new_order("c")], REQUEST)
    assert third.order_id == placed[-1].order_id + 1
