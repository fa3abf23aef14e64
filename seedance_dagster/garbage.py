"""Garbage collection, paused while many lasting objects are made: it takes a third of that time."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Pause garbage collection while the block runs: prompts and orders have no cycles."""
    if not gc.isenabled():  # another block or thread has paused it, and enables it again
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
