"""Indexes in S3 and their writers."""

from __future__ import annotations

import pytest
from order_factory import OrderFactory
from stores import MemoryStore

from seedance_dagster.engine import index_writer
from seedance_dagster.engine.services import Services


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(prefix="p")


@pytest.fixture
def services(ledger, store, clock) -> Services:
    def nobody():
        raise AssertionError("an index does not need the vendor")

    return Services(ledger=ledger, open_client=nobody, store=store, clock=clock)


@pytest.fixture
def orders(ledger, clock) -> OrderFactory:
    return OrderFactory(ledger, clock, paced=True, prefix="p")


@pytest.fixture
def small_parts(monkeypatch) -> None:
    """Parts of two rows."""
    monkeypatch.setattr(index_writer, "PART_ROWS", 2)
