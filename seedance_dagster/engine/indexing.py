"""Keeping a set's index up to date with the ledger.

The ledger notes which partitions changed since the index was written, and only the parts with their rows are
written again. Where the store supports conditional writes, a part that another writer has replaced meanwhile
is not overwritten; elsewhere only a lease in the ledger keeps writers apart. A killed writer leaves the
ledger without the hash of a manifest; the next one then compares every part with the ledger.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seedance_dagster.engine.index_writer import IndexChangedError, IndexWriter
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.set_spend import DaySpend, OrderSums
from seedance_dagster.storage.errors import ObjectChangedError
from seedance_dagster.storage.index import COLUMNS
from seedance_dagster.storage.index_files import IndexManifest, PartFormat, part_format, part_suffix
from seedance_dagster.storage.keys import index_keys
from seedance_dagster.storage.s3 import VideoStore

_MAX_TAGS = 5  # tag names that spend is summed up by


class IndexingError(Exception):
    """The index was not written; the message says why. The next run tries again."""


@dataclass(frozen=True)
class WrittenIndex:
    """An index that is up to date.

    Attributes:
        folder: The key of its folder, with a slash at the end.
        manifest_key: Key of the manifest that names its parts.
        suffix: Suffix of the parts, such as ".parquet".
        version: A hash of its rows, whatever parts they are in.
        size_bytes: Size of all parts together.
        videos: Number of rows.
        parts: Number of parts.
        videos_points: Charges of these videos, in points.
        spend: Charges of the whole set by day, penalties and earlier attempts included.
        by_model: The same money by task type.
        by_run: By the run that ordered.
        by_tag: By the value of each tag, for the tags that most orders have.
    """

    prompt_set: str
    folder: str
    manifest_key: str
    suffix: str
    version: str
    size_bytes: int
    videos: int
    parts: int
    videos_points: int
    spend: Sequence[DaySpend]
    by_model: OrderSums
    by_run: OrderSums
    by_tag: Mapping[str, OrderSums]


def sets_to_index(services: Services) -> list[str]:
    """Return the names of the sets whose index is to be written, sorted; raise `LedgerError`."""
    return sorted(services.ledger.indexes.due_sets(lambda name: _place(services.store, name)))


def refresh_index(
    services: Services, prompt_set: str, *, owner: str, force: bool = False, rebuild: bool = False
) -> WrittenIndex | None:
    """Bring a set's index up to date.

    Args:
        prompt_set: The set's name.
        owner: The writer; unique among all processes.
        force: Return the index even when nothing had changed.
        rebuild: Compare every part in S3 with the ledger, and write those again that differ.

    Returns:
        The index as it is now; None when nothing had changed.

    Raises:
        IndexingError: Other writers held the lease all the time.
        StoreError: The bucket cannot be read or written, or its prefix belongs to another ledger.
        LedgerError: The ledger cannot be read.
    """
    ledger, lease, pacing = services.ledger, f"index {prompt_set}", services.policy.pacing
    place = _place(services.store, prompt_set)
    # Enough to outlast the lease of a killed writer.
    tries = math.ceil(2 * pacing.index_lease_s / pacing.index_wait_s)
    for _ in range(tries):
        if not (force or rebuild or ledger.indexes.is_due(prompt_set, place)):
            return None
        if not ledger.leases.acquire(lease, owner, seconds=pacing.index_lease_s):
            time.sleep(pacing.index_wait_s)
            continue
        try:
            parts = part_format()
            manifest = IndexWriter(services, prompt_set, owner, place, parts).write(rebuild=rebuild)
        except (ObjectChangedError, IndexChangedError):
            # Another writer took over after this one's lease had run out. Its index may lack what this one
            # has written, or the other way round.
            rebuild = True
            continue
        finally:
            ledger.leases.release(lease, owner)
        return _written(services, manifest, parts)
    raise IndexingError(f"the index of {prompt_set} is being written by {ledger.leases.owner_of(lease)}")


def is_due(services: Services, prompt_set: str) -> bool:
    """Return True when a set's index differs from the ledger's present state."""
    return services.ledger.indexes.is_due(prompt_set, _place(services.store, prompt_set))


def _place(store: VideoStore, prompt_set: str) -> str:
    """Return a hash of an index's address, format and columns."""
    columns = [(column.name, column.type) for column in COLUMNS]
    uri = store.uri(index_keys(store.prefix, prompt_set).manifest)
    return hashlib.sha256(repr((uri, part_suffix(), columns)).encode()).hexdigest()


def _written(services: Services, manifest: IndexManifest, parts: PartFormat) -> WrittenIndex:
    keys = index_keys(services.store.prefix, manifest.prompt_set)
    spend = services.ledger.set_spend.read(manifest.prompt_set, max_tags=_MAX_TAGS)
    return WrittenIndex(
        prompt_set=manifest.prompt_set,
        folder=keys.manifest.rpartition("/")[0] + "/",
        manifest_key=keys.manifest,
        suffix=parts.suffix,
        version=manifest.version,
        size_bytes=sum(part.size_bytes for part in manifest.parts),
        videos=manifest.videos,
        parts=len(manifest.parts),
        videos_points=sum(part.points_charged for part in manifest.parts),
        spend=spend.by_day,
        by_model=spend.by_model,
        by_run=spend.by_run,
        by_tag=spend.by_tag,
    )
