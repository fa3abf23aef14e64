"""Ledgers whose progress an instance remembers, and copies of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from factories import make_new_order

from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.orders import OrderRequest


def place(ledger: Ledger, *partitions: str) -> None:
    """Write journal entries, one for each partition."""
    request = OrderRequest(idempotency_key="c", run_id="r")
    ledger.orders.place([make_new_order(partition) for partition in partitions], request)


def copy(ledger: Ledger, to: str) -> str:
    """Make a backup of a SQLite ledger; return its URL."""
    with (
        closing(sqlite3.connect(ledger.label.removeprefix("sqlite:///"))) as source,
        closing(sqlite3.connect(to)) as target,
    ):
        source.backup(target)
    return f"sqlite:///{to}"
