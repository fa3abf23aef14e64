"""Content credentials on the way to S3: the signed copy of what was delivered, or, failing that, what was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from seedance_dagster.engine.stages.download import Downloaded
from seedance_dagster.ledger.order import Order
from seedance_dagster.media.credentials import CredentialError, Provenance, Signer
from seedance_dagster.media.video import MediaError, Probe, probe
from seedance_dagster.net.redaction import redact
from seedance_dagster.storage.s3 import VideoStore
from seedance_dagster.threads import in_decoding_thread


@dataclass(frozen=True)
class SignedFile:
    """A file that is to be stored.

    Attributes:
        path: Where it is.
        size_bytes: Of the file.
        sha256: Of the file, in hex.
        credential: What was put into it, for the ledger; `{"error": ...}` where nothing could be; None
            where nothing was asked for.
    """

    path: Path
    size_bytes: int
    sha256: str
    credential: dict[str, Any] | None


def signed(
    order: Order, downloaded: Downloaded, found: Probe, *, signer: Signer | None, now: datetime
) -> SignedFile:
    """Sign a delivered video where that is asked for.

    What cannot be signed is paid for all the same, so it is to be stored as it came.

    Args:
        order: Whose video it is.
        downloaded: The file as delivered.
        found: What it was found to be.
        signer: Signs; None where nothing is asked for.
        now: The time (UTC).

    Raises:
        OSError: A file cannot be read or written.
    """
    plain = SignedFile(downloaded.path, downloaded.size_bytes, downloaded.sha256, None)
    if signer is None:
        return plain
    target = downloaded.path.with_name("signed.mp4")
    provenance = Provenance(
        task_id=str(order.task_id),
        model=order.task_type,
        delivered_sha256=downloaded.sha256,
        prompt=str(order.request["prompt"]),
    )
    try:
        credential = signer.sign(downloaded.path, target, provenance, now=now)
        copy = in_decoding_thread(probe, target)
    except (CredentialError, MediaError) as error:
        return replace(plain, credential={"error": redact(str(error))})
    if replace(copy, size_bytes=found.size_bytes) != found:
        return replace(plain, credential={"error": "the signed copy was not the same video"})
    return SignedFile(target, copy.size_bytes, credential["signed_sha256"], redact(credential))


def matches_stored_object(store: VideoStore, order: Order) -> bool:
    """Whether the video in S3 is the one that the ledger tells of, as far as a look at it says.

    Raises:
        StoreError: Nobody can look.
    """
    there = store.head(str(order.video_key))
    if there is None:
        return False
    # A server may keep no metadata.
    return (there.size_bytes, there.metadata.get("sha256", order.sha256)) == (order.size_bytes, order.sha256)
