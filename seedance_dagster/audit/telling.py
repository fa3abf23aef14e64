"""The ledger against Dagster: videos that it was not told of, and materializations that say otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from seedance_dagster.audit.books import GRACE, Books, DagsterBook, Scope, Telling
from seedance_dagster.audit.findings import Finding, Kind, about_order
from seedance_dagster.ledger.order import Order, State

_AT_HAND = frozenset({State.STORED, State.SUCCEEDED})  # an order whose video is fetched again was told before


class Orchestrator(Protocol):
    """Dagster, as far as an audit knows it."""

    def told(self, prompt_set: str, partitions: Sequence[str] | None = None) -> Iterator[Telling]:
        """Materializations of a set's videos, the newest first; of some partitions, or of all."""
        ...

    def observed(self, prompt_set: str, partitions: Sequence[str]) -> Iterator[Telling]:
        """Observations of the videos of some partitions."""
        ...

    def expected(self, order: Order) -> Mapping[str, Any]:
        """What a materialization of a stored order says, as plain values by name."""
        ...

    def tell(self, order: Order) -> None:
        """Tell of a stored order again, and note that in the ledger."""
        ...


Expected = Callable[[Order], Mapping[str, Any]]


def unclear(books: Books, scope: Scope, expected: Expected) -> dict[str, set[str]]:
    """Partitions by set whose events are to be read again: others may have told of them meanwhile."""
    found: dict[str, set[str]] = {}
    for order in _untold(books, scope):
        found.setdefault(order.prompt_set, set()).add(order.partition)
    for wrong in _different(books, scope, expected):
        found.setdefault(str(wrong.prompt_set), set()).add(str(wrong.partition))
    return found


def with_tellings(
    book: DagsterBook, materialized: Iterable[Telling], observed: Iterable[Telling] = ()
) -> DagsterBook:
    """The book with what was read: of each partition the first counts as the newest."""
    newest: dict[tuple[str, str], Telling] = {}
    told = dict(book.told)
    for telling in materialized:
        newest.setdefault((telling.prompt_set, telling.partition), telling)
        if telling.task_id is not None:
            told.setdefault(telling.task_id, telling)
    for telling in observed:
        if telling.task_id is not None:
            told.setdefault(telling.task_id, telling)
    return DagsterBook(newest={**book.newest, **newest}, told=told)


def compare(books: Books, scope: Scope, expected: Expected) -> Iterator[Finding]:
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
                where=_where(order.prompt_set, order.partition),
                what="stored, and no materialization tells of it",
            )
    yield from _different(books, scope, expected)


def _untold(books: Books, scope: Scope) -> list[Order]:
    return [
        order
        for order in books.ledger.orders
        if order.state is State.STORED and scope.covers(order) and order.task_id not in books.dagster.told
    ]


def _on_its_way(order: Order, books: Books) -> bool:
    """True for a video that Dagster will be told of by the run that brought it, or the next one."""
    young = order.stored_at is not None and order.stored_at >= books.read_at - GRACE
    return order.state is not State.STORED or (order.reported != "stored" and young)


def _different(books: Books, scope: Scope, expected: Expected) -> Iterator[Finding]:
    owners = {order.task_id: order for order in books.ledger.orders if order.task_id is not None}
    stored = {
        (order.prompt_set, order.partition): order
        for order in books.ledger.orders
        if order.state is State.STORED
    }
    for (prompt_set, partition), telling in books.dagster.newest.items():
        where = _where(prompt_set, partition)
        if telling.task_id is None:
            shown = stored.get((prompt_set, partition))
            if shown is not None and scope.covers(shown):
                what = "the newest materialization names no task; somebody else made it"
                yield about_order(Kind.MATERIALIZATION_DIFFERS, shown, where=where, what=what)
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


def differences(telling: Telling, order: Order, expected: Mapping[str, Any]) -> list[str]:
    """Names whose values differ; a name that an older version did not tell is no difference."""
    told = telling.metadata
    names = [name for name, value in expected.items() if name in told and told[name] != value]
    if (order.prompt_set, order.partition) != (telling.prompt_set, telling.partition):
        names.append("partition")
    return names if telling.data_version == order.sha256 else [*names, "data version"]


def _where(prompt_set: str, partition: str) -> str:
    return f"Dagster {prompt_set}/videos {partition}"
