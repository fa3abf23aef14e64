"""The environment variables of the contract, read in one place, for `definitions.py` and the command line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import SecretStr

from seedance_dagster.defs.policy import (
    DEFAULT_BASE_URL,
    DEFAULT_MAX_REJECTIONS_PER_DAY,
    LEAST_USD,
    MOST_USD,
    default_ledger_url,
    policy_for,
    signer_for,
)

if TYPE_CHECKING:
    from seedance_dagster.api.client import SeedanceClient
    from seedance_dagster.engine.policy import Policy
    from seedance_dagster.engine.services import Services
    from seedance_dagster.storage.s3 import VideoStore

_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}
_SWITCH = {"on": True, "off": False, "": None}


class SettingError(ValueError):
    """An environment variable cannot be used; the message names it and what is allowed."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment says.

    Attributes:
        api_key: `GOAPI_API_KEY`; empty when unset.
        base_url: `GOAPI_BASE_URL`.
        prompts: `SEEDANCE_PROMPTS`, a file, folder or s3:// location of prompt sets.
        s3_bucket: `SEEDANCE_S3_BUCKET`; empty when unset.
        s3_prefix: `SEEDANCE_S3_PREFIX`.
        ledger_url: `SEEDANCE_LEDGER_URL`; by default SQLite under `$DAGSTER_HOME`.
        max_in_flight: `SEEDANCE_MAX_IN_FLIGHT`; None for the account's own limit.
        off_peak_only: `SEEDANCE_OFF_PEAK_ONLY`.
        max_rejections_per_day: `SEEDANCE_MAX_REJECTIONS_PER_DAY`.
        preflight: `SEEDANCE_PREFLIGHT`; None: on, unless the API is on this machine.
        allow_private_hosts: `SEEDANCE_ALLOW_PRIVATE_HOSTS`; None: off, unless the API is on this machine.
        budget_usd_per_day: `SEEDANCE_BUDGET_USD_PER_DAY`; None for no limit.
        budget_usd_per_month: `SEEDANCE_BUDGET_USD_PER_MONTH`; None for no limit.
        pending_usd_per_run: `SEEDANCE_PENDING_USD_PER_RUN`; None where budgets alone limit the schedule.
        c2pa_certificate: `SEEDANCE_C2PA_CERTIFICATE`, a path or PEM; empty when unset.
        c2pa_key: `SEEDANCE_C2PA_KEY`, a path or PEM; empty when unset.
        c2pa_include_prompt: `SEEDANCE_C2PA_INCLUDE_PROMPT`.
    """

    api_key: SecretStr
    base_url: str
    prompts: str
    s3_bucket: str
    s3_prefix: str
    ledger_url: str = field(repr=False)  # may hold a password
    max_in_flight: int | None
    off_peak_only: bool
    max_rejections_per_day: int
    preflight: bool | None
    allow_private_hosts: bool | None
    budget_usd_per_day: float | None
    budget_usd_per_month: float | None
    pending_usd_per_run: float | None
    c2pa_certificate: str = field(repr=False)
    c2pa_key: SecretStr
    c2pa_include_prompt: bool

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the variables.

        Raises:
            SettingError: One of them cannot be used.
        """
        home = Path(environ.get("DAGSTER_HOME") or Path.cwd())
        return cls(
            api_key=SecretStr(environ.get("GOAPI_API_KEY", "").strip()),
            base_url=_address(environ, "GOAPI_BASE_URL") or DEFAULT_BASE_URL,
            prompts=environ.get("SEEDANCE_PROMPTS") or "prompt_sets",
            s3_bucket=environ.get("SEEDANCE_S3_BUCKET", "").strip(),
            s3_prefix=environ.get("SEEDANCE_S3_PREFIX") or "seedance",
            ledger_url=environ.get("SEEDANCE_LEDGER_URL") or default_ledger_url(home),
            max_in_flight=_whole_number(environ, "SEEDANCE_MAX_IN_FLIGHT"),
            off_peak_only=_boolean(environ, "SEEDANCE_OFF_PEAK_ONLY"),
            max_rejections_per_day=_whole_number(environ, "SEEDANCE_MAX_REJECTIONS_PER_DAY")
            or DEFAULT_MAX_REJECTIONS_PER_DAY,
            preflight=_switch(environ, "SEEDANCE_PREFLIGHT"),
            allow_private_hosts=_switch(environ, "SEEDANCE_ALLOW_PRIVATE_HOSTS"),
            budget_usd_per_day=_usd(environ, "SEEDANCE_BUDGET_USD_PER_DAY"),
            budget_usd_per_month=_usd(environ, "SEEDANCE_BUDGET_USD_PER_MONTH"),
            pending_usd_per_run=_usd(environ, "SEEDANCE_PENDING_USD_PER_RUN"),
            c2pa_certificate=environ.get("SEEDANCE_C2PA_CERTIFICATE", "").strip(),
            c2pa_key=SecretStr(environ.get("SEEDANCE_C2PA_KEY", "").strip()),
            c2pa_include_prompt=_boolean(environ, "SEEDANCE_C2PA_INCLUDE_PROMPT"),
        )

    def policy(self) -> Policy:
        """The engine's settings."""
        return policy_for(self)

    def open_client(self) -> SeedanceClient:
        """A new API client; raises `AuthenticationError` without a key."""
        from seedance_dagster.api.client import SeedanceClient  # noqa: PLC0415  heavy

        return SeedanceClient(api_key=self.api_key, base_url=self.base_url)

    def open_store(self) -> VideoStore:
        """The video store, through boto3's own environment; a session of its own sees it as it is now.

        Raises:
            StoreError: Its settings cannot be used.
        """
        import boto3  # noqa: PLC0415  heavy

        from seedance_dagster.storage.s3 import VideoStore, made_client  # noqa: PLC0415  heavy

        client = made_client(lambda: boto3.Session().client("s3"))
        return VideoStore(client, self.s3_bucket, self.s3_prefix)

    @contextmanager
    def services(self) -> Iterator[Services]:
        """The engine's surroundings, the ledger closed at the end; raises `LedgerError` and `StoreError`."""
        from seedance_dagster.engine.services import Services  # noqa: PLC0415  heavy
        from seedance_dagster.ledger.ledger import Ledger  # noqa: PLC0415  heavy

        ledger = Ledger.open(self.ledger_url)
        try:
            yield Services(
                ledger=ledger,
                open_client=self.open_client,
                store=self.open_store(),
                policy=self.policy(),
                signer=signer_for(self.c2pa_certificate, self.c2pa_key, self.c2pa_include_prompt),
            )
        finally:
            ledger.close()


def _address(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip()
    if "@" in value:
        # It is shown in the UI.
        raise SettingError(f"{name} must hold no user and no password; the key goes into GOAPI_API_KEY")
    return value


def _whole_number(environ: Mapping[str, str], name: str) -> int | None:
    value = environ.get(name, "").strip()
    if not value:
        return None
    if not value.isdecimal() or int(value) < 1:
        raise SettingError(f"{name} must be a whole number from 1, not {value!r}")
    return int(value)


def _usd(environ: Mapping[str, str], name: str) -> float | None:
    value = environ.get(name, "").strip()
    if not value:
        return None
    try:
        amount = float(value)
    except ValueError:
        amount = math.nan
    if not LEAST_USD <= amount <= MOST_USD:
        raise SettingError(f"{name} must be a positive number of USD, such as 25 or 12.50, not {value!r}")
    return amount


def _switch(environ: Mapping[str, str], name: str) -> bool | None:
    value = environ.get(name, "").strip().lower()
    if value not in _SWITCH:
        raise SettingError(f"{name} must be on or off, not {value!r}")
    return _SWITCH[value]


def _boolean(environ: Mapping[str, str], name: str) -> bool:
    value = environ.get(name, "").strip().lower()
    if value not in _BOOLEANS:
        raise SettingError(f"{name} must be true or false, not {value!r}")
    return _BOOLEANS[value]
