"""Turns: one thread of a process at a time waits for the lock of a SQLite file."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet, WeakValueDictionary


class Turn:
    """A lock that one thread of this process has at a time.

    SQLite's own wait for the lock of a file is a series of sleeps; a thread that waits here wakes at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _turns.add(self)

    @contextmanager
    def taken(self, timeout_s: float) -> Iterator[bool]:
        """Hold the turn while the block runs; yield False when it did not come in time."""
        lock = self._lock
        acquired = lock.acquire(timeout=timeout_s)
        try:
            yield acquired
        finally:
            if acquired:
                lock.release()

    def renew(self) -> None:
        """Free the lock in a process that was just forked: a thread of the parent's may hold it."""
        self._lock = threading.Lock()


class NoTurn(Turn):
    """The turn at a server, which queues its writers itself."""

    @contextmanager
    def taken(self, timeout_s: float) -> Iterator[bool]:  # noqa: ARG002  signature of `Turn.taken`
        """Do nothing."""
        yield True


_turns: WeakSet[Turn] = WeakSet()
_by_file: WeakValueDictionary[str, Turn] = WeakValueDictionary()
_making = threading.Lock()


def turn_at(file: str) -> Turn:
    """Return the turn of this process at a file."""
    with _making:
        turn = _by_file.get(file)
        if turn is None:
            turn = _by_file[file] = Turn()
        return turn


def _renew_all() -> None:
    global _making  # noqa: PLW0603  a lock that another thread of the parent may have held
    _making = threading.Lock()
    for turn in list(_turns):
        turn.renew()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_renew_all)
