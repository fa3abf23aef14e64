"""Steps and questions for tests that run commands as a person does, in processes of their own."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

COMMAND = [sys.executable, "-c", "from seedance_dagster.cli import main; main()"]


def awaited(question: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


def processes_of(folder: Path) -> list[str]:
    """Command lines of the processes that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if str(folder) in words or str(folder) in str((process / "cwd").readlink()):
                found.append(words)
    return found


def left_empty(folder: Path) -> Iterator[Path]:
    """A folder in which nothing may be left running."""
    yield folder
    awaited(lambda: not processes_of(folder), 40)
