"""Keeping a set's index in sync with the ledger, by one writer at a time.

An observation in the ledger is a stamp of what the last index was made from. It says whether there is
anything to do, and a writer that was held up until its lease expired finds it changed and writes again,
instead of leaving older bytes over newer ones.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.spend import DaySpend, SpendBy, Sums
from seedance_dagster.storage.index import COLUMNS, index_row, to_jsonl, to_parquet
from seedance_dagster.storage.keys import index_keys

_TAGS = 5  # tag names; each is a pass over the set's orders
_STAMP_BITS = 60  # an observation is a whole number of 64 bits


class IndexingError(Exception):
    """The index was not written; the message says why. The next run tries again."""


@dataclass(frozen=True)
class WrittenIndex:
    """An index that was just written.

    Attributes:
        key: Of the JSONL file.
        parquet_key: Of the Parquet file; None where pyarrow is not installed.
        sha256: Of the JSONL file, in hex.
        size_bytes: Of the JSONL file.
        videos: Number of rows.
        videos_points: Charges of these videos, in points.
        spend: Charges of the whole set by day, penalties and earlier attempts included.
        by_model: The same money by task type.
        by_run: By the run that ordered.
        by_tag: By the value of each tag, for the tags that most videos have.
    """

    prompt_set: str
    key: str
    parquet_key: str | None
    sha256: str
    size_bytes: int
    videos: int
    videos_points: int
    spend: Sequence[DaySpend]
    by_model: Sums
    by_run: Sums
    by_tag: Mapping[str, Sums]


def sets_with_videos(services: Services) -> list[str]:
    """Return the names of the sets that have something to index, sorted."""
    return services.ledger.videos.sets()


def refresh_index(
    services: Services, prompt_set: str, *, owner: str, force: bool = False
) -> WrittenIndex | None:
    """Write a set's index, unless it was made from what the ledger holds now.

    Args:
        services: The engine's surroundings.
        prompt_set: The set's name.
        owner: The writer; unique among all processes.
        force: Write it in any case.

    Returns:
        The index as written; None when nothing had changed.

    Raises:
        IndexingError: Others were writing all the time.
        StoreError: The bucket cannot be written, or its prefix belongs to another ledger.
        LedgerError: The ledger cannot be read.
    """
    ledger, name, pacing = services.ledger, f"index {prompt_set}", services.policy.pacing
    tries = math.ceil(
        2 * pacing.index_lease_s / pacing.index_wait_s
    )  # until the lease of a killed writer ends
    for _ in range(tries):
        last = ledger.observations.recall(name)
        stamp = _stamp(services, prompt_set)
        if not force and name in last and last[name].value == stamp:
            return None
        if not ledger.leases.acquire(name, owner, seconds=pacing.index_lease_s):
            time.sleep(pacing.index_wait_s)
            continue
        try:
            # Read again: another writer may have written until just now.
            last, stamp = ledger.observations.recall(name), _stamp(services, prompt_set)
            written = _write(services, prompt_set)
            held = ledger.leases.acquire(name, owner, seconds=pacing.index_lease_s)
            if held and ledger.observations.recall(name) == last:
                ledger.observations.remember({name: stamp})
                return written
            # Another writer took over meanwhile, and these bytes may be older than what it wrote.
            force = True
        finally:
            ledger.leases.release(name, owner)
    raise IndexingError(f"the index of {prompt_set} is being written by {ledger.leases.owner_of(name)}")


def is_due(services: Services, prompt_set: str) -> bool:
    """Return True where the index was made from something else than the ledger holds now."""
    last = services.ledger.observations.recall(name := f"index {prompt_set}").get(name)
    return last is None or last.value != _stamp(services, prompt_set)


def _stamp(services: Services, prompt_set: str) -> int:
    """Return a number for what the index would be made from, and for where it goes."""
    names = [column.name for column in COLUMNS]
    uri = services.store.uri(index_keys(services.store.prefix, prompt_set).jsonl)
    made_from = repr((names, uri, services.ledger.videos.stamp(prompt_set)))
    return int.from_bytes(hashlib.sha256(made_from.encode()).digest()) >> (256 - _STAMP_BITS)


def _write(services: Services, prompt_set: str) -> WrittenIndex:
    services.claim_prefix()
    store = services.store
    keys = index_keys(store.prefix, prompt_set)
    videos = services.ledger.videos.current(prompt_set)
    rows = [index_row(prompt_set, video, store.uri) for video in videos]
    jsonl, parquet = to_jsonl(rows), to_parquet(rows)
    if parquet is not None or store.head(keys.parquet) is not None:
        # A Parquet file that cannot be kept current is emptied: better unreadable than out of date.
        store.put_bytes(
            keys.parquet,
            parquet or b"",
            content_type="application/vnd.apache.parquet",
            metadata={},
            overwrite=True,
        )
    digest = hashlib.sha256(jsonl).hexdigest()
    store.put_bytes(
        keys.jsonl,
        jsonl,
        content_type="application/x-ndjson",
        metadata={"sha256": digest},
        overwrite=True,
    )
    return WrittenIndex(
        prompt_set=prompt_set,
        key=keys.jsonl,
        parquet_key=None if parquet is None else keys.parquet,
        sha256=digest,
        size_bytes=len(jsonl),
        videos=len(rows),
        videos_points=sum(row["points_charged"] or 0 for row in rows),
        spend=services.ledger.spend.by_day(prompt_set),
        by_model=services.ledger.spend.total_by(SpendBy.MODEL, prompt_set=prompt_set),
        by_run=services.ledger.spend.total_by(SpendBy.RUN, prompt_set=prompt_set),
        by_tag={
            name: services.ledger.spend.total_by(SpendBy.TAG, tag=name, prompt_set=prompt_set)
            for name, _ in Counter(name for video in videos for name in video.tags).most_common(_TAGS)
        },
    )
