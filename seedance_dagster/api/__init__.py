"""The vendor: wire models, client, error tree, prices and limits. Knows nothing of Dagster, S3 or SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seedance_dagster.api.errors import (
    AuthenticationError,
    InsufficientCreditsError,
    InvalidRequestError,
    NoTaskMadeError,
    NotFoundError,
    NotSentError,
    PlanLimitError,
    RateLimitError,
    SeedanceError,
    TransportError,
    UnknownOutcomeError,
    UnknownPriceError,
    VendorError,
)
from seedance_dagster.api.failures import FailureClass, classify_failure
from seedance_dagster.api.limits import Limits
from seedance_dagster.api.prices import POINTS_PER_USD, Estimate, PriceBook, points_to_usd, usd_to_points
from seedance_dagster.api.wire import (
    AccountInfo,
    GenerationRequest,
    HistoryPage,
    HistoryRow,
    Mode,
    Task,
    TaskStatus,
)

if TYPE_CHECKING:
    from seedance_dagster.api.client import SeedanceClient

__all__ = [
    "POINTS_PER_USD",
    "AccountInfo",
    "AuthenticationError",
    "Estimate",
    "FailureClass",
    "GenerationRequest",
    "HistoryPage",
    "HistoryRow",
    "InsufficientCreditsError",
    "InvalidRequestError",
    "Limits",
    "Mode",
    "NoTaskMadeError",
    "NotFoundError",
    "NotSentError",
    "PlanLimitError",
    "PriceBook",
    "RateLimitError",
    "SeedanceClient",
    "SeedanceError",
    "Task",
    "TaskStatus",
    "TransportError",
    "UnknownOutcomeError",
    "UnknownPriceError",
    "VendorError",
    "classify_failure",
    "points_to_usd",
    "usd_to_points",
]


def __getattr__(name: str) -> Any:
    """The client when it is first used: whoever only reads the ledger needs no HTTP libraries."""
    if name != "SeedanceClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from seedance_dagster.api.client import SeedanceClient  # noqa: PLC0415  heavy

    return SeedanceClient
