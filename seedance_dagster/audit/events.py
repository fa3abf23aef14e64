"""The ledger against Dagster: videos that were not reported, and materializations that differ."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from seedance_dagster.audit.evidence import CORE
from seedance_dagster.audit.findings import Finding, Kind, finding, order_finding
from seedance_dagster.audit.snapshots import GRACE, DagsterSnapshot, RecordedEvent, Scope, Snapshots
from seedance_dagster.engine.indexing import WrittenIndex
from seedance_dagster.ledger.order import OPEN, Order, Reported, State

# An order whose video is fetched again was reported before, so it may have a materialization.
_MATERIALIZED = frozenset({State.STORED, State.SUCCEEDED})


EVENT_FACTS = {
    "seedance/task_id": "task_id",
    "seedance/task_type": "task_type",
    "seedance/mode": "mode",
    "seedance/prompt": "prompt",
    "seedance/fingerprint": "fingerprint",
    "seedance/attempt": "attempt",
    "seedance/points_consumed": "points_charged",
    "seedance/duration_s": "duration_s",
    "seedance/width": "width",
    "seedance/height": "height",
    "seedance/size_bytes": "size_bytes",
    "seedance/sha256": "sha256",
    "seedance/credential": "credential",
    "data version": "sha256",
    "dagster/uri": "video_key",
    "seedance/manifest_uri": "manifest_key",
}
"""The fact of an order that each value of an event is about."""


class Orchestrator(Protocol):
    """Dagster, as far as an audit needs it."""

    def materializations(
        self, prompt_set: str, partitions: Sequence[str] | None = None
    ) -> Iterator[RecordedEvent]:
        """Yield materializations of a set's videos, the newest first; of some partitions, or of all."""
        ...

    def tasks(self, prompt_set: str) -> Iterator[RecordedEvent]:
        """Yield materializations of a set's tasks, the newest first."""
        ...

    def submissions(self, prompt_set: str) -> Iterator[RecordedEvent]:
        """Yield observations of tasks that were submitted after they were materialized, newest first."""
        ...

    def verdicts(self, prompt_set: str) -> Iterator[RecordedEvent]:
        """Yield materializations and observations of a set's accepted videos, in any order."""
        ...

    def index(self, prompt_set: str) -> RecordedEvent | None:
        """Return the newest materialization of a set's index."""
        ...

    def observations(self, prompt_set: str, partitions: Sequence[str]) -> Iterator[RecordedEvent]:
        """Yield observations of the videos of some partitions."""
        ...

    def expected_metadata(self, order: Order) -> Mapping[str, Any]:
        """Return the metadata that the materialization of a stored order should have, as plain values."""
        ...

    def report(self, order: Order) -> bool:
        """Report a stored order again and note that in the ledger; return True if its partition shows it."""
        ...

    def report_task(self, order: Order, prompt_set: str, partition: str) -> None:
        """Report the task of an order again, for one of its partitions."""
        ...

    def report_index(self, written: WrittenIndex) -> None:
        """Report an index that was just written."""
        ...


ExpectedMetadata = Callable[[Order], Mapping[str, Any]]


def partitions_to_verify(
    snapshots: Snapshots, scope: Scope, expected: ExpectedMetadata
) -> dict[str, set[str]]:
    """Return the partitions, by set, whose events must be read again: they may have changed meanwhile."""
    partitions: dict[str, set[str]] = {}
    for order in _unreported(snapshots, scope):
        partitions.setdefault(order.prompt_set, set()).add(order.partition)
    # A finding is about an order, whose event may be recorded for another partition.
    by_location = {event_location(*key): key for key in snapshots.dagster.newest}
    for wrong in _wrong_events(snapshots, scope, expected):
        own = (str(wrong.prompt_set), str(wrong.partition))
        prompt_set, partition = by_location.get(wrong.location, own)
        partitions.setdefault(prompt_set, set()).add(partition)
    return partitions


def with_events(
    snapshot: DagsterSnapshot,
    materializations: Iterable[RecordedEvent],
    observations: Iterable[RecordedEvent] = (),
) -> DagsterSnapshot:
    """Return the snapshot with events added; the first materialization of a partition is its newest."""
    newest: dict[tuple[str, str], RecordedEvent] = {}
    reported = dict(snapshot.reported)
    for event in materializations:
        newest.setdefault((event.prompt_set, event.partition), event)
        if event.task_id is not None:
            reported.setdefault(event.task_id, event)
    for event in observations:
        if event.task_id is not None:
            reported.setdefault(event.task_id, event)
    return replace(snapshot, newest={**snapshot.newest, **newest}, reported=reported)


def compare(snapshots: Snapshots, scope: Scope, expected: ExpectedMetadata) -> Iterator[Finding]:
    """Yield the findings about videos in Dagster; `partitions_to_verify` must have been read again."""
    for order in _unreported(snapshots, scope):
        if not _is_under_way(order, snapshots):
            yield order_finding(
                Kind.NOT_MATERIALIZED,
                order,
                location=event_location(order.prompt_set, order.partition),
                message="it is stored and has no materialization",
                facts=("state", *CORE),
            )
    yield from _wrong_events(snapshots, scope, expected)


def current_orders(snapshots: Snapshots) -> dict[tuple[str, str], Order]:
    """Return the order that each partition should show."""
    orders = {order.order_id: order for order in snapshots.ledger.orders}
    return {
        partition: orders[order_id]
        for partition, order_id in snapshots.ledger.current_videos.items()
        if order_id in orders
    }


def event_location(prompt_set: str, partition: str) -> str:
    """Return the location of the materializations of a partition's videos."""
    return f"Dagster {prompt_set}/videos {partition}"


def differences(
    event: RecordedEvent, order: Order, expected: Mapping[str, Any], partitions: Collection[tuple[str, str]]
) -> list[str]:
    """Return the names of the values that differ; one that an older version did not report is not compared.

    Args:
        event: A materialization or observation of the order.
        expected: The metadata that it should have.
        partitions: Set and key of the partitions that the order was given to.
    """
    metadata = event.metadata
    names = [name for name, value in expected.items() if name in metadata and metadata[name] != value]
    if (event.prompt_set, event.partition) not in partitions:
        names.append("partition")
    return names if event.data_version == order.sha256 else [*names, "data version"]


def _unreported(snapshots: Snapshots, scope: Scope) -> list[Order]:
    return [
        order
        for order in snapshots.ledger.orders
        if order.state is State.STORED
        and scope.covers(order)
        and order.task_id not in snapshots.dagster.reported
    ]


def _wrong_events(snapshots: Snapshots, scope: Scope, expected: ExpectedMetadata) -> list[Finding]:
    """Return the findings about the materializations that partitions show, at most one per partition."""
    hidden = list(_hidden_videos(snapshots, scope))
    named = {(wrong.prompt_set, wrong.partition) for wrong in hidden}
    different = _different_events(snapshots, scope, expected)
    return hidden + [wrong for wrong in different if (wrong.prompt_set, wrong.partition) not in named]


def _hidden_videos(snapshots: Snapshots, scope: Scope) -> Iterator[Finding]:
    """Yield videos that their partitions should show, but that an older attempt hides, or nothing shows.

    A newer video of another request is fine: an edit that was reverted, or is not materialized yet.
    """
    owners = {order.task_id: order for order in snapshots.ledger.orders if order.task_id is not None}
    busy = _busy_partitions(snapshots)
    for partition, order in current_orders(snapshots).items():
        if partition in busy or not scope.covers(order) or order.task_id not in snapshots.dagster.reported:
            continue
        location = event_location(*partition)
        newest = snapshots.dagster.newest.get(partition)
        if newest is None:
            message = "it is stored and its partition has no materialization"
            yield order_finding(
                Kind.NOT_MATERIALIZED, order, location=location, message=message, facts=("state", *CORE)
            )
            continue
        shown = owners.get(str(newest.task_id))
        if shown and shown.fingerprint == order.fingerprint and shown.attempt < order.attempt:
            message = f"it shows order {shown.order_id}; order {order.order_id} of the same request is newer"
            yield order_finding(
                Kind.MATERIALIZATION_DIFFERS, order, location=location, message=message, facts=CORE
            )


def _busy_partitions(snapshots: Snapshots) -> set[tuple[str, str]]:
    """Return partitions with an order that is open or ended just now: Dagster will get another event."""
    since = snapshots.read_at - GRACE
    return {
        partition
        for order in snapshots.ledger.orders
        if order.state in OPEN
        or (order.stored_at or order.vendor_ended_at or order.claimed_at or order.ordered_at) >= since
        for partition in snapshots.ledger.partitions(order)
    }


def _is_under_way(order: Order, snapshots: Snapshots) -> bool:
    """Return True when the run that stores the video, or the next one, will still report it."""
    recent = order.stored_at is not None and order.stored_at >= snapshots.read_at - GRACE
    reported = {link.reported for link in snapshots.ledger.links.get(order.order_id, ())}
    return order.state is not State.STORED or (
        reported.isdisjoint({Reported.STORED, Reported.OBSERVED}) and recent
    )


def _different_events(snapshots: Snapshots, scope: Scope, expected: ExpectedMetadata) -> Iterator[Finding]:
    owners = {order.task_id: order for order in snapshots.ledger.orders if order.task_id is not None}
    current = current_orders(snapshots)
    for key, event in snapshots.dagster.newest.items():
        if event.task_id is None:
            yield from _foreign_event(event, current.get(key), scope)
            continue
        order = owners.get(event.task_id)
        if order is None or not scope.covers(order):
            continue  # `unmatched` reports events that belong to no order
        names = []
        if order.state not in _MATERIALIZED:
            message = f"it shows a video of order {order.order_id}, which is {order.state}"
        elif _is_under_way(order, snapshots):
            continue
        elif names := differences(event, order, expected(order), snapshots.ledger.partitions(order)):
            message = f"it differs from the ledger in {', '.join(names)}"
        else:
            continue
        location = event_location(*key)
        facts = [EVENT_FACTS[name] for name in names if name in EVENT_FACTS] or ("state", *CORE)
        yield order_finding(
            Kind.MATERIALIZATION_DIFFERS, order, location=location, message=message, facts=facts
        )


def _foreign_event(event: RecordedEvent, current: Order | None, scope: Scope) -> Iterator[Finding]:
    """Yield a finding for a materialization without a task: another program reported it."""
    location = event_location(event.prompt_set, event.partition)
    message = "the newest materialization names no task: another program reported it"
    if current is not None:
        if scope.covers(current):
            yield order_finding(
                Kind.MATERIALIZATION_DIFFERS, current, location=location, message=message, facts=CORE
            )
    elif scope.covers_set(event.prompt_set) and scope.covers_time(event.at):
        yield finding(
            Kind.MATERIALIZATION_DIFFERS,
            location=location,
            message=f"{message}, and no video is stored for the partition",
            advice="wipe the materialization in Dagster if nothing needs it",
            prompt_set=event.prompt_set,
            partition=event.partition,
        )
