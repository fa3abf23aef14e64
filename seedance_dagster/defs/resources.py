"""The three resources: the vendor's API, the bucket, the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field, SecretStr

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
    from seedance_dagster.ledger.ledger import Ledger
    from seedance_dagster.media.credentials import Signer
    from seedance_dagster.storage.s3 import VideoStore

_TEMPORARY_HOME = ".tmp_dagster_home_"  # what `dagster dev` calls the home that it makes and deletes


class SeedanceResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # as Dagster's own resources
    """The vendor's API and how much of it is used.

    Example:
        >>> SeedanceResource(api_key=dg.EnvVar("GOAPI_API_KEY"), max_in_flight=20)
        SeedanceResource('https://api.goapi.ai')
    """

    api_key: str = Field(default="", repr=False, description="The API key; give it as an EnvVar.")
    base_url: str = Field(default=DEFAULT_BASE_URL, description="The API's root.")
    requests_per_second: float = Field(default=10.0, gt=0, description="For a whole process.")
    max_in_flight: int | None = Field(
        default=None, gt=0, description="Tasks at once; by default as many as the account allows."
    )
    off_peak_only: bool = Field(default=False, description="Submit only outside 09:00-15:00 UTC.")
    max_rejections_per_day: int = Field(
        default=DEFAULT_MAX_REJECTIONS_PER_DAY,
        gt=0,
        description="Prompts refused in a UTC day after which submitting stops; the vendor's penalty grows.",
    )
    preflight: bool | None = Field(
        default=None,
        description="on or off: look at reference files before an order is accepted; by default on, unless "
        "the API is on this machine.",
    )
    allow_private_hosts: bool | None = Field(
        default=None,
        description="on or off: videos and references may lie at private addresses; by default off, unless "
        "the API is on this machine.",
    )
    budget_usd_per_day: float | None = Field(
        default=None, ge=LEAST_USD, le=MOST_USD, description="Hard limit by UTC day."
    )
    budget_usd_per_month: float | None = Field(
        default=None, ge=LEAST_USD, le=MOST_USD, description="Hard limit by UTC month."
    )

    def __repr__(self) -> str:
        return f"SeedanceResource({self.base_url!r})"

    def open_client(self) -> SeedanceClient:
        """A new client; raises `AuthenticationError` without a key."""
        from seedance_dagster.api.client import SeedanceClient

        return SeedanceClient(
            api_key=SecretStr(self.api_key),
            base_url=self.base_url,
            requests_per_second=self.requests_per_second,
        )

    def policy(self) -> Policy:
        """The engine's settings."""
        return policy_for(self)


class VideoStoreResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # as Dagster's own resources
    """The bucket for videos, reached through dagster-aws's `S3Resource` or boto3's own environment.

    Example:
        >>> VideoStoreResource(bucket="videos", s3=S3Resource(endpoint_url="https://minio.example.com"))
        VideoStoreResource('videos/seedance')
    """

    bucket: str = Field(default="", description="The bucket's name.")
    prefix: str = Field(default="seedance", description="Before every key.")
    # Any resource here, since importing dagster-aws takes longer than all of this package.
    s3: dg.ConfigurableResource | None = Field(  # type: ignore[type-arg]
        default=None, repr=False, description="How S3 is reached: an S3Resource of dagster-aws."
    )
    c2pa_certificate: str = Field(
        default="",
        repr=False,
        description="With c2pa_key: sign each video. The certificate chain in PEM, or the path of its file.",
    )
    c2pa_key: str = Field(
        default="", repr=False, description="Its private key in PEM, or the path; give it as an EnvVar."
    )
    c2pa_include_prompt: bool = Field(default=False, description="Put the prompt into the credential.")

    def __repr__(self) -> str:
        return f"VideoStoreResource('{self.bucket}/{self.prefix}')"

    def open_store(self) -> VideoStore:
        """The store on a new S3 client; raises `StoreError` for settings that boto3 cannot use."""
        from dagster_aws.s3 import S3Resource

        from seedance_dagster.storage.s3 import StoreError, VideoStore, made_client

        s3 = self.s3 or S3Resource()
        if not isinstance(s3, S3Resource):
            raise StoreError(f"s3 must be an S3Resource of dagster-aws, not {type(s3).__name__}")
        return VideoStore(made_client(s3.get_client), self.bucket, self.prefix)

    def signer(self) -> Signer | None:
        """What signs videos; None where nothing is set."""
        return signer_for(self.c2pa_certificate, SecretStr(self.c2pa_key), self.c2pa_include_prompt)


class LedgerResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # as Dagster's own resources
    """What was ordered and paid, in SQL.

    Example:
        >>> LedgerResource(url="sqlite:////data/ledger.db")
        LedgerResource()
    """

    url: str = Field(
        default="",
        repr=False,
        description="A SQLAlchemy URL, SQLite or PostgreSQL; by default SQLite under $DAGSTER_HOME.",
    )

    def __repr__(self) -> str:
        return "LedgerResource()"

    @contextmanager
    def open_ledger(self, instance: dg.DagsterInstance) -> Iterator[Ledger]:
        """The ledger, closed at the end; raises `LedgerError` when it cannot be opened."""
        from seedance_dagster.ledger.errors import LedgerUnavailableError
        from seedance_dagster.ledger.ledger import Ledger

        if not self.url and Path(instance.root_directory).name.startswith(_TEMPORARY_HOME):
            raise LedgerUnavailableError(
                "DAGSTER_HOME is not set, so Dagster deletes everything when it ends, the ledger of what was "
                "paid for with it: set DAGSTER_HOME, or SEEDANCE_LEDGER_URL"
            )
        ledger = Ledger.open(self.url or default_ledger_url(instance.root_directory))
        try:
            yield ledger
        finally:
            ledger.close()


@contextmanager
def open_services(
    instance: dg.DagsterInstance,
    seedance: SeedanceResource,
    video_store: VideoStoreResource,
    ledger: LedgerResource,
) -> Iterator[Services]:
    """The engine's surroundings from the resources; raises `LedgerError` and `StoreError`."""
    from seedance_dagster.engine.services import Services

    with ledger.open_ledger(instance) as opened:
        yield Services(
            ledger=opened,
            open_client=seedance.open_client,
            store=video_store.open_store(),
            policy=seedance.policy(),
            signer=video_store.signer(),
        )
