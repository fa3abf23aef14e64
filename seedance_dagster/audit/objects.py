"""Repairs of objects in S3; what is replaced is kept beside the new object, and nothing is deleted."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.echo import foreign_field
from seedance_dagster.audit.evidence import CORE, NotRepairableError, OrderFacts, Source
from seedance_dagster.audit.findings import Finding
from seedance_dagster.audit.storage import expected_manifest
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.download import DownloadError, DownloadLimits, check_link
from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.references import sent_request
from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.inspection import cut_poster
from seedance_dagster.storage.keys import object_metadata, replaced_key
from seedance_dagster.threads import in_thread

_COSTS_AGAIN = "generating it again costs money"


@dataclass(frozen=True)
class ObjectRepairer:
    """A repairer of the objects of stored orders; the journal names `actor`."""

    services: Services
    actor: str

    async def fetch_again(self, order: Order, facts: OrderFacts, finding: Finding) -> str:
        """Send an order back to its transfer, because its video is lost or damaged."""
        agreed = _vouch_for_video(facts)
        async with self.services.open_client() as client:
            url = await self._video_url(client, order)
        kept = await in_thread(
            self.keep_aside, *filter(None, (order.video_key, order.poster_key, order.manifest_key))
        )
        await in_thread(
            self.services.ledger.repairs.fetch_again,
            order,
            actor=self.actor,
            video_url=url,
            reason=f"{finding.location}: {finding.message}",
        )
        return f"the next run fetches it again: {agreed}{kept}"

    def cut_poster(self, order: Order, facts: OrderFacts, *, manifest_lost: bool) -> str:
        """Cut a lost or damaged poster again from the stored video."""
        agreed = facts.without(Source.OBJECTS).vouch_for_ledger()
        poster = self._cut(order)
        sha256 = hashlib.sha256(poster).hexdigest()
        same = sha256 == order.poster_sha256
        if not same or manifest_lost:
            # The manifest is written as well, so everything in it must be confirmed.
            facts.vouch_for_ledger()
        kept = self._put(str(order.poster_key), poster, order, content_type="image/jpeg")
        repairs = self.services.ledger.repairs
        if same:
            order = repairs.note_repair(order, actor=self.actor, repaired="the poster was cut again")
        else:
            key = str(order.poster_key)
            order = repairs.poster_replaced(
                order, actor=self.actor, key=key, sha256=sha256, size_bytes=len(poster)
            )
        if not same or manifest_lost:
            kept += self._put_manifest(order)
        return f"the poster was cut again from the stored video: {agreed}{kept}"

    def write_manifest(self, order: Order, facts: OrderFacts) -> str:
        """Write a lost or altered manifest from the ledger's row."""
        agreed = facts.vouch_for_ledger()
        kept = self._put_manifest(order)
        self.services.ledger.repairs.note_repair(
            order, actor=self.actor, repaired="the manifest was written from the ledger"
        )
        return f"written from the ledger: {agreed}{kept}"

    def keep_aside(self, *keys: str) -> str:
        """Copy the objects that exist; return the end of a sentence that names the copies."""
        store, at, kept = self.services.store, self.services.clock(), []
        for key in keys:
            if store.head(key) is not None:
                store.copy(key, replaced_key(key, at))
                kept.append(store.uri(replaced_key(key, at)))
        return f"; what was there is kept at {', '.join(kept)}" if kept else ""

    def _cut(self, order: Order) -> bytes:
        with tempfile.TemporaryDirectory(prefix="seedance-") as folder:
            path = Path(folder) / "video.mp4"
            with path.open("wb") as file:
                sha256 = self.services.store.digest(str(order.video_key), into=file)
            if sha256 != order.sha256:
                raise NotRepairableError("the video in S3 is not the one that was stored")
            try:
                return cut_poster(path)
            except MediaError as error:
                raise NotRepairableError(f"no poster can be cut from the video: {error}") from None

    def _put_manifest(self, order: Order) -> str:
        body = expected_manifest(order)
        if body is None:
            raise NotRepairableError("the ledger's row is too damaged to give a manifest")
        return self._put(str(order.manifest_key), body, order, content_type="application/json")

    def _put(self, key: str, body: bytes, order: Order, *, content_type: str) -> str:
        kept = self.keep_aside(key)
        self.services.store.put_bytes(
            key,
            body,
            content_type=content_type,
            metadata=object_metadata(str(order.task_id), order.fingerprint),
            overwrite=True,
        )
        return kept

    async def _video_url(self, client: SeedanceClient, order: Order) -> str:
        """Return a link that gives the video now; raises `NotRepairableError` or `SeedanceError`."""
        task = await client.get_task(str(order.task_id))
        # A duration that the vendor replaced silently does not make it another request's.
        if (field := foreign_field(task, sent_request(order))) in ("task type", "prompt"):
            raise NotRepairableError(f"the vendor's task is another request's: its {field} differs")
        if task.video_url is None:
            raise NotRepairableError(f"the vendor no longer has a link to it; {_COSTS_AGAIN}")
        limits = DownloadLimits(allow_private_hosts=self.services.policy.allow_private_hosts)
        try:
            # Checked first: a half-stored order is worth more than one that can never end.
            await check_link(task.video_url, limits=limits)
        except DownloadError as error:
            raise NotRepairableError(f"the vendor's link no longer works ({error}); {_COSTS_AGAIN}") from None
        return task.video_url


def _vouch_for_video(facts: OrderFacts) -> str:
    """Return who confirms an order's video; where it is lost everywhere, the task alone is enough."""
    known: Sequence[str] = CORE
    if len(facts.values("sha256")) == 1 and Source.OBJECTS not in facts.values("size_bytes"):
        known = ("task_id",)
    return facts.vouch_for_ledger(known)
