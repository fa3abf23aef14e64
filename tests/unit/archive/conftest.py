"""A ledger whose journal can be archived into a store in memory."""

from __future__ import annotations

import pytest
from archive_support import services_of
from stores import MemoryStore

from seedance_dagster.engine import archiving
from seedance_dagster.engine.services import Services


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def services(ledger, store, clock) -> Services:
    return services_of(ledger, store, clock)


@pytest.fixture
def small_parts(monkeypatch) -> None:
    """Parts of two orders."""
    monkeypatch.setattr(archiving, "ORDERS_OF_A_PART", 2)
