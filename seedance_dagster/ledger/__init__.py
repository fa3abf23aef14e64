"""What was ordered and paid: SQL tables, claims, leases, transitions and the journal."""

from __future__ import annotations

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
