"""The services that the engine works with, injected from outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.api.limits import Limits
from seedance_dagster.engine.policy import Policy
from seedance_dagster.engine.throttle import Throttle, read_throttle
from seedance_dagster.ledger.base import utc_now
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.media.credentials import Signer

if TYPE_CHECKING:  # HTTP libraries and boto3 take long to import, and commands that only look need none
    from seedance_dagster.api.client import SeedanceClient
    from seedance_dagster.storage.s3 import VideoStore


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything that the engine works with.

    Attributes:
        ledger: The orders and their money.
        open_client: Makes an API client for `async with`; raises `AuthenticationError` without a key.
        store: The bucket for videos.
        load_catalog: Loads the models that can be ordered, with their prices; raises `PriceFileError`.
        limits: The vendor's rules, its peak hours and penalty steps among them.
        policy: The engine's settings.
        clock: The wall clock, aware and in UTC.
        previews: Make previews of videos that some browsers do not play.
        signer: Puts a content credential into each video; None where none is configured.
        gallery_url: The address of the gallery; empty where it is not known.
        video_url: The template of a link by which a browser opens a video, with `{key}`; empty for none.
    """

    ledger: Ledger
    open_client: Callable[[], SeedanceClient]
    store: VideoStore
    load_catalog: Callable[[], Catalog] = Catalog.load
    limits: Limits = field(default_factory=Limits.load)
    policy: Policy = field(default_factory=Policy)
    clock: Callable[[], datetime] = utc_now
    signer: Signer | None = None
    previews: bool = False
    gallery_url: str = ""
    video_url: str = ""

    def claim_prefix(self) -> None:
        """Make the store's prefix this ledger's own, or check that it is.

        Raises:
            StoreError: It belongs to another ledger, or S3 cannot be read or written.
            LedgerError: The ledger cannot be read.
        """
        from seedance_dagster.storage.owner import Owner, claim_prefix  # noqa: PLC0415  brings boto3

        identity = self.ledger.identity
        claim_prefix(self.store, Owner(ledger_id=identity.ledger_id, created_at=identity.created_at))

    def throttle(self) -> Throttle:
        """Return how many orders may be sent now, and why not more; raise `LedgerError`."""
        with self.ledger.reading_together():
            return read_throttle(self.ledger, self.policy, self.limits, now=self.clock())
