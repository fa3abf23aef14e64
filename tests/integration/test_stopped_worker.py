"""Real processes that are stopped at the costliest moment: between the last look and the POST."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import read_books
from order_factory import OrderFactory
from stopped_worker import LEASE_S, work

from seedance_dagster.emulator.server import running_emulator
from seedance_dagster.emulator.vendor_settings import EmulatorSettings
from seedance_dagster.ledger.base import utc_now
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State

TESTS = Path(__file__).parents[1]
REQUEST = {"task_type": "seedance-2-fast", "mode": "text_to_video", "duration": 5, "aspect_ratio": None}
PROMPTS = ("a cat", "a dog", "a hen", "a cow")

pytestmark = [pytest.mark.integration, pytest.mark.further, pytest.mark.each_database]


def expired(ledger: Ledger) -> list[int]:
    """Return the ids of the claims of a worker that stands still, once its leases have run out."""
    lost: list[int] = []
    deadline = time.monotonic() + 10 * LEASE_S
    while len(lost) < len(PROMPTS) and time.monotonic() < deadline:
        time.sleep(0.1)
        lost += [order.order_id for order in ledger.claims.expire(actor="other")]
    return lost


def test_a_worker_that_was_stopped_sends_nothing_on_waking(ledger_url):
    """Another one took over its claims meanwhile: each prompt is paid once (case v17)."""
    ledger = Ledger.open(ledger_url)
    orders = OrderFactory(ledger, utc_now)
    for text in PROMPTS:
        orders.place(text, request={**REQUEST, "prompt": text})
    with running_emulator(EmulatorSettings(plan_limit=100)) as emulator:
        command = [sys.executable, "-m", "stopped_worker", ledger_url, emulator.url, str(len(PROMPTS))]
        path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
        worker = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path})
        _, status = os.waitpid(worker.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert len(expired(ledger)) == len(PROMPTS)
        for order in ledger.queries.find(states={State.UNCERTAIN}):
            # As reconciliation decides once the history was read twice: the vendor has no such task.
            ledger.claims.requeue(order, actor="other", due_at=utc_now(), reason="no task was made")
        asyncio.run(work(ledger_url, emulator.url))
        os.kill(worker.pid, signal.SIGCONT)
        assert worker.wait(timeout=30) == 0
        books = read_books(emulator.url)
    assert {text: entry["tasks"] for text, entry in books["prompts"].items()} == dict.fromkeys(PROMPTS, 1)
    assert {order.state for order in ledger.queries.find()} == {State.SUBMITTED}
    ledger.close()
