"""The ledger against itself: journals that do not lead to their orders' states, and wrong booking times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from seedance_dagster.audit.findings import Finding, Kind, finding, order_finding
from seedance_dagster.audit.snapshots import LedgerSnapshot, Scope
from seedance_dagster.engine.journals import JournalReader
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.queries import JournalEntry
from seedance_dagster.ledger.transitions import TRANSITIONS

_CLOCK_SKEW = timedelta(minutes=5)  # between the clocks of two machines
_RESTORED = "restored_from"
_LEGAL: Mapping[str | None, frozenset[str]] = {
    None: frozenset({State.QUEUED}),
    **{state.value: frozenset(after) for state, after in TRANSITIONS.items()},
}


def journal_problem(order: Order, entries: Sequence[JournalEntry]) -> str | None:
    """Return the reason why a journal does not lead to its order's state; None when it does."""
    state: str | None = None
    for entry in entries:
        if entry.from_state is None and _RESTORED in entry.detail:
            state = entry.to_state
            continue
        step = f"{entry.from_state or 'nothing'} to {entry.to_state}, {entry.at:%Y-%m-%d %H:%M:%S} UTC"
        if entry.from_state != state:
            return f"entries are missing before {step}: the order was {state or 'not there'}"
        if entry.to_state not in _LEGAL.get(entry.from_state, ()):
            return f"no order goes from {step}"
        state = entry.to_state
    if state != order.state:
        return f"it ends at {state or 'nothing'}, and the order is {order.state}"
    return None


class Journals(NamedTuple):
    """Problems of journals, and the numbers of their entries that are archived, by order id."""

    problems: dict[int, str]
    archived_entries: dict[int, int]


def read_journals(reader: JournalReader, orders: Mapping[int, Order]) -> Journals:
    """Read the journals of orders, a few at a time; those that cannot be read whole are not judged."""
    problems: dict[int, str] = {}
    archived: dict[int, int] = {}
    for ids in chunked(sorted(orders)):
        for order_id, journal in reader.read(ids).items():
            if journal.archived:
                archived[order_id] = sum(part.count for part in journal.archived)
            problem = journal_problem(orders[order_id], journal.entries) if journal.is_whole else None
            if problem is not None:
                problems[order_id] = problem
    return Journals(problems, archived)


def compare(
    ledger: LedgerSnapshot, scope: Scope, *, now: datetime, uri: Callable[[str], str]
) -> Iterator[Finding]:
    """Yield the findings within the ledger and the archive of its journal; `uri` returns a key's URI."""
    rows = [ledger.damaged_rows.get(order.order_id, order) for order in ledger.orders]
    for order in filter(scope.covers, rows):
        problem = ledger.journal_problems.get(order.order_id)
        if problem is not None:
            yield order_finding(
                Kind.JOURNAL_DIFFERS,
                order,
                location=f"order {order.order_id}",
                message=f"its journal: {problem}",
                facts=("state",),
            )
    for key, part in ledger.archive_problems.items():
        yield finding(
            Kind.ARCHIVE_LOST if part.is_lost else Kind.SOURCE_UNAVAILABLE,
            location=uri(key),
            message=f"a part of the journal's archive: {part.message}",
        )
    for order, message in _wrong_bookings(rows, now):
        if scope.covers(order):
            yield order_finding(
                Kind.BOOKING_DIFFERS,
                order,
                location=f"order {order.order_id}",
                message=message,
                facts=("booked_at", "ordered_at"),
            )


def is_retry(order: Order, previous: Order) -> bool:
    """Return True where an order is the automatic retry of another: they share one booking."""
    same = ("fingerprint", "take", "idempotency_key", "run_id")
    return (
        order.attempt == previous.attempt + 1
        and order.retries < previous.retries
        and previous.state is State.FAILED
        and all(getattr(order, name) == getattr(previous, name) for name in same)
    )


def _wrong_bookings(orders: Iterable[Order], now: datetime) -> Iterator[tuple[Order, str]]:
    by_request: defaultdict[tuple[str, int], list[Order]] = defaultdict(list)
    for order in sorted(orders, key=lambda order: order.attempt):
        by_request[order.fingerprint, order.take].append(order)
    for attempts in by_request.values():
        previous, first = None, attempts[0]
        for order in attempts:
            retry = previous is not None and is_retry(order, previous)
            first = first if retry else order
            if order.booked_at > now + _CLOCK_SKEW:
                yield order, f"it is booked in the future, at {_time(order.booked_at)}"
            elif order.booked_at < first.ordered_at:
                at = f"{_time(order.booked_at)}, before it was first ordered at {_time(first.ordered_at)}"
                yield order, f"it is booked at {at}"
            elif retry and order.booked_at != first.booked_at:
                at = f"{_time(order.booked_at)}, and the attempt that it repeats at {_time(first.booked_at)}"
                yield order, f"it is booked at {at}"
            previous = order


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
