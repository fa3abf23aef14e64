"""Benches for reconciliation, and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from bench_support import Bench, bench

from seedance_dagster.ledger.order import State

GRACE = timedelta(minutes=10)


@contextmanager
def benches(folder: Path, clock) -> Iterator[Callable[..., Bench]]:
    """Makes a bench on a vendor that behaves as told; all of them end with the block."""
    with ExitStack() as made:
        yield lambda **settings: made.enter_context(bench(folder, clock, **settings))


def states(it) -> list[State]:
    return [order.state for order in it.ledger.queries.find()]


def why(it) -> list[str]:
    return [order.error_message or "" for order in it.ledger.queries.find(states={State.UNCERTAIN})]


def steps(it, order) -> list[str]:
    return [entry.to_state for entry in it.ledger.queries.journal(order.order_id)]


def two_readings(it, clock) -> None:
    it.reconcile()
    clock.forward(seconds=GRACE.total_seconds())
    it.reconcile()
