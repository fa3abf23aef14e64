"""Bugs that the chaos tests found, one small test for each."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from harness import Engine

from seedance_dagster.engine.runtime.pipeline import poll_due
from seedance_dagster.ledger.base import utc_now
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State

pytestmark = pytest.mark.integration


@contextlib.contextmanager
def on_the_vendors_clock(engine: Engine, *, ahead_s: float = 0) -> Iterator[None]:
    """Run the engine on the emulator's clock, or some seconds ahead of it."""

    def clock() -> datetime:
        return utc_now() + timedelta(seconds=ahead_s)

    ledger = Ledger.open(f"sqlite:///{engine.folder}/ledger.db", clock=clock)
    engine.services = replace(engine.services, ledger=ledger, clock=clock)
    yield
    ledger.close()


def tick(engine: Engine) -> None:
    asyncio.run(poll_due(engine.services, owner="tick", time_box_s=5))


@pytest.mark.long
def test_an_unmatched_task_of_another_type_explains_its_own_price(start_engine):
    """Money that another program spent on another model does not block a lost order forever."""
    with (
        start_engine({"grace_s": 0.0, "linger_s": 0.0, "stale_after_s": 0.0}, render_seconds=100.0) as engine,
        on_the_vendors_clock(engine),
    ):
        engine.place("a known one", name="known")
        engine.run()
        time.sleep(5)  # longer than the clocks of the vendor's machines are thought to differ
        engine.control("faults", **{"history-500": 1.0})
        engine.place("a cat [fault:500-before*1]")
        engine.run()
        engine.control(
            "tasks",
            model="seedance",
            task_type="seedance-2-fast",
            input={
                "prompt": "another program's",
                "mode": "text_to_video",
                "duration": 4,
                "aspect_ratio": "16:9",
            },
        )
        engine.control("faults")
        time.sleep(5)  # longer than the clocks of the vendor's machines are thought to differ
        engine.place("a known one", "another", name="known", idempotency_key="d")
        engine.run()
        for _ in range(3):
            tick(engine)
        [order] = engine.services.ledger.queries.find(prompt_set="spots")
        assert order.state is not State.UNCERTAIN, order.error_message


def work_elsewhere(engine: Any, text: str) -> None:
    """Create a task as another program of the account does."""
    request = {"prompt": text, "mode": "text_to_video", "duration": 4, "aspect_ratio": "16:9"}
    engine.control("tasks", model="seedance", task_type="seedance-2-fast", input=request)


def test_an_unmatched_task_at_the_moment_of_the_balance_blocks_no_order(start_engine):
    """A task that another program created while the balance was read, by whichever clock, proves nothing."""
    with (
        start_engine({"grace_s": 0.0, "linger_s": 0.0, "stale_after_s": 0.0}, render_seconds=100.0) as engine,
        on_the_vendors_clock(engine, ahead_s=3),
    ):
        work_elsewhere(engine, "what shows that others use the account")
        tick(engine)  # the balance is read, three seconds ahead of the vendor's clock
        engine.place("a known one", name="known")
        engine.run()
        time.sleep(5)  # longer than the clocks of the vendor's machines are thought to differ
        engine.control("faults", **{"history-500": 1.0})
        engine.place("a cat [fault:500-before*1]")
        engine.run()
        work_elsewhere(engine, "another program's")
        engine.control("faults")
        time.sleep(5)  # longer than the clocks of the vendor's machines are thought to differ
        engine.place("a known one", "another", name="known", idempotency_key="d")
        engine.run()
        for _ in range(3):
            tick(engine)
        [order] = engine.services.ledger.queries.find(prompt_set="spots")
        assert order.state is not State.UNCERTAIN, order.error_message
