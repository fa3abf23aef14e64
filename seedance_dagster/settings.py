"""All options, each declared once: for the environment, the Dagster resources and the documentation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from seedance_dagster.money import Window, usd_to_points

if TYPE_CHECKING:
    from seedance_dagster.api.client import SeedanceClient
    from seedance_dagster.engine.policy import Policy
    from seedance_dagster.engine.services import Services
    from seedance_dagster.media.credentials import Signer
    from seedance_dagster.storage.s3 import VideoStore

_LEAST_USD, _MOST_USD = 1e-7, 1e11  # one point, and more than any account holds

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_OTHER_NAMES = {
    "api_key": "GOAPI_API_KEY",
    "base_url": "GOAPI_BASE_URL",
    "bucket": "SEEDANCE_S3_BUCKET",
    "prefix": "SEEDANCE_S3_PREFIX",
    "ledger": "SEEDANCE_LEDGER_URL",
    "dagster_home": "DAGSTER_HOME",
}
_ALLOWED = {
    "int": ("a whole number", "whole numbers from 1"),
    "float": ("an amount of money", "amounts in USD above 0, such as 25 or 12.50"),
    "bool": ("true or false", "true and false, also written yes and no, on and off, 1 and 0"),
}


class SettingError(ValueError):
    """Environment variables that cannot be used; the message has a line for each, with what is allowed."""


def _usd(description: str) -> Any:
    return Field(default=None, ge=_LEAST_USD, le=_MOST_USD, description=description)


class ApiOptions(BaseModel):
    """Options of the vendor's API: the account and its limits."""

    api_key: str = Field(
        default="",
        repr=False,
        description="The API key. Without it everything loads and nothing is submitted.",
    )
    base_url: str = Field(
        default="https://api.goapi.ai",
        description="The address of the API, without user name or password.",
    )
    max_in_flight: int | None = Field(
        default=None,
        gt=0,
        description="The number of tasks that may be at the vendor at once. By default the account's limit.",
    )
    off_peak_only: bool = Field(
        default=False,
        description="Submit only outside the vendor's peak hours, 09:00-15:00 UTC.",
    )
    max_rejections_per_day: int = Field(
        default=100,
        gt=0,
        description="The number of prompts that moderation may reject in a UTC day before submitting stops "
        "until 00:00 UTC. The vendor charges for rejected prompts, and more for each as they add up.",
    )
    post_timeout_s: int = Field(
        default=180,
        gt=0,
        description="Seconds to wait for the API's reply to a new task; it may fetch reference files first. "
        "After that the order is uncertain and is looked up in the API's history.",
    )
    get_timeout_s: int = Field(
        default=30, gt=0, description="Seconds to wait for any other reply of the API."
    )
    preflight: bool | None = Field(
        default=None,
        description="Look at each reference file before an order is placed, so that an "
        "unusable one costs nothing. By default on, unless the API runs on this machine.",
    )
    allow_private_hosts: bool | None = Field(
        default=None,
        description="Fetch videos and reference files from private and loopback addresses too. By default "
        "off, unless the API runs on this machine.",
    )
    budget_usd_per_day: float | None = _usd(
        "The most that may be spent in a UTC day, in USD. What would exceed it is not ordered.",
    )
    budget_usd_per_month: float | None = _usd(
        "The most that may be spent in a UTC month, in USD. What would exceed it is not ordered.",
    )

    def policy(self) -> Policy:
        """Return the engine's policy; an API on this machine is trusted with its own addresses by default."""
        from seedance_dagster.engine.policy import Policy  # noqa: PLC0415  heavy
        from seedance_dagster.ledger.budgets import Budget  # noqa: PLC0415  heavy

        local = _is_on_this_machine(self.base_url)
        limits = {Window.DAY: self.budget_usd_per_day, Window.MONTH: self.budget_usd_per_month}
        return Policy(
            max_in_flight=self.max_in_flight,
            off_peak_only=self.off_peak_only,
            max_rejections_per_day=self.max_rejections_per_day,
            budgets=tuple(
                Budget(window=window, points=usd_to_points(usd))
                for window, usd in limits.items()
                if usd is not None
            ),
            allow_private_hosts=local if self.allow_private_hosts is None else self.allow_private_hosts,
            preflight=not local if self.preflight is None else self.preflight,
        )


class StorageOptions(BaseModel):
    """Options of the place where videos are stored, and of the credentials in them."""

    bucket: str = Field(default="", description="The S3 bucket that videos are stored in.")
    prefix: str = Field(default="seedance", description="The prefix of every key in the bucket.")
    c2pa_certificate: str = Field(
        default="",
        repr=False,
        description="The certificate chain in PEM, or the path of a file with it. With it and the "
        "private key each video gets a signed C2PA content credential.",
    )
    c2pa_key: str = Field(
        default="",
        repr=False,
        description="The private key of the C2PA certificate in PEM, or the path of a file with it.",
    )
    c2pa_include_prompt: bool = Field(
        default=False, description="Include the prompt's text in the C2PA content credential."
    )

    def signer(self) -> Signer | None:
        """Return what signs videos; None where neither certificate nor key is set. Nothing is read yet."""
        from seedance_dagster.media.credentials import CredentialSettings, Signer  # noqa: PLC0415  heavy

        if not self.c2pa_certificate and not self.c2pa_key:
            return None
        return Signer(
            CredentialSettings(
                certificate=self.c2pa_certificate,
                key=SecretStr(self.c2pa_key),
                include_prompt=self.c2pa_include_prompt,
            )
        )


class Settings(ApiOptions, StorageOptions, BaseSettings):
    """The options as environment variables set them.

    The variable of a field is `Settings.model_fields[name].validation_alias`.
    """

    model_config = SettingsConfigDict(
        frozen=True, alias_generator=lambda name: _OTHER_NAMES.get(name, f"SEEDANCE_{name.upper()}")
    )

    prompts: str = Field(
        default="prompt_sets",
        description="Where the prompt sets are: a file, a folder or an s3:// location.",
    )
    ledger: str = Field(
        default="",
        repr=False,  # may hold a password
        description="Where orders and payments are recorded: an SQLAlchemy URL of SQLite or PostgreSQL. By "
        "default an SQLite file under DAGSTER_HOME.",
    )
    pending_usd_per_run: float | None = _usd(
        "The most that one scheduled run of seedance_order_pending may spend, in USD. By default "
        "the budgets limit it; without a budget it orders nothing.",
    )
    dagster_home: str = Field(default="", description="The folder of the Dagster instance; Dagster's own.")

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # pydantic names its arguments
        cls, _settings: type[BaseSettings], init_settings: PydanticBaseSettingsSource, **_others: object
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read only what `from_environ` passes."""
        return (init_settings,)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings from environment variables; an empty one counts as unset.

        Raises:
            SettingError: Some of them cannot be used.
        """
        source = EnvSettingsSource(cls, case_sensitive=True)
        source.env_vars = {name: value.strip() for name, value in environ.items() if value.strip()}
        try:
            return cls(**source())
        except ValidationError as error:
            lines = [_describe(problem) for problem in error.errors(include_url=False)]
            raise SettingError("\n".join(lines)) from None

    @field_validator("base_url")
    @classmethod
    def _without_password(cls, url: str) -> str:
        if "@" in url:  # the UI shows it
            raise ValueError(
                "holds a user name or password; allowed is an address such as https://api.goapi.ai, and the "
                "key goes into GOAPI_API_KEY"
            )
        return url

    @property
    def ledger_url(self) -> str:
        """The SQLAlchemy URL of the ledger.

        Raises:
            SettingError: Neither it nor Dagster's folder is set, so any choice could be the wrong ledger.
        """
        if self.ledger:
            return self.ledger
        if not Path(self.dagster_home).is_absolute():
            found = (
                f"DAGSTER_HOME is {self.dagster_home!r}" if self.dagster_home else "DAGSTER_HOME is not set"
            )
            raise SettingError(
                f"{found}, so it is unknown which ledger is meant: set DAGSTER_HOME to the absolute path of "
                "Dagster's folder, or SEEDANCE_LEDGER_URL to the ledger's address"
            )
        return default_ledger_url(self.dagster_home)

    def open_client(self) -> SeedanceClient:
        """Return a new API client; raises `AuthenticationError` without a key."""
        from seedance_dagster.api.client import SeedanceClient  # noqa: PLC0415  heavy

        return SeedanceClient(
            api_key=SecretStr(self.api_key),
            base_url=self.base_url,
            timeout_s=self.get_timeout_s,
            post_timeout_s=self.post_timeout_s,
        )

    def open_store(self) -> VideoStore:
        """Return the video store, reached as boto3's own environment variables say at this moment.

        Raises:
            StoreError: Its settings cannot be used.
        """
        import boto3  # noqa: PLC0415  heavy

        from seedance_dagster.storage.s3 import VideoStore, create_client  # noqa: PLC0415  heavy

        client = create_client(lambda: boto3.Session().client("s3"))
        return VideoStore(client, self.bucket, self.prefix)

    @contextmanager
    def services(self) -> Iterator[Services]:
        """Open the engine's services, and close the ledger at the end.

        Raises:
            SettingError: It is unknown which ledger is meant.
            LedgerError: The ledger cannot be opened.
            StoreError: The store's settings cannot be used.
        """
        from seedance_dagster.engine.services import Services  # noqa: PLC0415  heavy
        from seedance_dagster.ledger.ledger import Ledger  # noqa: PLC0415  heavy

        ledger = Ledger.open(self.ledger_url)
        try:
            yield Services(
                ledger=ledger,
                open_client=self.open_client,
                store=self.open_store(),
                policy=self.policy(),
                signer=self.signer(),
            )
        finally:
            ledger.close()


def default_ledger_url(home: str | os.PathLike[str]) -> str:
    """Return the URL of the SQLite ledger in Dagster's folder."""
    return f"sqlite:///{Path(home).absolute() / 'seedance' / 'ledger.db'}"


def _describe(problem: Mapping[str, Any]) -> str:
    variable = str(problem["loc"][0])
    if problem["type"] == "value_error":
        return f"{variable}: {problem['ctx']['error']}"
    [field] = [field for field in Settings.model_fields.values() if field.validation_alias == variable]
    noun, allowed = next(words for name, words in _ALLOWED.items() if name in str(field.annotation))
    wrong = f"is not {noun}" if problem["type"].endswith("_parsing") else "is out of range"
    return f"{variable}: {problem['input']!r} {wrong}; allowed are {allowed}"


def _is_on_this_machine(base_url: str) -> bool:
    try:
        return urlsplit(base_url).hostname in _LOOPBACK
    except ValueError:
        return False  # the client says what is wrong with it
