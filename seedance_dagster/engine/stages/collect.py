"""Collecting: a finished task becomes a video, a poster and a manifest in S3, and only then STORED."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from seedance_dagster.api.errors import SeedanceError
from seedance_dagster.engine.events import Delayed, Emit, Stored
from seedance_dagster.engine.lifecycle import transfer_delay
from seedance_dagster.engine.stages.delivery import Delivery, artifacts_of, inspect_delivery
from seedance_dagster.engine.stages.download import Downloaded, DownloadError, DownloadLimits, download_video
from seedance_dagster.engine.stages.signing import matches_stored_object, sign_video
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.errors import StaleOrderError
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.preview import make_preview, needs_preview
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.keys import object_keys, object_metadata
from seedance_dagster.storage.manifest import Manifest
from seedance_dagster.storage.s3 import VideoStore
from seedance_dagster.threads import in_decoding_thread, in_thread

_OVERWRITTEN = "another worker overwrote the video"


def stored_event(store: VideoStore, order: Order) -> Stored:
    """Return the event of a video that was stored earlier, with a thumbnail of its poster in S3."""
    if order.poster_key is None:
        return Stored(order, None)
    try:
        return _stored(order, store.get_bytes(order.poster_key))
    except StoreError:
        return Stored(order, None)


def _stored(order: Order, poster: bytes | None) -> Stored:
    if poster is None:
        return Stored(order, None)
    from seedance_dagster.media.pictures import thumbnail  # noqa: PLC0415  loads FFmpeg

    try:
        return Stored(order, in_decoding_thread(thumbnail, poster))
    except MediaError:
        # The video is stored, and that must be reported.
        return Stored(order, None)


class Collector:
    """The stage that stores finished videos."""

    def __init__(self, worker: Worker, emit: Emit) -> None:
        self._worker = worker
        self._ledger = worker.services.ledger
        self._store = worker.services.store
        self._emit = emit
        self._prefix_is_ours = False  # not checked yet

    async def take(self, limit: int, only: list[int] | None) -> list[Order]:
        """Take orders whose video is finished and not stored."""
        return await in_thread(
            self._ledger.tasks.lease_due,
            self._worker.name,
            State.SUCCEEDED,
            limit=limit,
            lease_s=self._worker.services.policy.lease_s,
            only=only,
        )

    async def handle(self, order: Order) -> None:
        """Store one video; after a failed transfer the order stays paid and outstanding, and is retried."""
        try:
            artifacts, poster = await self._collect(order)
        except (DownloadError, MediaError, StoreError, SeedanceError, OSError) as error:
            services = self._worker.services
            wait = timedelta(seconds=transfer_delay(order.transfer_failures, services.policy.pacing))
            await in_thread(
                self._ledger.tasks.transfer_failed,
                order,
                actor=self._worker.name,
                due_at=services.clock() + wait,
                reason=str(error),
            )
            await self._emit(Delayed(order, f"{order.partition}: transfer postponed: {error}"))
            return
        stored = await self._record(order, artifacts)
        if stored is None:
            await self._emit(Delayed(order, f"{order.partition}: {_OVERWRITTEN}; it will be fetched again"))
            return
        if problem := (stored.credential or {}).get("error"):
            reason = f"{order.partition}: stored without a content credential: {problem}"
            await self._emit(Delayed(stored, reason))
        await self._emit(await in_thread(_stored, stored, poster))

    async def _record(self, order: Order, artifacts: dict[str, Any]) -> Order | None:
        """Record the stored video in the ledger; return None where another worker overwrote it.

        A server may ignore the conditions of an upload. Where two workers have one order, because the first
        seemed dead, the last upload may then not be the one in the ledger. The second to record sees it.
        """
        try:
            stored = await in_thread(
                self._ledger.tasks.stored, order, actor=self._worker.name, artifacts=artifacts
            )
        except StaleOrderError:
            current = await in_thread(self._ledger.queries.get, order.order_id)
            await in_thread(self._is_overwritten, current)
            raise
        return None if await in_thread(self._is_overwritten, stored) else stored

    def _is_overwritten(self, order: Order) -> bool:
        """Return True where the video in S3 differs from the ledger, and have it fetched again."""
        if order.state is not State.STORED:
            return False
        try:
            if matches_stored_object(self._store, order):
                return False
        except StoreError:
            return False  # an audit compares them too
        self._ledger.repairs.fetch_again(
            order, actor=self._worker.name, video_url=order.video_url or "", reason=_OVERWRITTEN
        )
        return True

    async def _collect(self, order: Order) -> tuple[dict[str, Any], bytes | None]:
        with tempfile.TemporaryDirectory(prefix="seedance-") as folder:
            delivery = await self._fetch(order, Path(folder))
            return await in_thread(self._put, order, delivery)

    async def _fetch(self, order: Order, folder: Path) -> Delivery:
        """Download a video; one that cannot be read, or lacks its end, is fetched twice.

        The transfer may have damaged it. If the host gives the same bytes twice, they are all that there is.
        """
        first = await in_thread(inspect_delivery, await self._download(order, folder / "video.mp4"))
        if first.is_sound:
            return first
        try:
            second = await in_thread(inspect_delivery, await self._download(order, folder / "again.mp4"))
        except (DownloadError, MediaError, SeedanceError):
            if first.cut_short:
                raise
            return first
        if second.cut_short and second.file.sha256 != first.file.sha256:
            raise MediaError(second.cut_short)
        return first if second.inspection.probe is None else second

    async def _download(self, order: Order, path: Path) -> Downloaded:
        policy = self._worker.services.policy
        limits = DownloadLimits(
            allow_private_hosts=policy.allow_private_hosts, min_bytes_per_s=policy.min_download_bytes_per_s
        )
        known = order.video_url
        if known and not order.transfer_failures:
            try:
                return await download_video(known, path, limits=limits)
            except DownloadError as error:
                if not error.expired:
                    raise
                known = None
        # The link is gone or failed before: reading the task can give a fresh one.
        try:
            return await download_video(await self._fresh_link(order), path, limits=limits)
        except (DownloadError, SeedanceError) as error:
            if not known or (isinstance(error, DownloadError) and error.on_this_machine):
                raise
            failure = str(error)
        # Without a fresh link, the known one may still work.
        try:
            return await download_video(known, path, limits=limits)
        except DownloadError as error:
            raise DownloadError(f"{failure}; by the earlier link: {error}") from None

    async def _fresh_link(self, order: Order) -> str:
        task = await self._worker.client.get_task(str(order.task_id))
        if not task.video_url:
            raise DownloadError(f"task {order.task_id} has no video URL any more")
        return task.video_url

    def _check_lease(self, order: Order) -> None:
        """Raise `StaleOrderError` where another worker may be storing the order by now."""
        if not self._ledger.leases.holds(order):
            raise StaleOrderError(f"order {order.order_id} is no longer leased to {order.lease_owner}")

    def _put(self, order: Order, delivery: Delivery) -> tuple[dict[str, Any], bytes | None]:
        """Store a delivered video, its poster and its manifest; return the ledger's columns and poster."""
        keys = object_keys(
            self._store.prefix, order.prompt_set, order.partition, order.fingerprint, order.attempt
        )
        services, poster = self._worker.services, delivery.inspection.poster
        video = sign_video(order, delivery, signer=services.signer, now=services.clock())
        if not self._prefix_is_ours:
            services.claim_prefix()
            self._prefix_is_ours = True
        about: dict[str, Any] = {
            "metadata": object_metadata(str(order.task_id), order.fingerprint),
            "overwrite": order.sha256 is not None,  # stored before, and lost or damaged since
            "before_write": partial(self._check_lease, order),
        }
        self._store.put_file(keys.video, video.path, content_type="video/mp4", sha256=video.sha256, **about)
        if poster is not None:
            self._store.put_bytes(keys.poster, poster, content_type="image/jpeg", **about)
        artifacts = artifacts_of(keys, delivery, video) | self._put_preview(delivery, keys.preview, about)
        manifest = Manifest.of(replace(order, **artifacts))
        # Last, so that its presence means that the rest is complete.
        self._store.put_bytes(keys.manifest, manifest.to_json(), content_type="application/json", **about)
        return artifacts, poster

    def _put_preview(self, delivery: Delivery, key: str, about: dict[str, Any]) -> dict[str, Any]:
        """Store a preview where one is needed; without one the video is stored all the same."""
        none = {"preview_key": None, "preview_problem": None}
        probe = delivery.inspection.probe
        if not self._worker.services.previews or probe is None or not needs_preview(probe):
            return none
        preview = delivery.file.path.with_name("preview.mp4")
        try:
            make_preview(delivery.file.path, preview)
            sha256 = hashlib.sha256(preview.read_bytes()).hexdigest()
            self._store.put_file(key, preview, content_type="video/mp4", sha256=sha256, **about)
        except (MediaError, StoreError, OSError) as error:
            return none | {"preview_problem": str(error)}
        return none | {"preview_key": key}
