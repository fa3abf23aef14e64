"""Turns of the threads of one process at a SQLite file, in front of the lock of the file."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet, WeakValueDictionary


class Turn:
    """A lock that one thread of this process has at a time.

    SQLite's own wait for the lock of a file is a row of sleeps; a thread that waits here is woken at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _turns.add(self)

    @contextmanager
    def taken(self, timeout_s: float) -> Iterator[bool]:
        """Have the turn while the block runs; yield False when it did not come in time."""
        lock = self._lock
        came = lock.acquire(timeout=timeout_s)
        try:
            yield came
        finally:
            if came:
                lock.release()

    def renew(self) -> None:
        """Free the lock in a process that was just forked: a thread of the parent's may hold it."""
        self._lock = threading.Lock()


class NoTurn(Turn):
    """The turn at a server, which has turns of its own."""

    @contextmanager
    def taken(self, timeout_s: float) -> Iterator[bool]:  # noqa: ARG002  as a turn has it
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
