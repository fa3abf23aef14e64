"""The command `cancel`: an empty part of a name never means more than was named."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from order_factory import OrderFactory

from seedance_dagster.cli.root import root
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State


@pytest.mark.parametrize("target", ["", "/", "spots/", "/one"])
def test_an_empty_name_cancels_nothing(tmp_path, monkeypatch, clock, target):
    """A shell variable that is empty withdraws neither a whole set nor all sets."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setattr("os.environ", {"SEEDANCE_LEDGER_URL": url})
    ledger = Ledger.open(url)
    OrderFactory(ledger, clock).make(State.QUEUED, "one")
    done = CliRunner().invoke(root, ["cancel", target])
    assert done.exit_code == 2
    assert f"{target!r} names no prompt set or SET/PARTITION; --all cancels everything" in done.output
    assert [order.state for order in ledger.queries.find()] == [State.QUEUED]
    ledger.close()
