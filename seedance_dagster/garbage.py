"""Garbage collection, which costs a third of the time in which many objects are made that stay."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Look for no cycles while the block runs: prompts and orders have none."""
    if not gc.isenabled():  # another block, or thread, ends it
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
