"""What the resources' settings and the environment's mean, for both alike."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from pydantic import SecretStr

from seedance_dagster.money import Window, usd_to_points

if TYPE_CHECKING:
    from seedance_dagster.engine.policy import Policy
    from seedance_dagster.media.credentials import Signer

DEFAULT_BASE_URL = "https://api.goapi.ai"
DEFAULT_MAX_REJECTIONS_PER_DAY = 100
LEAST_USD, MOST_USD = 1e-7, 1e11
"""A point, and more than any account has: bounds of a budget."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class PolicySettings(Protocol):
    """What says how the engine works; amounts in USD."""

    @property
    def base_url(self) -> str:
        """The API's root."""

    @property
    def max_in_flight(self) -> int | None:
        """Tasks at once; None for the account's own limit."""

    @property
    def off_peak_only(self) -> bool:
        """Submit only outside the peak hours."""

    @property
    def max_rejections_per_day(self) -> int:
        """Rejections in a UTC day after which submitting stops."""

    @property
    def preflight(self) -> bool | None:
        """Look at references first; None: unless the API is on this machine."""

    @property
    def allow_private_hosts(self) -> bool | None:
        """Videos and references may lie at private addresses; None: if the API is on this machine."""

    @property
    def budget_usd_per_day(self) -> float | None:
        """Hard limit by UTC day."""

    @property
    def budget_usd_per_month(self) -> float | None:
        """Hard limit by UTC month."""


def policy_for(settings: PolicySettings) -> Policy:
    """The engine's settings; by default an API on this machine may link to it and fetches no reference."""
    from seedance_dagster.engine.policy import Policy  # noqa: PLC0415  heavy
    from seedance_dagster.ledger.budgets import Budget  # noqa: PLC0415  heavy

    local = _is_on_this_machine(settings.base_url)
    limits = {Window.DAY: settings.budget_usd_per_day, Window.MONTH: settings.budget_usd_per_month}
    return Policy(
        max_in_flight=settings.max_in_flight,
        off_peak_only=settings.off_peak_only,
        max_rejections_per_day=settings.max_rejections_per_day,
        budgets=tuple(
            Budget(window=window, points=usd_to_points(usd))
            for window, usd in limits.items()
            if usd is not None
        ),
        allow_private_hosts=local if settings.allow_private_hosts is None else settings.allow_private_hosts,
        preflight=not local if settings.preflight is None else settings.preflight,
    )


def _is_on_this_machine(base_url: str) -> bool:
    try:
        return urlsplit(base_url).hostname in _LOOPBACK
    except ValueError:
        return False  # the client says what is wrong with it


def default_ledger_url(home: str | os.PathLike[str]) -> str:
    """SQLite under a folder, `$DAGSTER_HOME` as a rule."""
    return f"sqlite:///{Path(home).absolute() / 'seedance' / 'ledger.db'}"


def signer_for(certificate: str, key: SecretStr, include_prompt: bool) -> Signer | None:
    """What signs videos; None where neither certificate nor key is set. Nothing is looked at yet."""
    from seedance_dagster.media.credentials import CredentialSettings, Signer  # noqa: PLC0415  only where it is used

    if not certificate and not key.get_secret_value():
        return None
    return Signer(CredentialSettings(certificate=certificate, key=key, include_prompt=include_prompt))
