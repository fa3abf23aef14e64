"""An engine whose steps a test takes one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness import SteppedEngine


@pytest.fixture
def start_engine(tmp_path, clock) -> Iterator[Callable[..., SteppedEngine]]:
    """Starts an engine on an emulator with some settings, until the test ends."""
    from harness import stepped_engine

    with ExitStack() as running:
        yield lambda **settings: running.enter_context(stepped_engine(tmp_path, clock, **settings))


@pytest.fixture
def engine(start_engine) -> SteppedEngine:
    """An engine on an emulator that behaves as the vendor does."""
    return start_engine()
