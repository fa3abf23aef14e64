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
from seedance_dagster.engine.stages.download import Downloaded, DownloadError, DownloadLimits, download_video
from seedance_dagster.engine.stages.signing import matches_stored_object, sign_video
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.errors import StaleOrderError
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.media.video import MediaError, cut_poster, probe, thumbnail
from seedance_dagster.storage.keys import ObjectKeys, object_keys, object_metadata
from seedance_dagster.storage.manifest import Manifest
from seedance_dagster.storage.s3 import StoreError, VideoStore
from seedance_dagster.threads import in_decoding_thread, in_thread
from seedance_dagster.versions import CODE_VERSION, package_version

_OVERWRITTEN = "another worker overwrote the video"


def stored_event(store: VideoStore, order: Order) -> Stored:
    """Return the event of a video that was stored earlier, with a thumbnail of its poster in S3."""
    try:
        return _stored(order, store.get_bytes(str(order.poster_key)))
    except StoreError:
        return Stored(order, None)


def _stored(order: Order, poster: bytes) -> Stored:
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
        self._prefix_is_ours = False  # not looked at yet

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
        """Return True where the video in S3 differs from the ledger; it is to be fetched again."""
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

    async def _collect(self, order: Order) -> tuple[dict[str, Any], bytes]:
        keys = object_keys(
            self._store.prefix, order.prompt_set, order.partition, order.fingerprint, order.attempt
        )
        with tempfile.TemporaryDirectory(prefix="seedance-") as folder:
            downloaded = await self._download(order, Path(folder) / "video.mp4")
            return await in_thread(self._put, order, keys, downloaded)

    async def _download(self, order: Order, path: Path) -> Downloaded:
        limits = DownloadLimits(allow_private_hosts=self._worker.services.policy.allow_private_hosts)
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
        # Without a fresh link the known one may work all the same.
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
        """Raise `StaleOrderError` where another worker may store the order by now: its facts are not ours."""
        if not self._ledger.leases.holds(order):
            raise StaleOrderError(f"order {order.order_id} is no longer leased to {order.lease_owner}")

    def _put(self, order: Order, keys: ObjectKeys, downloaded: Downloaded) -> tuple[dict[str, Any], bytes]:
        media = in_decoding_thread(probe, downloaded.path)
        poster = in_decoding_thread(cut_poster, downloaded.path)
        video = sign_video(
            order,
            downloaded,
            media,
            signer=self._worker.services.signer,
            now=self._worker.services.clock(),
        )
        if not self._prefix_is_ours:
            self._worker.services.claim_prefix()
            self._prefix_is_ours = True
        about: dict[str, Any] = {
            "metadata": object_metadata(str(order.task_id), order.fingerprint),
            "overwrite": order.sha256 is not None,  # stored before, and lost or damaged since
            "before_write": partial(self._check_lease, order),
        }
        self._store.put_file(keys.video, video.path, content_type="video/mp4", sha256=video.sha256, **about)
        self._store.put_bytes(keys.poster, poster, content_type="image/jpeg", **about)
        artifacts: dict[str, Any] = {
            "video_key": keys.video,
            "poster_key": keys.poster,
            "manifest_key": keys.manifest,
            "size_bytes": video.size_bytes,
            "poster_size_bytes": len(poster),
            "sha256": video.sha256,
            "delivered_sha256": downloaded.sha256,
            "credential": video.credential,
            "poster_sha256": hashlib.sha256(poster).hexdigest(),
            "duration_s": media.duration_s,
            "width": media.width,
            "height": media.height,
            "codec": media.codec,
            "fps": media.fps,
            "package_version": package_version(),
            "code_version": CODE_VERSION,
        }
        manifest = Manifest.of(replace(order, **artifacts))
        # Last, so that its presence means that the rest is complete.
        self._store.put_bytes(keys.manifest, manifest.to_json(), content_type="application/json", **about)
        return artifacts, poster
