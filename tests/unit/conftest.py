"""An engine whose steps a test takes one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stepped_engine import SteppedEngine


@pytest.fixture
def start_engine(tmp_path, clock) -> Iterator[Callable[..., SteppedEngine]]:
    """Starts an engine on an emulator with some settings, until the test ends."""
    from stepped_engine import stepped_engine

    with ExitStack() as running:
        yield lambda **settings: running.enter_context(stepped_engine(tmp_path, clock, **settings))


@pytest.fixture
def engine(start_engine) -> SteppedEngine:
    """An engine on an emulator that behaves as the vendor does."""
    return start_engine()


@pytest.fixture
def start_known(start_engine, clock) -> Callable[..., SteppedEngine]:
    """Starts an engine that made a task a while ago, which has ended, and has known the balance since."""

    def start(**settings: object) -> SteppedEngine:
        engine = start_engine(**settings)
        engine.know()
        clock.forward(
            seconds=700 + settings.get("render_seconds", 600) + settings.get("history_lag_seconds", 0)
        )
        engine.poll()
        engine.read_account()
        return engine

    return start


@pytest.fixture
def known(start_known) -> SteppedEngine:
    """An engine that has made a task before."""
    return start_known()
