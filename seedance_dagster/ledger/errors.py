"""What can go wrong with the ledger.

LedgerError
├── LedgerUnavailableError   cannot be opened, is locked, its disk is full
├── LedgerVersionError       written by a newer version of this package
├── StaleOrderError          the order moved on, or its lease passed to somebody else
└── TaskOwnedError           the task id belongs to another order already
"""

from __future__ import annotations


class LedgerError(Exception):
    """Base of all ledger errors; the message is for people and holds no secret."""


class LedgerUnavailableError(LedgerError):
    """The database cannot be opened or written; nothing was changed."""


class LedgerVersionError(LedgerError):
    """The ledger's schema is newer than this version of the package."""


class StaleOrderError(LedgerError):
    """The order is no longer in the expected state or lease; whoever holds it goes on with it."""


class TaskOwnedError(LedgerError):
    """A task id may belong to one order only."""
