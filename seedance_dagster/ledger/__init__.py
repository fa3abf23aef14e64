"""What was ordered and paid: SQL tables, claims, leases, transitions and the journal."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seedance_dagster.ledger.acceptance import Asking, Outcome
    from seedance_dagster.ledger.budgets import Budget, BudgetStanding
    from seedance_dagster.ledger.errors import (
        BudgetExceededError,
        LedgerError,
        LedgerUnavailableError,
        LedgerVersionError,
        StaleOrderError,
        TaskOwnedError,
    )
    from seedance_dagster.ledger.ledger import Ledger
    from seedance_dagster.ledger.order import AT_VENDOR, OPEN, NewOrder, Order, State
    from seedance_dagster.ledger.reading import Actionable, Count, JournalEntry

__all__ = [
    "AT_VENDOR",
    "OPEN",
    "Actionable",
    "Asking",
    "Budget",
    "BudgetExceededError",
    "BudgetStanding",
    "Count",
    "JournalEntry",
    "Ledger",
    "LedgerError",
    "LedgerUnavailableError",
    "LedgerVersionError",
    "NewOrder",
    "Order",
    "Outcome",
    "StaleOrderError",
    "State",
    "TaskOwnedError",
]

_HOMES = {
    "AT_VENDOR": "order",
    "Actionable": "reading",
    "Asking": "acceptance",
    "Budget": "budgets",
    "BudgetExceededError": "errors",
    "BudgetStanding": "budgets",
    "Count": "reading",
    "JournalEntry": "reading",
    "Ledger": "ledger",
    "LedgerError": "errors",
    "LedgerUnavailableError": "errors",
    "LedgerVersionError": "errors",
    "NewOrder": "order",
    "OPEN": "order",
    "Order": "order",
    "Outcome": "acceptance",
    "StaleOrderError": "errors",
    "State": "order",
    "TaskOwnedError": "errors",
}


def __getattr__(name: str) -> Any:
    """Each name when it is first used: an order's states need no SQL library."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
