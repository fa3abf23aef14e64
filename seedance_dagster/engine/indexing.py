"""Keeping a set's index in step with the ledger, by one writer at a time.

What was written last is a fact in the ledger: a stamp of what the index was made from. It tells whether
there is anything to do, and a writer that was held up, so that its lease ran out, finds it changed and
writes again instead of leaving older bytes over newer ones.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.spend import DaySpend, SpendBy, Sums
from seedance_dagster.storage.index import COLUMNS, index_row, to_jsonl, to_parquet
from seedance_dagster.storage.keys import index_keys

_LEASE_S = 30.0  # as long as writing may take before others try
_WAIT_S = 0.25
_TRIES = 240  # twice the lease of a writer that was killed
_TAGS = 5  # names; each is a pass over the set's orders
_STAMP_BITS = 60  # a fact is a whole number of 64 bits


class IndexingError(Exception):
    """The index was not written; the message says why. The next run tries again."""


@dataclass(frozen=True)
class WrittenIndex:
    """An index as it was just written.

    Attributes:
        prompt_set: The set.
        key: Of the JSONL file.
        parquet_key: Of the Parquet file; None where pyarrow is not installed.
        sha256: Of the JSONL file, in hex.
        size_bytes: Of the JSONL file.
        videos: How many rows.
        videos_points: What these videos were charged, in points.
        spend: What the whole set was charged by day, penalties and earlier attempts included.
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
    """Sets that have something to index, by name."""
    return sorted({name for name, state in services.ledger.workload.counts() if state is State.STORED})


def refresh_index(
    services: Services, prompt_set: str, *, owner: str, force: bool = False
) -> WrittenIndex | None:
    """Write a set's index, unless it was made from what the ledger holds now.

    Args:
        services: The engine's surroundings.
        prompt_set: The set's name.
        owner: Who writes; unique among all processes.
        force: Write it in any case.

    Returns:
        What was written; None when nothing had changed.

    Raises:
        IndexingError: Others were writing all the time.
        StoreError: The bucket cannot be written.
        LedgerError: The ledger cannot be read.
    """
    ledger, name = services.ledger, f"index {prompt_set}"
    for _ in range(_TRIES):
        told = ledger.observations.recall(name)
        stamp = _stamp(services, prompt_set)
        if not force and name in told and told[name].value == stamp:
            return None
        if not ledger.leases.acquire(name, owner, seconds=_LEASE_S):
            time.sleep(_WAIT_S)
            continue
        try:
            # Read anew: another may have written until just now.
            told, stamp = ledger.observations.recall(name), _stamp(services, prompt_set)
            written = _write(services, prompt_set)
            if (
                ledger.leases.acquire(name, owner, seconds=_LEASE_S)
                and ledger.observations.recall(name) == told
            ):
                ledger.observations.remember({name: stamp})
                return written
            # Somebody took over meanwhile, and what is there now may be older than what they wrote.
            force = True
        finally:
            ledger.leases.release(name, owner)
    raise IndexingError(f"the index of {prompt_set} is being written by {ledger.leases.owner_of(name)}")


def _stamp(services: Services, prompt_set: str) -> int:
    """A number for what the index would be made from, and for where it goes."""
    names = [column.name for column in COLUMNS]
    place = services.store.uri(index_keys(services.store.prefix, prompt_set).jsonl)
    made_from = repr((names, place, services.ledger.videos.stamp(prompt_set)))
    return int.from_bytes(hashlib.sha256(made_from.encode()).digest()) >> (256 - _STAMP_BITS)


def _write(services: Services, prompt_set: str) -> WrittenIndex:
    store = services.store
    keys = index_keys(store.prefix, prompt_set)
    shown = services.ledger.videos.current(prompt_set)
    rows = [index_row(order, store.uri) for order in shown]
    jsonl, parquet = to_jsonl(rows), to_parquet(rows)
    if parquet is not None or store.head(keys.parquet) is not None:
        # One that cannot be kept current is emptied: it fails to load instead of being out of date.
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
            for name, _ in Counter(name for order in shown for name in order.tags).most_common(_TAGS)
        },
    )
