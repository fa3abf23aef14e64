"""Posters that could not be cut when their videos were stored, and can be now."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from pathlib import Path

from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.errors import StaleOrderError
from seedance_dagster.ledger.order import Order
from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.inspection import cut_poster
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.keys import object_keys, object_metadata
from seedance_dagster.storage.manifest import Manifest


def cut_missing_posters(services: Services, prompt_set: str, *, actor: str) -> None:
    """Cut the posters that the videos of a set lack; those that still cannot be cut stay missing.

    Raises:
        LedgerError: The ledger cannot be read or written.
    """
    orders = {video.order.order_id: video.order for video in services.ledger.videos.current(prompt_set)}
    for order in orders.values():
        if order.poster_problem is not None:
            with contextlib.suppress(MediaError, StoreError, StaleOrderError, OSError):
                _cut(services, order, actor)


def _cut(services: Services, order: Order, actor: str) -> None:
    store = services.store
    services.claim_prefix()
    with tempfile.TemporaryDirectory(prefix="seedance-") as folder:
        path = Path(folder) / "video.mp4"
        with path.open("wb") as file:
            sha256 = store.digest(str(order.video_key), into=file)
        if sha256 != order.sha256:
            return  # an audit says so
        poster = cut_poster(path)
    keys = object_keys(store.prefix, order.prompt_set, order.partition, order.fingerprint, order.attempt)
    about = object_metadata(str(order.task_id), order.fingerprint)
    store.put_bytes(keys.poster, poster, content_type="image/jpeg", metadata=about)
    order = services.ledger.repairs.poster_replaced(
        order,
        actor=actor,
        key=keys.poster,
        sha256=hashlib.sha256(poster).hexdigest(),
        size_bytes=len(poster),
    )
    manifest = Manifest.of(order).to_json()
    store.put_bytes(str(order.manifest_key), manifest, content_type="application/json", metadata=about)
