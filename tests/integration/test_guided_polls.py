"""Runs and ticks whose polls a history guides, whether it is right or wrong."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import partial

import pytest
from harness import FAST

from seedance_dagster.engine.events import Submitted
from seedance_dagster.engine.runtime.background import in_background
from seedance_dagster.engine.runtime.pipeline import advance, poll_due
from seedance_dagster.ledger.order import State

pytestmark = pytest.mark.integration

TASKS = 30
GUIDED = {"pacing": replace(FAST, heavy_round_s=0.0, sweep_s=0.2, max_poll_s=600.0)}


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({}, id="good", marks=pytest.mark.long),
        pytest.param({"history_wrong_share": 1.0}, id="wrong", marks=pytest.mark.further),
        pytest.param(
            {"history_hidden_share": 0.5, "history_shuffled": True}, id="partial", marks=pytest.mark.long
        ),
    ],
)
def test_a_run_stores_every_video_once(start_engine, odd):
    """With a history that is wrong nothing is lost, and nothing is paid for twice."""
    with start_engine(GUIDED, render_seconds=1.0, **odd) as engine:
        placed = engine.place(*(f"a cat {number}" for number in range(TASKS)))
        engine.run(placed)
        assert set(engine.states().values()) == {State.STORED}
        engine.assert_paid_once(TASKS)
        assert engine.emulator.emulator.traffic.calls["history"] > 0


def test_a_tick_finds_by_a_page_what_ended_and_polls_it(start_engine):
    """A tick finds the ended tasks by a page of the history and polls them before their own polls are due."""
    rare = replace(GUIDED["pacing"], min_poll_s=600.0)
    with start_engine({"pacing": rare}, speed=1, render_seconds=0.2) as engine:
        policy = replace(engine.services.policy, pacing=replace(rare, sweep_s=600.0))
        submitting = replace(engine.services, policy=policy)  # which reads no page while tasks end
        placed = engine.place(*(f"a cat {number}" for number in range(TASKS)))
        ids = [placement.order.order_id for placement in placed]
        with in_background(partial(advance, submitting, owner="w", only=ids)) as events:
            assert {type(next(events)) for _ in ids} == {Submitted}
        time.sleep(0.5)
        result = asyncio.run(poll_due(engine.services, owner="tick", time_box_s=20))
        assert (result.polled, result.ended, result.troubles) == (TASKS, TASKS, ())
        assert set(engine.states().values()) == {State.SUCCEEDED}
