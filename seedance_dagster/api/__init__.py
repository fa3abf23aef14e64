"""The vendor: wire models, client, error tree, prices and limits. Knows nothing of Dagster, S3 or SQL."""

from __future__ import annotations

from seedance_dagster.api.client import SeedanceClient
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
