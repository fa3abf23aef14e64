"""Helpers of tests that run commands in processes of their own, as a person does."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

COMMAND = [sys.executable, "-c", "from seedance_dagster.cli import main; main()"]


_LOADED = [
    "boto3.session",
    "boto3.s3.transfer",
    "pandas",
    "psycopg",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "seedance_dagster.cli.commands.archive",
    "seedance_dagster.ledger.ledger",
    "seedance_dagster.ledger.migrations.upgrade",
    "seedance_dagster.storage.s3",
    "sqlalchemy.dialects.postgresql.psycopg",
]


def loaded_processes() -> ForkServerContext:
    """Return a multiprocessing context whose processes share modules that are loaded once."""
    context = get_context("forkserver")
    context.set_forkserver_preload(_LOADED)
    return context


def awaited(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.2)


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of processes whose arguments or working directory are in a folder."""
    command_lines = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if str(folder) in words or str(folder) in str((process / "cwd").readlink()):
                command_lines.append(words)
    return command_lines


def left_empty(folder: Path) -> Iterator[Path]:
    """Yield a folder in which no process may be left running."""
    yield folder
    awaited(lambda: not processes_of(folder), 40)
