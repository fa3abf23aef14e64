"""The check that a ledger was not moved to another database."""

from __future__ import annotations

import sqlalchemy as sa

from seedance_dagster.ledger.errors import VerdictError
from seedance_dagster.ledger.tables.schema import ledger_identity


def check_not_moved(connection: sa.Connection) -> None:
    """Raise `VerdictError` where the ledger was moved while this process had it open."""
    moved_to = connection.scalar(sa.select(ledger_identity.c.moved_to))
    if moved_to is not None:
        raise VerdictError(
            f"the ledger was moved to {moved_to}: set SEEDANCE_LEDGER_URL to that and start again. Nothing "
            "was recorded"
        )
