"""The image that a request gave as the first frame of its video."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from seedance_dagster.api.wire import Mode
from seedance_dagster.media.references.fetch import fetch_reference
from seedance_dagster.media.references.host import UnusableReferenceError
from seedance_dagster.prompts.files import FileReference
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.keys import reference_key
from seedance_dagster.storage.manifest import Manifest, Reference
from seedance_dagster.storage.s3 import VideoStore


def read_first_frame(row: Mapping[str, Any], store: VideoStore) -> bytes | None:
    """Return the bytes of the image from which a video was made; None for one of another mode.

    A file of the team's own is read from the copy that was made before the order, any other from its link.

    Args:
        row: The video's row of the index.
        store: The store of the video.

    Raises:
        StoreError: The image cannot be read, or is not the one that was sent.
    """
    if row["mode"] != Mode.FIRST_LAST_FRAMES or not row["image_urls"]:
        return None
    manifest = Manifest.model_validate_json(store.get_bytes(row["manifest_uri"].removeprefix(store.uri(""))))
    first = next(ref for ref in manifest.references if (ref.kind, ref.position) == ("image", 1))
    sha256 = None if first.facts is None else first.facts.sha256
    content = _read(first, sha256, store)
    if sha256 not in (None, hashlib.sha256(content).hexdigest()):
        raise StoreError(f"image_urls 1 ({first.url}) has changed since the video was ordered")
    return content


def _read(reference: Reference, sha256: str | None, store: VideoStore) -> bytes:
    file = FileReference.parse(reference.url)
    if file is not None and sha256 is not None:
        return store.get_bytes(reference_key(store.prefix, sha256, file.suffix))
    try:
        return fetch_reference(reference.url)
    except UnusableReferenceError as error:
        raise StoreError(f"image_urls 1 ({reference.url}) {error}") from None
