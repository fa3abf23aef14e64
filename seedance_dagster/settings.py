"""The options as environment variables set them, for commands, definitions and the documentation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from seedance_dagster.api.webhook import secret_problem, url_problem, webhook_of
from seedance_dagster.options import ApiOptions, StorageOptions, usd_amount
from seedance_dagster.prompts.slugs import key_prefix_problem

if TYPE_CHECKING:
    from seedance_dagster.api.client import SeedanceClient
    from seedance_dagster.api.pacing import Reserve
    from seedance_dagster.engine.services import Services
    from seedance_dagster.storage.s3 import VideoStore


_OTHER_NAMES = {
    "api_key": "GOAPI_API_KEY",
    "base_url": "GOAPI_BASE_URL",
    "bucket": "SEEDANCE_S3_BUCKET",
    "prefix": "SEEDANCE_S3_PREFIX",
    "ledger": "SEEDANCE_LEDGER_URL",
    "dagster_home": "DAGSTER_HOME",
}
_ALLOWED = {
    "int": ("a whole number", "whole numbers from {ge} to {le}"),
    "float": ("an amount of money", "amounts in USD above 0, such as 25 or 12.50"),
    "bool": ("true or false", "true and false, also written yes and no, on and off, 1 and 0"),
}


class SettingError(ValueError):
    """Environment variables that cannot be used; the message has a line for each, with what is allowed."""


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
    key_prefix: str = Field(
        default="",
        description="Stands before the name of each prompt set, in asset keys (`<key prefix>/<set>/videos`), "
        "partitions, ledger and S3 (`<key prefix>.<set>`), so that two code locations of one Dagster "
        "instance may have sets of the same name.",
    )
    ledger: str = Field(
        default="",
        repr=False,  # may hold a password
        description="Where orders and payments are recorded: an SQLAlchemy URL of PostgreSQL, or of SQLite "
        "with the whole path (`sqlite:////var/lib/ledger.db`). By default an SQLite file under DAGSTER_HOME.",
    )
    pending_usd_per_run: float | None = usd_amount(
        "The most that one scheduled run of seedance_order_pending, or a run of an automation condition, may "
        "spend, in USD. By default the budgets limit it; without a budget it orders nothing.",
    )
    max_partitions_per_run: int = Field(
        default=250,
        gt=0,
        le=100_000,
        description="The largest number of partitions in one run. A larger backfill becomes several runs, "
        "each of which starts sooner.",
    )
    dagster_home: str = Field(default="", description="The folder of the Dagster instance; Dagster's own.")

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # pydantic names its arguments
        cls, _settings: type[BaseSettings], init_settings: PydanticBaseSettingsSource, **_others: object
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read only the values that `from_environ` passes."""
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

    @field_validator("base_url", "upload_url")
    @classmethod
    def _without_password(cls, url: str) -> str:
        if "@" in url:  # the UI shows it
            raise ValueError(
                "holds a user name or password; allowed is an address such as https://api.goapi.ai, and the "
                "key goes into GOAPI_API_KEY"
            )
        return url

    @field_validator("key_prefix")
    @classmethod
    def _key_prefix_rule(cls, key_prefix: str) -> str:
        if problem := key_prefix_problem(key_prefix):
            raise ValueError(problem)
        return key_prefix

    @field_validator("webhook_url")
    @classmethod
    def _webhook_address(cls, url: str) -> str:
        if problem := url_problem(url):
            raise ValueError(problem)
        return url

    @field_validator("webhook_secret")
    @classmethod
    def _webhook_pair(cls, secret: str, info: ValidationInfo) -> str:
        url = info.data.get("webhook_url")  # missing where it is a problem itself
        if url is not None and (url or secret) and (problem := secret_problem(secret, url=url)):
            raise ValueError(problem)
        return secret

    @property
    def ledger_url(self) -> str:
        """The SQLAlchemy URL of the ledger.

        Raises:
            SettingError: Neither it nor Dagster's folder is set, so any choice could be the wrong ledger.
        """
        if self.ledger:
            return self.ledger
        if not Path(self.dagster_home).is_absolute():
            reason = (
                f"DAGSTER_HOME is {self.dagster_home!r}" if self.dagster_home else "DAGSTER_HOME is not set"
            )
            raise SettingError(
                f"{reason}, so it is unknown which ledger is meant: set DAGSTER_HOME to the absolute path of "
                "Dagster's folder, or SEEDANCE_LEDGER_URL to the ledger's address"
            )
        return default_ledger_url(self.dagster_home)

    def open_client(self, reserve: Reserve | None = None) -> SeedanceClient:
        """Return a new API client; raise `AuthenticationError` without a key.

        Args:
            reserve: Shares the rate limit with other processes; None for one of this process's own.
        """
        from seedance_dagster.api.client import SeedanceClient  # noqa: PLC0415  heavy

        return SeedanceClient(
            api_key=SecretStr(self.api_key),
            base_url=self.base_url,
            upload_url=self.upload_url,
            reserve=reserve,
            timeout_s=self.get_timeout_s,
            post_timeout_s=self.post_timeout_s,
            webhook=webhook_of(self.webhook_url, self.webhook_secret),
        )

    def open_store(self) -> VideoStore:
        """Return the video store, reached as boto3's own environment variables say at this moment.

        Raises:
            StoreError: Its settings cannot be used.
        """
        import boto3  # noqa: PLC0415  heavy

        from seedance_dagster.storage.clients import create_client  # noqa: PLC0415  heavy
        from seedance_dagster.storage.s3 import VideoStore  # noqa: PLC0415  heavy

        client = create_client(lambda: boto3.Session().client("s3"))
        return VideoStore(client, self.bucket, self.prefix, self.request_options())

    @contextmanager
    def services(self) -> Iterator[Services]:
        """Open the engine's services, and close the ledger at the end.

        Raises:
            SettingError: It is unknown which ledger is meant.
            LedgerError: The ledger cannot be opened.
            StoreError: The store's settings cannot be used.
        """
        from seedance_dagster.engine.services import Services  # noqa: PLC0415  heavy
        from seedance_dagster.engine.shared_rate import shared_rate  # noqa: PLC0415  heavy
        from seedance_dagster.ledger.ledger import Ledger  # noqa: PLC0415  heavy

        ledger = Ledger.open(self.ledger_url)
        try:
            yield Services(
                ledger=ledger,
                open_client=partial(self.open_client, shared_rate(ledger, self.base_url)),
                store=self.open_store(),
                load_catalog=self.load_catalog,
                policy=self.policy(),
                signer=self.signer(),
                previews=self.previews,
                gallery_url=self.gallery_url,
                video_url=self.video_url,
            )
        finally:
            ledger.close()


def default_ledger_url(home: str | os.PathLike[str], *, config: str | os.PathLike[str] | None = None) -> str:
    """Return the URL of the SQLite ledger in Dagster's folder.

    Args:
        home: The folder.
        config: The folder of dagster.yaml, if it is another one.

    Raises:
        SettingError: Dagster's storage is elsewhere, so that several machines may share it.
    """
    if storage := _shared_storage(Path(config or home)):
        raise SettingError(
            f"Dagster's storage is shared between machines ({storage}): set SEEDANCE_LEDGER_URL to a "
            "PostgreSQL database, the same for each of them, or each would pay on its own. Where one machine "
            "does everything, a SQLite file will do"
        )
    file = str(Path(home).absolute() / "seedance" / "ledger.db")
    # A folder such as feature%2Fx, as Jenkins names its workspaces, would be read as feature/x.
    return f"sqlite:///{file.replace('%', '%25').replace('?', '%3F')}"


def _shared_storage(home: Path) -> str | None:
    """Return how dagster.yaml keeps events outside Dagster's own folder; None for SQLite below it."""
    import yaml  # noqa: PLC0415  only where a default is needed

    file = home / "dagster.yaml"
    try:
        config = yaml.safe_load(file.read_text("utf-8")) if file.is_file() else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None  # Dagster itself says what is wrong with it
    if not isinstance(config, dict):
        return None
    for name in ("storage", "event_log_storage", "run_storage"):
        storage = config.get(name)
        if storage and not _is_sqlite(storage):
            return f"{name} of {file} is not SQLite"
        folder = _base_dir(storage)
        if folder is not None and not Path(str(folder)).absolute().is_relative_to(home.absolute()):
            return f"{name} of {file} is in {folder}"
    return None


def _is_sqlite(storage: object) -> bool:
    if not isinstance(storage, dict):
        return False
    config = storage.get("custom", storage)
    return "sqlite" in storage or (isinstance(config, dict) and "Sqlite" in str(config.get("class")))


def _base_dir(storage: object) -> object:
    """Return the folder that SQLite storage is configured with, at whatever depth; None for the default."""
    if not isinstance(storage, dict):
        return None
    return storage.get("base_dir") or next(filter(None, map(_base_dir, storage.values())), None)


def _describe(problem: Mapping[str, Any]) -> str:
    variable = str(problem["loc"][0])
    if variable in Settings.model_fields:  # so the default value is the problem
        variable = str(Settings.model_fields[variable].validation_alias)
    if problem["type"] == "value_error":
        return f"{variable}: {problem['ctx']['error']}"
    [field] = [field for field in Settings.model_fields.values() if field.validation_alias == variable]
    noun, allowed = next(words for name, words in _ALLOWED.items() if name in str(field.annotation))
    limits = ((name, getattr(limit, name, None)) for limit in field.metadata for name in ("ge", "le"))
    bounds = {"ge": 1} | {name: value for name, value in limits if value is not None}
    fault = f"is not {noun}" if problem["type"].endswith("_parsing") else "is out of range"
    return f"{variable}: {problem['input']!r} {fault}; allowed are {allowed.format_map(bounds)}"
