"""Child processes that log to a file, are polled until they answer, and end with this process."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from seedance_dagster.cli.local import watchdog

_TAIL_LINES = 15
_POLL_S = 0.1


@dataclass(frozen=True)
class Child:
    """A running program and the file with its output."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]

    def check(self) -> None:
        """Raise `click.ClickException` with the end of the log if the program has ended."""
        status = self.process.poll()
        if status is not None:
            raise self.error(f"{self.name} stopped with status {status}")

    def wait_until(self, ready: Callable[[], bool], *, within_s: float) -> None:
        """Wait until the program is ready.

        Raises:
            click.ClickException: It ended or took too long; the message has the end of its log.
        """
        deadline = time.monotonic() + within_s
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise self.error(f"{self.name} was not ready within {within_s:.0f} s")
            time.sleep(_POLL_S)

    def output(self) -> str:
        """Return all of its output so far."""
        return self.log.read_text(errors="replace")

    def error(self, message: str) -> click.ClickException:
        """Return an error that shows the end of the log."""
        lines = self.output().splitlines()[-_TAIL_LINES:]
        tail = "\n".join(f"  {line}" for line in lines) or "  (nothing)"
        return click.ClickException(f"{message}; the end of {self.log}:\n{tail}")


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    environ: Mapping[str, str],
    folder: Path,
    grace_s: float = 5.0,
) -> Iterator[Child]:
    """Run a program until the end of the block.

    A watchdog between this process and the program ends the program's whole process group at the end of
    the block, and also when this process is killed and can do nothing.

    Args:
        name: Its name in messages.
        log: The file for its output; overwritten.
        folder: Its working directory.
        grace_s: Seconds between the interrupt and the kill.
    """
    arguments = [sys.executable, "-I", "-S", watchdog.__file__, str(grace_s), *map(str, command)]
    with log.open("wb") as log_file:
        process = subprocess.Popen(  # noqa: S603  this package's programs
            arguments,
            stdin=subprocess.PIPE,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=dict(environ),
            # Ctrl-C must reach only this process: it stops the others in the right order.
            start_new_session=True,
        )
    try:
        yield Child(name, log, process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        _wait(process, grace_s + 5)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
