"""The rate limit of an API as all processes of a ledger share it."""

from __future__ import annotations

from seedance_dagster.api.pacing import Reserve
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.ledger import Ledger


def shared_rate(ledger: Ledger, base_url: str) -> Reserve:
    """Return the function by which a client reserves time for its requests to an API."""

    def reserve(seconds: float) -> float:
        try:
            return ledger.rates.reserve(base_url, seconds)
        except LedgerUnavailableError:
            return 0.0  # each process keeps the rate by itself until the ledger is back

    return reserve
