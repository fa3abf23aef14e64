"""Workers of several processes write side by side, and none gets another's orders."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest

from seedance_dagster.ledger.errors import TaskOwnedError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State

pytestmark = pytest.mark.each_database


@pytest.fixture
def ledgers(ledger, ledger_url, clock):
    """Four connections to one ledger."""
    others = [Ledger.open(ledger_url, clock=clock) for _ in range(3)]
    yield [ledger, *others]
    for connection in others:
        connection.close()


def test_an_order_is_leased_to_one_worker(ledgers, orders):
    """Four workers that take what is due at once get each order once, and all of them."""
    made = orders.make_many(State.SUBMITTED, *(f"p{number}" for number in range(24)))

    def take(number: int) -> list[int]:
        taken: list[int] = []
        while more := ledgers[number].tasks.lease_due(f"w{number}", State.SUBMITTED, limit=3):
            taken += [order.order_id for order in more]
        return taken

    for order in made:
        ledgers[0].tasks.polled(order, due_at=orders.clock(), task={})
    with ThreadPoolExecutor(4) as threads:
        taken = list(chain.from_iterable(threads.map(take, range(4))))
    assert sorted(taken) == sorted(order.order_id for order in made)


def test_a_task_is_recorded_for_one_order(ledgers, orders, clock):
    """Of two orders that are given one task at once, one is refused."""
    claimed = orders.make_many(State.CLAIMED, "a", "b", "c", "d")

    def record(number: int) -> str:
        task = {"task_id": "the-same"}
        try:
            ledgers[number].tasks.submitted(claimed[number], actor="w", due_at=clock(), task=task)
        except TaskOwnedError as error:
            return str(error)
        return "recorded"

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(record, range(4)))
    assert results.count("recorded") == 1
    assert all("belongs to" in result for result in results if result != "recorded")
