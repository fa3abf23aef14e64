"""The ledger against Dagster: videos that it was not told of, and materializations that say otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from seedance_dagster.audit.findings import Finding, Kind, about_order, finding
from seedance_dagster.audit.snapshots import GRACE, DagsterSnapshot, RecordedEvent, Scope, Snapshots
from seedance_dagster.ledger.order import OPEN, Order, Reported, State

_AT_HAND = frozenset({State.STORED, State.SUCCEEDED})  # an order whose video is fetched again was told before


class Orchestrator(Protocol):
    """Dagster, as far as an audit knows it."""

    def told(self, prompt_set: str, partitions: Sequence[str] | None = None) -> Iterator[RecordedEvent]:
        """Materializations of a set's videos, the newest first; of some partitions, or of all."""
        ...

    def observed(self, prompt_set: str, partitions: Sequence[str]) -> Iterator[RecordedEvent]:
        """Observations of the videos of some partitions."""
        ...

    def expected(self, order: Order) -> Mapping[str, Any]:
        """What a materialization of a stored order says, as plain values by name."""
        ...

    def tell(self, order: Order) -> bool:
        """Tell of a stored order again, and note that in the ledger; True if its partition shows it now."""
        ...


Expected = Callable[[Order], Mapping[str, Any]]


def needs_verification(books: Snapshots, scope: Scope, expected: Expected) -> dict[str, set[str]]:
    """Partitions by set whose events are to be read again: others may have told of them meanwhile."""
    found: dict[str, set[str]] = {}
    for order in _untold(books, scope):
        found.setdefault(order.prompt_set, set()).add(order.partition)
    # A finding is about an order, whose event may stand at another partition.
    places = {_where(*place): place for place in books.dagster.newest}
    for wrong in _wrong(books, scope, expected):
        prompt_set, partition = places.get(wrong.where, (str(wrong.prompt_set), str(wrong.partition)))
        found.setdefault(prompt_set, set()).add(partition)
    return found


def with_tellings(
    book: DagsterSnapshot, materialized: Iterable[RecordedEvent], observed: Iterable[RecordedEvent] = ()
) -> DagsterSnapshot:
    """The book with what was read: of each partition the first counts as the newest."""
    newest: dict[tuple[str, str], RecordedEvent] = {}
    told = dict(book.told)
    for telling in materialized:
        newest.setdefault((telling.prompt_set, telling.partition), telling)
        if telling.task_id is not None:
            told.setdefault(telling.task_id, telling)
    for telling in observed:
        if telling.task_id is not None:
            told.setdefault(telling.task_id, telling)
    return DagsterSnapshot(newest={**book.newest, **newest}, told=told)


def compare(books: Snapshots, scope: Scope, expected: Expected) -> Iterator[Finding]:
    """What is wrong with what Dagster was told.

    Args:
        books: With the events of unclear partitions read again.
        scope: What is audited.
        expected: What a materialization of a stored order says.
    """
    for order in _untold(books, scope):
        if not _on_its_way(order, books):
            yield about_order(
                Kind.NOT_MATERIALIZED,
                order,
                where=place_of(order),
                what="stored, and no materialization tells of it",
            )
    yield from _wrong(books, scope, expected)


def shown_orders(books: Snapshots) -> dict[tuple[str, str], Order]:
    """The order that each partition should show."""
    shown = books.ledger.current_videos
    return {
        (order.prompt_set, order.partition): order for order in books.ledger.orders if order.order_id in shown
    }


def place_of(order: Order) -> str:
    """Where the materialization of an order's video stands."""
    return _where(order.prompt_set, order.partition)


def _untold(books: Snapshots, scope: Scope) -> list[Order]:
    return [
        order
        for order in books.ledger.orders
        if order.state is State.STORED and scope.covers(order) and order.task_id not in books.dagster.told
    ]


def _wrong(books: Snapshots, scope: Scope, expected: Expected) -> list[Finding]:
    """What is wrong with what the partitions show, each event named once."""
    hidden = list(_hidden(books, scope))
    named = {(each.prompt_set, each.partition) for each in hidden}
    different = _different(books, scope, expected)
    return hidden + [each for each in different if (each.prompt_set, each.partition) not in named]


def _hidden(books: Snapshots, scope: Scope) -> Iterator[Finding]:
    """Videos that their partitions should show, and that Dagster shows nowhere or behind an older attempt.

    Another request's video may be the newest: an edit that was taken back, or not materialized yet.
    """
    owners = {order.task_id: order for order in books.ledger.orders if order.task_id is not None}
    busy = _busy(books)
    for partition, order in shown_orders(books).items():
        if partition in busy or not scope.covers(order) or order.task_id not in books.dagster.told:
            continue
        newest = books.dagster.newest.get(partition)
        if newest is None:
            what = "stored, and its partition has no materialization"
            yield about_order(Kind.NOT_MATERIALIZED, order, where=place_of(order), what=what)
            continue
        other = owners.get(str(newest.task_id))
        older = other is not None and other.fingerprint == order.fingerprint and other.attempt < order.attempt
        if older and other is not None:
            what = f"it shows order {other.order_id}, order {order.order_id} of the same request is newer"
            yield about_order(Kind.MATERIALIZATION_DIFFERS, order, where=place_of(order), what=what)


def _busy(books: Snapshots) -> set[tuple[str, str]]:
    """Partitions of which Dagster will hear more: an order is open, or was at work until just now."""
    since = books.read_at - GRACE
    return {
        (order.prompt_set, order.partition)
        for order in books.ledger.orders
        if order.state in OPEN
        or (order.stored_at or order.vendor_ended_at or order.claimed_at or order.ordered_at) >= since
    }


def _on_its_way(order: Order, books: Snapshots) -> bool:
    """True for a video that Dagster will be told of by the run that brought it, or the next one."""
    young = order.stored_at is not None and order.stored_at >= books.read_at - GRACE
    return order.state is not State.STORED or (
        order.reported not in (Reported.STORED, Reported.OBSERVED) and young
    )


def _different(books: Snapshots, scope: Scope, expected: Expected) -> Iterator[Finding]:
    owners = {order.task_id: order for order in books.ledger.orders if order.task_id is not None}
    shown = shown_orders(books)
    for (prompt_set, partition), telling in books.dagster.newest.items():
        where = _where(prompt_set, partition)
        if telling.task_id is None:
            yield from _foreign(telling, shown.get((prompt_set, partition)), scope)
            continue
        order = owners.get(telling.task_id)
        if order is None or not scope.covers(order):
            continue  # one that no order explains is a stranger
        if order.state not in _AT_HAND:
            what = f"it shows a video of order {order.order_id}, which is {order.state}"
            yield about_order(Kind.MATERIALIZATION_DIFFERS, order, where=where, what=what)
        elif _on_its_way(order, books):
            continue
        elif names := differences(telling, order, expected(order)):
            what = f"it differs from the ledger in {', '.join(names)}"
            yield about_order(Kind.MATERIALIZATION_DIFFERS, order, where=where, what=what)


def _foreign(telling: RecordedEvent, shown: Order | None, scope: Scope) -> Iterator[Finding]:
    """A materialization that names no task: somebody else made it, over a video or over nothing."""
    where = _where(telling.prompt_set, telling.partition)
    what = "the newest materialization names no task; somebody else made it"
    if shown is not None:
        if scope.covers(shown):
            yield about_order(Kind.MATERIALIZATION_DIFFERS, shown, where=where, what=what)
    elif scope.is_of(telling.prompt_set) and scope.is_since(telling.at):
        yield finding(
            Kind.MATERIALIZATION_DIFFERS,
            where=where,
            what=f"{what}, and nothing is stored for it",
            advice="wipe it in Dagster, if nobody misses it",
            prompt_set=telling.prompt_set,
            partition=telling.partition,
        )


def differences(telling: RecordedEvent, order: Order, expected: Mapping[str, Any]) -> list[str]:
    """Names whose values differ; a name that an older version did not tell is no difference."""
    told = telling.metadata
    names = [name for name, value in expected.items() if name in told and told[name] != value]
    if (order.prompt_set, order.partition) != (telling.prompt_set, telling.partition):
        names.append("partition")
    return names if telling.data_version == order.sha256 else [*names, "data version"]


def _where(prompt_set: str, partition: str) -> str:
    return f"Dagster {prompt_set}/videos {partition}"
