"""Several reads in one transaction."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from seedance_dagster.ledger.order import State

pytestmark = pytest.mark.each_database


def test_what_is_read_together_is_one_transaction(ledger, orders):
    """Several reads, such as those of a worker's last look, share one transaction."""
    order = orders.make(State.SUBMITTED)
    begun: list[int] = []
    sa.event.listen(ledger._database._engine, "begin", lambda _: begun.append(1))
    with ledger.reading_together():
        assert ledger.workload.in_flight() == 1
        with ledger.reading_together():
            assert ledger.queries.get(order.order_id) == order
        assert ledger.pauses.active() == {}
    assert len(begun) == 1
    ledger.workload.in_flight()
    assert len(begun) == 2


def test_a_write_within_is_a_transaction_of_its_own(ledger, orders, clock):
    """A write within joint reads is committed on its own, whatever happens to them."""

    def read_and_fail() -> None:
        with ledger.reading_together():
            ledger.observations.remember({"limit": 7})
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        read_and_fail()
    assert ledger.observations.recall("limit")["limit"].value == 7
