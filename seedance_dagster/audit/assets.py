"""The ledger against Dagster's other assets of a set: its tasks, and its index with the file in S3."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pydantic import ValidationError

from seedance_dagster.audit.events import current_orders
from seedance_dagster.audit.evidence import Evidence, Source
from seedance_dagster.audit.findings import Finding, Kind, finding, order_finding
from seedance_dagster.audit.snapshots import GRACE, RecordedEvent, Scope, Snapshots
from seedance_dagster.audit.storage import Verification
from seedance_dagster.ledger.order import OPEN, Order
from seedance_dagster.ledger.videos import CurrentVideo
from seedance_dagster.storage.index import content_version, index_row, row_digest
from seedance_dagster.storage.index_files import IndexManifest
from seedance_dagster.storage.keys import index_keys, is_index_file

_FACTS = {"seedance/task_id": "task_id", "seedance/points_held": "points_held"}


def compare(snapshots: Snapshots, scope: Scope) -> Iterator[Finding]:
    """Yield the findings about the assets `tasks` and `index`."""
    yield from _tasks(snapshots, scope)
    if scope.since is None:  # an index is about a whole set
        for prompt_set in snapshots.ledger.indexes:
            if scope.covers_set(prompt_set) and not _index_is_under_way(prompt_set, snapshots):
                yield from _index(prompt_set, snapshots)


def expected_version(prompt_set: str, snapshots: Snapshots) -> str:
    """Return the version that a set's index should have by the ledger."""
    orders = {order.order_id: order for order in snapshots.ledger.orders}
    videos = (
        replace(video, order=orders.get(video.order.order_id, video.order))
        for video in snapshots.ledger.videos.get(prompt_set, ())
    )
    return index_version(prompt_set, videos, snapshots, before=snapshots.ledger.indexes[prompt_set])


def index_version(
    prompt_set: str, videos: Iterable[CurrentVideo], snapshots: Snapshots, *, before: str
) -> str:
    """Return the version of an index after some videos are added to the one of version `before`."""
    rows = (index_row(prompt_set, video, snapshots.storage.uri) for video in videos)
    return content_version(map(row_digest, rows), before)


def indexes_to_verify(snapshots: Snapshots) -> dict[str, Verification]:
    """Return the manifests and parts of all indexes, by key."""
    return {
        key: Verification.READ if key.endswith(".json") else Verification.HASH
        for prompt_set in snapshots.ledger.indexes
        for key in _index_files(prompt_set, snapshots)
    }


def _index_files(prompt_set: str, snapshots: Snapshots) -> list[str]:
    manifest = index_keys(snapshots.storage.prefix, prompt_set).manifest
    folder = manifest.rpartition("/")[0]
    listed = (key for key in snapshots.storage.objects if key.rpartition("/")[0] == folder)
    return [manifest, *(key for key in listed if is_index_file(key) and key != manifest)]


def _tasks(snapshots: Snapshots, scope: Scope) -> Iterator[Finding]:
    by_partition: defaultdict[tuple[str, str], list[Order]] = defaultdict(list)
    for order in snapshots.ledger.orders:
        for partition in snapshots.ledger.partitions(order):
            by_partition[partition].append(order)
    for partition, event in snapshots.dagster.tasks.items():
        named = [order for order in by_partition[partition] if _names(event, order)]
        if not named or not any(map(scope.covers, named)) or _is_recent(named[-1], snapshots):
            continue
        names = min((_differences(event, order) for order in named), key=len)
        if names:
            message = f"it differs from the ledger in {', '.join(names)}"
            yield _task_finding(named[-1], partition, message, tuple(_FACTS[name] for name in names))
    for partition, order in current_orders(snapshots).items():
        shown = partition in snapshots.dagster.tasks or order.task_id not in snapshots.dagster.reported
        if scope.covers(order) and not shown and not _is_recent(order, snapshots):
            yield _task_finding(order, partition, "it has no materialization", ("task_id",))


def _names(event: RecordedEvent, order: Order) -> bool:
    """Return True where an event is about an attempt at an order's request."""
    named = (event.metadata.get("seedance/fingerprint"), event.metadata.get("seedance/attempt"))
    return named == (order.fingerprint, order.attempt)


def _differences(event: RecordedEvent, order: Order) -> list[str]:
    names = []
    if order.task_id is not None and event.metadata.get("seedance/task_id") != order.task_id:
        names.append("seedance/task_id")
    # The hold may become known after the task was reported; 0 says nothing.
    held = event.metadata.get("seedance/points_held")
    if held and order.points_held and held != order.points_held:
        names.append("seedance/points_held")
    return names


def task_location(prompt_set: str, partition: str) -> str:
    """Return the location of the materializations of a partition's tasks."""
    return f"Dagster {prompt_set}/tasks {partition}"


def _task_finding(order: Order, partition: tuple[str, str], message: str, facts: tuple[str, ...]) -> Finding:
    return order_finding(
        Kind.TASK_MATERIALIZATION_DIFFERS,
        order,
        location=task_location(*partition),
        message=message,
        facts=facts,
    )


def _is_recent(order: Order, snapshots: Snapshots) -> bool:
    """Return True while the next run may still report the task."""
    since = snapshots.read_at - GRACE
    return order.state in OPEN or (order.stored_at or order.submitted_at or order.ordered_at) >= since


def _index_is_under_way(prompt_set: str, snapshots: Snapshots) -> bool:
    """Return True where a run just stored a video, and may be reporting the index."""
    since = snapshots.read_at - GRACE
    return any(
        order.stored_at is not None and order.stored_at >= since
        for order in snapshots.ledger.orders
        if any(name == prompt_set for name, _ in snapshots.ledger.partitions(order))
    )


def _index(prompt_set: str, snapshots: Snapshots) -> Iterator[Finding]:
    key = index_keys(snapshots.storage.prefix, prompt_set).manifest
    wanted = expected_version(prompt_set, snapshots)
    stored = _stored_version(prompt_set, snapshots)
    event = snapshots.dagster.indexes.get(prompt_set)
    shown = "" if event is None else event.data_version or ""
    problems = []
    if stored != wanted:
        problems.append("it differs from the ledger" if stored else "its files in S3 are missing or altered")
    if shown != wanted:
        problems.append("Dagster shows another version" if shown else "Dagster has no materialization")
    if problems:
        says = {Source.LEDGER: wanted, Source.DAGSTER: shown, Source.OBJECTS: stored}
        yield finding(
            Kind.INDEX_DIFFERS,
            location=snapshots.storage.uri(key),
            message=" and ".join(problems),
            prompt_set=prompt_set,
            evidence=(Evidence.of("version", {source: text for source, text in says.items() if text}),),
        )


def _stored_version(prompt_set: str, snapshots: Snapshots) -> str:
    """Return the version of an index in S3; empty where a file is missing, altered or left over."""
    files = {key: snapshots.storage.inspected.get(key) for key in _index_files(prompt_set, snapshots)}
    stored = next(iter(files.values()))
    try:
        manifest = IndexManifest.model_validate_json((stored and stored.body) or b"")
    except ValidationError:
        return ""
    hashes = {key.rpartition("/")[2]: file and file.sha256 for key, file in [*files.items()][1:]}
    return manifest.version if hashes == {part.path: part.sha256 for part in manifest.parts} else ""
