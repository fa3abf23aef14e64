"""Rates: what all processes of a ledger may send together."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from types import SimpleNamespace

import pytest
from processes_support import loaded_processes

from seedance_dagster.api.pacing import SharedPacer
from seedance_dagster.engine.shared_rate import shared_rate
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.ledger import Ledger

API = "https://api.example"


@pytest.mark.each_database
def test_stretches_follow_each_other(ledger, clock):
    """Each stretch begins where the last one ended, and idle time is not saved up."""
    assert [ledger.rates.reserve(API, seconds) for seconds in (0.5, 0.25, 1)] == [0, 0.5, 0.75]
    assert ledger.rates.reserve("https://other.example", 1) == 0
    clock.forward(seconds=1)
    assert ledger.rates.reserve(API, 1) == 0.75
    clock.forward(seconds=60)
    assert ledger.rates.reserve(API, 1) == 0


def test_a_clock_that_ran_ahead_stops_nobody(ledger, clock):
    """A reservation far in the future, from a clock that ran ahead, stops nobody."""
    clock.forward(hours=26)
    ledger.rates.reserve(API, 1)
    clock.now -= timedelta(hours=26)
    assert ledger.rates.reserve(API, 1) == 0


def test_an_unavailable_ledger_holds_no_request_back():
    """While the ledger is unavailable, each process keeps the rate by itself."""

    def reserve(*_):
        raise LedgerUnavailableError("locked")

    ledger = SimpleNamespace(rates=SimpleNamespace(reserve=reserve))
    assert shared_rate(ledger, API)(5) == 0


def start_together(barrier) -> None:
    global both  # noqa: PLW0603  a process of a pool gets it only so
    both = barrier


def send_many(url: str, requests: int, per_second: float) -> list[float]:
    """Wait for the shared rate before each request; return when they began, and when each was sent."""
    ledger = Ledger.open(url)
    both.wait()
    began = time.monotonic()  # one clock for all processes of a machine
    pacer = SharedPacer(per_second, shared_rate(ledger, API))
    sent = []

    async def send() -> None:
        await pacer.wait()
        sent.append(time.monotonic())

    async def send_all() -> None:
        for _ in range(requests // 4):
            await asyncio.gather(*(send() for _ in range(4)))

    asyncio.run(send_all())
    ledger.close()
    return [began, *sent]


@pytest.mark.each_database
def test_two_processes_keep_one_rate(ledger_url):
    """Together they never send more than the rate allows."""
    Ledger.open(ledger_url).close()
    rate, requests = 40, 32
    context = loaded_processes()
    with ProcessPoolExecutor(2, context, start_together, (context.Barrier(2),)) as pool:
        times = [pool.submit(send_many, ledger_url, requests, rate) for _ in range(2)]
        (began, *sent), (also_began, *also_sent) = (future.result() for future in times)
    first = min(began, also_began)
    for number, moment in enumerate(sorted(sent + also_sent)):
        assert moment - first >= 0.95 * number / rate
