"""The newest videos of a set at a glance."""

from __future__ import annotations

import contextlib
import hashlib

from seedance_dagster.engine.services import Services
from seedance_dagster.media.contact_sheet import contact_sheet
from seedance_dagster.media.errors import MediaError
from seedance_dagster.storage.errors import StoreError

_MOST = 24


def newest_posters(services: Services, prompt_set: str) -> bytes | None:
    """Return a small JPEG of the posters of a set's newest videos; None where none can be read.

    Posters whose bytes are not those that were stored are left out.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    ledger = services.ledger
    keys = ledger.set_orders.newest_partitions(prompt_set, limit=2 * _MOST)
    videos = ledger.videos.current_among(prompt_set, keys)
    newest = sorted(videos, key=lambda video: (str(video.order.stored_at), video.partition), reverse=True)
    posters = []
    for video in newest[:_MOST]:
        order = video.order
        if order.poster_key is None:
            continue
        with contextlib.suppress(StoreError):
            poster = services.store.get_bytes(order.poster_key)
            if hashlib.sha256(poster).hexdigest() == order.poster_sha256:
                posters.append(poster)
    try:
        return contact_sheet(posters)
    except MediaError:
        return None
