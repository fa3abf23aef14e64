"""The resources: the vendor's API, the bucket for videos, the ledger of orders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import dagster as dg
from pydantic import (
    BaseModel,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from seedance_dagster.defs.naming import API, LEDGER, STORE, Names
from seedance_dagster.options import ApiOptions, StorageOptions
from seedance_dagster.settings import SettingError, Settings, default_ledger_url

if TYPE_CHECKING:
    from seedance_dagster.api.client import SeedanceClient
    from seedance_dagster.api.pacing import Reserve
    from seedance_dagster.api.wire import GenerationRequest
    from seedance_dagster.datasets.video import Video
    from seedance_dagster.engine.services import Services
    from seedance_dagster.ledger.ledger import Ledger
    from seedance_dagster.storage.s3 import VideoStore


_ENV_VARS = (dg.EnvVar, type(dg.EnvVar.int("X")))


class _Variables(BaseModel):
    """A resource that says which of its fields cannot be a `dg.EnvVar`."""

    @field_validator("*", mode="wrap")
    @classmethod
    def _check_variable(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        """Replace pydantic's message about the name of a variable, or about 0."""
        try:
            return handler(value)
        except ValidationError:
            if not isinstance(value, _ENV_VARS):
                raise
            raise ValueError(
                "cannot be a dg.EnvVar, whose value is not known yet: read the variable, such as "
                f'{info.field_name}=os.environ["NAME"]'
            ) from None


class HasResources(Protocol):
    """The context of a step, a tick or a check."""

    @property
    def resources(self) -> Any:
        """The resources that it requires, as attributes."""

    @property
    def instance(self) -> dg.DagsterInstance:
        """The Dagster instance."""


_TEMPORARY_HOME = ".tmp_dagster_home_"  # a folder that `dagster dev` makes and deletes


class SeedanceResource(dg.ConfigurableResource, _Variables, ApiOptions):  # type: ignore[type-arg]  # as Dagster's own resources
    """The video API: the account, its limits and budgets."""

    requests_per_second: float = Field(
        default=10.0,
        gt=0,
        description="The most requests a second that all processes of a ledger together send to the API.",
    )

    _home: tuple[VideoStoreResource, LedgerResource, dg.DagsterInstance | None] | None = PrivateAttr(
        default=None
    )

    def __repr__(self) -> str:
        return f"SeedanceResource({self.base_url!r})"

    def using(
        self,
        video_store: VideoStoreResource,
        ledger: LedgerResource | None = None,
        instance: dg.DagsterInstance | None = None,
    ) -> Self:
        """Set the bucket and ledger that `generate` uses; return this resource.

        `build_seedance_definitions` does it for the resource that ops and assets get.

        Args:
            video_store: The bucket.
            ledger: The ledger; by default SQLite under `$DAGSTER_HOME`.
            instance: The Dagster instance; by default that of `$DAGSTER_HOME`.
        """
        self._home = (video_store, ledger or LedgerResource(), instance)
        return self

    def generate(
        self,
        request: GenerationRequest | Mapping[str, Any],
        *,
        key: str,
        prompt_set: str = "in_code",
        take: int = 1,
        max_cost_usd: float | None = None,
    ) -> Video:
        """Order one video, wait until it is stored, and return it.

        The same key always stands for the same video: another call with it, from any process or machine that
        uses the ledger, waits for the existing order or returns its video, and costs nothing.

        Args:
            request: The fields of a prompt, as in a prompt file, or a `GenerationRequest`.
            key: The video's name: the partition that the order is made for.
            prompt_set: The key's set; no prompt file may have a set of this name.
            take: From 1; a higher one asks for another video of the same request.
            max_cost_usd: Order nothing if it may cost more, in USD; None leaves that to the budgets.

        Raises:
            dagster.Failure: Nothing was ordered, or there is no video; the message says why.

        Example:
            >>> @dg.asset
            ... def hero_shot(seedance: SeedanceResource) -> None:
            ...     video = seedance.generate({"prompt": "a lighthouse at dusk"}, key="hero-shot")
        """
        from seedance_dagster.datasets.in_code import generate
        from seedance_dagster.defs.steps.in_code import video_in_code

        wanted = video_in_code(request, key, prompt_set, take, max_cost_usd)
        with self._services(prompt_set) as services:
            return generate(services, wanted)

    async def generate_async(
        self,
        request: GenerationRequest | Mapping[str, Any],
        *,
        key: str,
        prompt_set: str = "in_code",
        take: int = 1,
        max_cost_usd: float | None = None,
    ) -> Video:
        """Do the same as `generate` without blocking; cancelling it ends the wait, not the order."""
        from seedance_dagster.datasets.in_code import generate_async
        from seedance_dagster.defs.steps.in_code import video_in_code

        wanted = video_in_code(request, key, prompt_set, take, max_cost_usd)
        with self._services(prompt_set) as services:
            return await generate_async(services, wanted)

    @contextmanager
    def _services(self, prompt_set: str) -> Iterator[Services]:
        """Open the engine's services for an order in code; raise `dg.Failure` for errors of users."""
        from seedance_dagster.defs.steps.failures import as_failure
        from seedance_dagster.defs.steps.in_code import admitted_in_code

        if self._home is None:
            raise dg.Failure(
                "nothing was ordered: this SeedanceResource does not know where to store a video: call "
                "using(video_store=VideoStoreResource(...)), or take it as the resource of an op or asset",
                allow_retries=False,
            )
        video_store, ledger, instance = self._home
        instance = instance or dg.DagsterInstance.get()
        configured = {API: self, STORE: video_store, LEDGER: ledger}
        with (
            as_failure(),
            # Outside of a run Dagster has not read the variables that `EnvVar` names.
            dg.build_resources(configured, instance=instance) as resources,
            open_services(instance, *(getattr(resources, key) for key in configured)) as services,
            admitted_in_code(instance, services, prompt_set),
        ):
            yield services

    def open_client(self, reserve: Reserve | None = None) -> SeedanceClient:
        """Return a new client; raises `AuthenticationError` without a key.

        Args:
            reserve: Shares the rate limit with other processes; None for a limit of this process alone.
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


class VideoStoreResource(dg.ConfigurableResource, _Variables, StorageOptions):  # type: ignore[type-arg]  # as Dagster's own resources
    """The S3 bucket in which videos are stored."""

    # Typed as any resource: importing dagster-aws takes longer than importing this whole package.
    s3: dg.ConfigurableResource | None = Field(  # type: ignore[type-arg]
        default=None,
        repr=False,
        description="An S3Resource of dagster-aws. By default boto3 uses its own environment variables.",
    )

    def __repr__(self) -> str:
        return f"VideoStoreResource('{self.bucket}/{self.prefix}')"

    def open_store(self) -> VideoStore:
        """Return the store, whose S3 client is made for the first request; raises `StoreError`."""
        from dagster_aws.s3 import S3Resource

        from seedance_dagster.net.secrets import hide, secrets_in
        from seedance_dagster.storage.deferred import DeferredVideoStore
        from seedance_dagster.storage.errors import StoreError

        s3 = self.s3 or S3Resource()
        if not isinstance(s3, S3Resource):
            raise StoreError(
                f"s3 of VideoStoreResource is a {type(s3).__name__}; allowed is an S3Resource of dagster-aws"
            )
        hide(s3.aws_secret_access_key, s3.aws_session_token, *secrets_in(s3.endpoint_url or ""))
        return DeferredVideoStore(s3.get_client, self.bucket, self.prefix, self.request_options())


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
                "DAGSTER_HOME is not set, so Dagster would delete the ledger, the record of all payments, "
                "when it ends: set DAGSTER_HOME, or SEEDANCE_LEDGER_URL"
            )
        if not self.url and instance.is_ephemeral:
            dg.get_dagster_logger().warning(
                "the ledger, the record of all payments, is deleted with this Dagster instance when the "
                "process ends: set SEEDANCE_LEDGER_URL, or set DAGSTER_HOME and pass "
                "instance=DagsterInstance.get()"
            )
        try:
            home = instance.root_directory  # `local_artifact_storage` may put it elsewhere
            url = self.url or default_ledger_url(home, config=os.environ.get("DAGSTER_HOME"))
        except SettingError as error:
            raise LedgerUnavailableError(f"{error}. Nothing was ordered") from None
        with closing(Ledger.open(url)) as ledger:
            yield ledger


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
            previews=video_store.previews,
            gallery_url=video_store.gallery_url,
            video_url=video_store.video_url,
        )


@contextmanager
def services_of(context: HasResources, names: Names) -> Iterator[Services]:
    """Open the engine's services from the resources of a step, tick or check; raise as `open_services`."""
    seedance, video_store, ledger = (getattr(context.resources, names(key)) for key in (API, STORE, LEDGER))
    with open_services(context.instance, seedance, video_store, ledger) as services:
        yield services
