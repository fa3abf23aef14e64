"""The resources: the vendor's API, the bucket for videos, the ledger of orders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, SecretStr

from seedance_dagster.options import ApiOptions, StorageOptions
from seedance_dagster.settings import SettingError, Settings, default_ledger_url

if TYPE_CHECKING:
    from seedance_dagster.api.client import SeedanceClient
    from seedance_dagster.api.pacing import Reserve
    from seedance_dagster.engine.services import Services
    from seedance_dagster.ledger.ledger import Ledger
    from seedance_dagster.storage.s3 import VideoStore

_TEMPORARY_HOME = ".tmp_dagster_home_"  # a folder that `dagster dev` makes and deletes


class SeedanceResource(dg.ConfigurableResource, ApiOptions):  # type: ignore[type-arg]  # as Dagster's own resources
    """The video API: the account, its limits and budgets."""

    requests_per_second: float = Field(
        default=10.0,
        gt=0,
        description="The most requests that all processes of a ledger send to the API in a second.",
    )

    def __repr__(self) -> str:
        return f"SeedanceResource({self.base_url!r})"

    def open_client(self, reserve: Reserve | None = None) -> SeedanceClient:
        """Return a new client; raises `AuthenticationError` without a key.

        Args:
            reserve: Shares the rate limit with other processes; None for one of this process's own.
        """
        from seedance_dagster.api.client import SeedanceClient
        from seedance_dagster.api.webhook import webhook_of

        return SeedanceClient(
            api_key=SecretStr(self.api_key),
            base_url=self.base_url,
            upload_url=self.upload_url,
            requests_per_second=self.requests_per_second,
            reserve=reserve,
            timeout_s=self.get_timeout_s,
            post_timeout_s=self.post_timeout_s,
            webhook=webhook_of(self.webhook_url, self.webhook_secret),
        )


class VideoStoreResource(dg.ConfigurableResource, StorageOptions):  # type: ignore[type-arg]  # as Dagster's own resources
    """The S3 bucket in which videos are stored."""

    # Any resource here, since importing dagster-aws takes longer than all of this package.
    s3: dg.ConfigurableResource | None = Field(  # type: ignore[type-arg]
        default=None,
        repr=False,
        description="An S3Resource of dagster-aws. By default boto3 uses its own environment variables.",
    )

    def __repr__(self) -> str:
        return f"VideoStoreResource('{self.bucket}/{self.prefix}')"

    def open_store(self) -> VideoStore:
        """Return the store with a new S3 client; raises `StoreError` where boto3 cannot use the settings."""
        from dagster_aws.s3 import S3Resource

        from seedance_dagster.net.secrets import hide, secrets_in
        from seedance_dagster.storage.s3 import StoreError, VideoStore, create_client

        s3 = self.s3 or S3Resource()
        if not isinstance(s3, S3Resource):
            raise StoreError(
                f"s3 of VideoStoreResource is a {type(s3).__name__}; allowed is an S3Resource of dagster-aws"
            )
        hide(s3.aws_secret_access_key, s3.aws_session_token, *secrets_in(s3.endpoint_url or ""))
        client = create_client(s3.get_client)
        return VideoStore(client, self.bucket, self.prefix, self.request_options())


class LedgerResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # as Dagster's own resources
    """The ledger of orders and payments, an SQL database."""

    url: str = Field(default="", repr=False, description=Settings.model_fields["ledger"].description)

    def __repr__(self) -> str:
        return "LedgerResource()"

    @contextmanager
    def open_ledger(self, instance: dg.DagsterInstance) -> Iterator[Ledger]:
        """Open the ledger, and close it at the end; raises `LedgerError`."""
        from seedance_dagster.ledger.errors import LedgerUnavailableError
        from seedance_dagster.ledger.ledger import Ledger

        if not self.url and Path(instance.root_directory).name.startswith(_TEMPORARY_HOME):
            raise LedgerUnavailableError(
                "DAGSTER_HOME is not set, so Dagster would delete the ledger of what was paid for when it "
                "ends: set DAGSTER_HOME, or SEEDANCE_LEDGER_URL"
            )
        try:
            home = instance.root_directory  # `local_artifact_storage` may put it elsewhere
            url = self.url or default_ledger_url(home, config=os.environ.get("DAGSTER_HOME"))
        except SettingError as error:
            raise LedgerUnavailableError(f"{error}. Nothing was ordered") from None
        ledger = Ledger.open(url)
        try:
            yield ledger
        finally:
            ledger.close()


def sealed(resource: dg.ConfigurableResource[Any]) -> dg.ResourceDefinition:
    """Return a resource whose fields no run can change: they are no config, and the launchpad shows none.

    A run could otherwise loosen a budget, or order again in another ledger.
    """

    @cache  # making one takes Dagster a tenth of a second, at every tick and step
    def make() -> Any:
        with resource.process_config_and_initialize_cm() as made:
            return made

    @dg.resource(config_schema={}, description=type(resource).__doc__)
    def build(_context: dg.InitResourceContext) -> Any:
        return make()

    return build


@contextmanager
def open_services(
    instance: dg.DagsterInstance,
    seedance: SeedanceResource,
    video_store: VideoStoreResource,
    ledger: LedgerResource,
) -> Iterator[Services]:
    """Open the engine's services from the resources; raises `LedgerError` and `StoreError`."""
    from seedance_dagster.engine.services import Services
    from seedance_dagster.engine.shared_rate import shared_rate

    with ledger.open_ledger(instance) as opened:
        yield Services(
            ledger=opened,
            open_client=partial(seedance.open_client, shared_rate(opened, seedance.base_url)),
            store=video_store.open_store(),
            load_catalog=seedance.load_catalog,
            policy=seedance.policy(),
            signer=video_store.signer(),
            gallery_url=video_store.gallery_url,
        )
