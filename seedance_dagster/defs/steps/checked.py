"""The state of a set's videos for its checks: only those that changed are looked at again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.checked_videos import Checked
from seedance_dagster.ledger.order import Order
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.s3 import VideoStore
from seedance_dagster.video_health import OBJECTS_INTACT, video_problems

_LISTED_AT_ONCE = 12  # listing the whole set is cheaper where more than one in 12 videos changed
_MAX_AGAIN = 50


@dataclass(frozen=True)
class SetVideos:
    """The videos that a set shows, as far as checks know them.

    Attributes:
        count: How many there are.
        problems: The problems of some, by partition and by the names of checks.
        is_listed: False if the objects in S3 could not be listed.
        looked_at: How many videos were looked at just now.
    """

    count: int
    problems: Mapping[str, Mapping[str, str]]
    is_listed: bool
    looked_at: int


def look_at_all(services: Services, name: str) -> SetVideos:
    """Look at all videos of a set and list all of its objects; raises `LedgerError`."""
    ledger = services.ledger.checked
    changes, before = ledger.changes(name), ledger.keys(name)  # first, so that no later change is lost
    current = {video.partition: video.order for video in services.ledger.videos.current(name)}
    sizes = _sizes_of_sets(services.store, {name, *(order.prompt_set for order in current.values())})
    checked = _judged(before | current.keys(), current, sizes)
    ledger.update(name, checked, changes if sizes is not None else None, all_=True)
    return SetVideos(len(current), ledger.problems(name), sizes is not None, len(current))


def look_at_changes(services: Services, name: str) -> SetVideos:
    """Look at the videos of a set that changed, and again at those whose objects were not intact.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    ledger = services.ledger.checked
    if not ledger.is_complete(name):
        return look_at_all(services, name)
    changes, count = ledger.changes(name), ledger.count(name)
    damaged = [key for key, problems in ledger.problems(name).items() if OBJECTS_INTACT in problems]
    keys = changes.partitions.union(damaged[:_MAX_AGAIN])
    current = {video.partition: video.order for video in services.ledger.videos.current_among(name, keys)}
    orders = current.values()
    if len(current) * _LISTED_AT_ONCE > count:
        sizes = _sizes_of_sets(services.store, {name, *(order.prompt_set for order in orders)})
    else:
        sizes = _sizes_of_orders(services.store, orders)
    ledger.update(name, _judged(keys, current, sizes), changes if sizes is not None else None, all_=False)
    return SetVideos(ledger.count(name), ledger.problems(name), sizes is not None, len(current))


def _judged(
    keys: Collection[str], current: Mapping[str, Order], sizes: Mapping[str, int] | None
) -> dict[str, Checked | None]:
    return {
        key: Checked(current[key].order_id, video_problems(current[key], sizes) or None)
        if key in current
        else None
        for key in keys
    }


def _sizes_of_sets(store: VideoStore, names: Iterable[str]) -> dict[str, int] | None:
    """Return the sizes of all objects under the folders of some sets; None when they cannot be listed."""
    return _sizes(store, sorted(names))


def _sizes_of_orders(store: VideoStore, orders: Iterable[Order]) -> dict[str, int] | None:
    """Return the sizes of the objects of some orders; None when they cannot be listed."""
    folders = {str(order.video_key).rpartition("/")[0] for order in orders}
    return _sizes(store, sorted(folder.removeprefix(f"{store.prefix}/") for folder in folders))


def _sizes(store: VideoStore, folders: Iterable[str]) -> dict[str, int] | None:
    try:
        return {key: listed.size_bytes for folder in folders for key, listed in store.listing(folder).items()}
    except StoreError:
        return None
