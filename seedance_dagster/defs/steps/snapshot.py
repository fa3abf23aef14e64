"""Dagster's side of an audit: the events of videos, and reporting them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from seedance_dagster.audit.snapshots import RecordedEvent
from seedance_dagster.defs.naming import ACCEPTED, DATA_VERSION_TAG, INDEX, TASKS, VIDEOS, asset_key
from seedance_dagster.defs.steps.index import index_event
from seedance_dagster.defs.steps.metadata import video_event
from seedance_dagster.defs.steps.reporter import Reporter
from seedance_dagster.engine.indexing import WrittenIndex
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.collect import stored_event
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.partitions import Link

_PAGE = 250  # a record takes 30 KB while it is read, its thumbnail included
# The poster's bytes, which the audit compares in S3, and the gallery's address at the time.
_NOT_COMPARED = {"poster", "watch"}

Fetch = Callable[..., dg.EventRecordsResult]


@dataclass(frozen=True)
class DagsterSide:
    """The Dagster instance as the audit's `Orchestrator`."""

    instance: dg.DagsterInstance
    services: Services

    def materializations(
        self, prompt_set: str, partitions: Sequence[str] | None = None
    ) -> Iterator[RecordedEvent]:
        """Yield materializations of a set's videos, the newest first; of some partitions, or of all."""
        return _recorded_events(self.instance.fetch_materializations, prompt_set, partitions)

    def tasks(self, prompt_set: str) -> Iterator[RecordedEvent]:
        """Yield materializations of a set's tasks, the newest first."""
        return _recorded_events(self.instance.fetch_materializations, prompt_set, None, TASKS)

    def submissions(self, prompt_set: str) -> Iterator[RecordedEvent]:
        """Yield observations of tasks of a set that were submitted after their order was materialized."""
        observed = _recorded_events(self.instance.fetch_observations, prompt_set, None, TASKS)
        return (event for event in observed if "seedance/points_held" in event.metadata)

    def verdicts(self, prompt_set: str) -> Iterator[RecordedEvent]:
        """Yield the verdicts that were reported of a set: those that accept, and those that no longer do."""
        for fetch in (self.instance.fetch_materializations, self.instance.fetch_observations):
            yield from _recorded_events(fetch, prompt_set, None, ACCEPTED)

    def index(self, prompt_set: str) -> RecordedEvent | None:
        """Return the newest materialization of a set's index."""
        page = self.instance.fetch_materializations(asset_key(prompt_set, INDEX), limit=1)
        return next((_recorded(prompt_set, record) for record in page.records), None)

    def observations(self, prompt_set: str, partitions: Sequence[str]) -> Iterator[RecordedEvent]:
        """Yield observations of the videos of some partitions, except those that say there is none."""
        observed = _recorded_events(self.instance.fetch_observations, prompt_set, partitions)
        return (event for event in observed if event.data_version is not None)

    def expected_metadata(self, order: Order) -> Mapping[str, Any]:
        """Return the metadata that the materialization of a stored order should have, as plain values."""
        link = Link(order.prompt_set, order.partition, order.order_id)
        return _plain(video_event(order, link, self.services.store, None, {}).metadata)

    def report(self, order: Order) -> bool:
        """Report a stored order again and note that in the ledger; return True if its partition shows it."""
        reporter, shown = Reporter(self.instance, self.services), False
        for event in reporter.event(stored_event(self.services.store, order)):
            self.instance.report_runless_asset_event(event)
            shown = isinstance(event, dg.AssetMaterialization)
        return shown

    def report_task(self, order: Order, prompt_set: str, partition: str) -> None:
        """Report the task of an order again, for one of its partitions."""
        for event in Reporter(self.instance, self.services, prompt_set).task(order, partition):
            self.instance.report_runless_asset_event(event)

    def report_index(self, written: WrittenIndex) -> None:
        """Report an index that was just written."""
        self.instance.report_runless_asset_event(index_event(written, self.services, self.instance))


def _recorded_events(
    fetch: Fetch, prompt_set: str, partitions: Sequence[str] | None, name: str = VIDEOS
) -> Iterator[RecordedEvent]:
    asset = asset_key(prompt_set, name)
    if partitions is None:
        yield from _pages(fetch, prompt_set, asset)
        return
    for chunk in chunked(partitions):
        record_filter = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=chunk)
        yield from _pages(fetch, prompt_set, record_filter)


def _pages(
    fetch: Fetch, prompt_set: str, selection: dg.AssetKey | dg.AssetRecordsFilter
) -> Iterator[RecordedEvent]:
    cursor, more = None, True
    while more:
        page = fetch(selection, limit=_PAGE, cursor=cursor)
        cursor, more = page.cursor, page.has_more
        for record in page.records:
            event = _recorded(prompt_set, record)
            if event.partition:
                yield event


def _recorded(prompt_set: str, record: dg.EventLogRecord) -> RecordedEvent:
    event = record.asset_materialization or record.event_log_entry.asset_observation
    tags = {} if event is None else event.tags or {}
    return RecordedEvent(
        prompt_set=prompt_set,
        partition="" if event is None else event.partition or "",
        at=datetime.fromtimestamp(record.timestamp, UTC),
        metadata={} if event is None else _plain(event.metadata),
        data_version=tags.get(DATA_VERSION_TAG),
    )


def _plain(metadata: Mapping[str, dg.MetadataValue[Any]]) -> dict[str, Any]:
    return {name: value.value for name, value in metadata.items() if name not in _NOT_COMPARED}
