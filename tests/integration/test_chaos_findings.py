"""What the fault suite found, each as a small test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
from conftest import Plant

from seedance_dagster.generation.engine import poll_due
from seedance_dagster.ledger import Ledger, State
from seedance_dagster.ledger.base import utc_now

pytestmark = pytest.mark.integration


@contextlib.contextmanager
def on_the_vendors_clock(it: Plant) -> Iterator[None]:
    """Let the engine's clock go as the emulator's does."""
    ledger = Ledger.open(f"sqlite:///{it.folder}/ledger.db")
    it.services = replace(it.services, ledger=ledger, clock=utc_now)
    yield
    ledger.close()


def tick(it: Plant) -> None:
    asyncio.run(poll_due(it.services, owner="tick", time_box_s=5))


def test_a_strangers_task_of_another_type_explains_its_own_price(plant):
    """Money that another program spent on another model holds no lost order back for ever."""
    with plant({"grace_s": 0.0, "linger_s": 0.0}) as it, on_the_vendors_clock(it):
        it.tell("faults", **{"history-500": 1.0})
        accepted = it.accept("a cat [fault:500-before*1]")
        it.run()
        it.tell(
            "tasks",
            model="seedance",
            task_type="seedance-2",
            input={"prompt": "a stranger", "mode": "text_to_video", "duration": 4, "aspect_ratio": "16:9"},
        )
        it.tell("faults")
        tick(it)
        tick(it)
        [order] = it.services.ledger.find()
        assert order.state is not State.UNCERTAIN, order.error_message
        it.run(accepted)
        assert it.services.ledger.order(order.order_id).state is State.STORED
