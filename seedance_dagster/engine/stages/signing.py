"""Content credentials: a signed copy of the delivered video is stored, or the video as delivered."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from seedance_dagster.engine.stages.delivery import Delivery, SignedFile
from seedance_dagster.ledger.order import Order
from seedance_dagster.media.credentials import CredentialError, Provenance, Signer
from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.inspection import probe_video
from seedance_dagster.net.redaction import redact
from seedance_dagster.storage.s3 import VideoStore


def sign_video(order: Order, delivery: Delivery, *, signer: Signer | None, now: datetime) -> SignedFile:
    """Sign a delivered video, if there is a signer.

    A video that cannot be signed is paid for too, so it is stored as delivered.

    Raises:
        OSError: A file cannot be read or written.
    """
    downloaded, media = delivery.file, delivery.inspection.probe
    plain = SignedFile(downloaded.path, downloaded.size_bytes, downloaded.sha256, None)
    if signer is None:
        return plain
    if media is None:
        return replace(plain, credential={"error": f"not signed: {delivery.inspection.problem}"})
    target = downloaded.path.with_name("signed.mp4")
    provenance = Provenance(
        task_id=str(order.task_id),
        model=order.model,
        delivered_sha256=downloaded.sha256,
        prompt=str(order.request["prompt"]),
    )
    try:
        credential = signer.sign(downloaded.path, target, provenance, now=now)
        copy = probe_video(target)
    except (CredentialError, MediaError) as error:
        return replace(plain, credential={"error": redact(str(error))})
    if replace(copy, size_bytes=media.size_bytes) != media:
        return replace(plain, credential={"error": "the signed copy was not the same video"})
    return SignedFile(target, copy.size_bytes, credential["signed_sha256"], redact(credential))


def matches_stored_object(store: VideoStore, order: Order) -> bool:
    """Return True where the video in S3 is the one in the ledger, by its size and recorded hash.

    Raises:
        StoreError: S3 cannot be read.
    """
    stored = store.head(str(order.video_key))
    if stored is None:
        return False
    # A server may keep no metadata.
    sha256 = stored.metadata.get("sha256", order.sha256)
    return (stored.size_bytes, sha256) == (order.size_bytes, order.sha256)
