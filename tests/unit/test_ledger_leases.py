"""The clock of leases, where several machines share a ledger."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from order_factory import OrderFactory

from seedance_dagster.ledger import base
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State


class Ahead(datetime):
    """The wall clock of a machine that is ten minutes ahead."""

    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + timedelta(minutes=10)


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_a_machine_whose_clock_is_ahead_takes_no_leases_away(ledger_url, monkeypatch):
    """Leases follow the database's clock, so a machine that is ahead takes none before its time."""
    ledger = Ledger.open(ledger_url)
    orders = OrderFactory(ledger, base.utc_now)
    orders.make(State.SUBMITTED, "a")
    orders.place("b")
    [_] = ledger.tasks.lease_due("x", State.SUBMITTED, limit=1, lease_s=60)
    [claimed] = ledger.claims.take("x", limit=1, max_in_flight=None, lease_s=60)
    assert ledger.leases.acquire("advance", "x", seconds=60)
    with monkeypatch.context() as patch:
        patch.setattr(base, "datetime", Ahead)
        assert ledger.tasks.lease_due("y", State.SUBMITTED, limit=1) == []
        assert ledger.claims.expire(actor="y") == []
        assert not ledger.leases.acquire("advance", "y", seconds=60)
        assert ledger.leases.holds(claimed, margin_s=30)
    ledger.close()
