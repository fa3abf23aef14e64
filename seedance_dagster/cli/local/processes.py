"""Child processes that log to a file, are probed until they answer, and die with this process."""

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
_PROBE_EVERY_S = 0.1


@dataclass(frozen=True)
class Child:
    """A running program and the file that holds what it said."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]

    def check(self) -> None:
        """Raise `click.ClickException` with the end of the log when the program has ended."""
        status = self.process.poll()
        if status is not None:
            raise self.trouble(f"{self.name} ended by itself with status {status}")

    def wait_until(self, ready: Callable[[], bool], *, within_s: float) -> None:
        """Probe until the program is ready.

        Args:
            ready: True when it answers.
            within_s: How long it may take, in seconds.

        Raises:
            click.ClickException: It ended or took too long; the message holds the end of its log.
        """
        deadline = time.monotonic() + within_s
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise self.trouble(f"{self.name} was not ready within {within_s:.0f} s")
            time.sleep(_PROBE_EVERY_S)

    def said(self) -> str:
        """All of its output so far."""
        return self.log.read_text(errors="replace")

    def trouble(self, message: str) -> click.ClickException:
        """An error that shows the end of the log."""
        lines = self.said().splitlines()[-_TAIL_LINES:]
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
    """Run a program until the block ends.

    The keeper between this process and the program ends the program's whole process group at the
    block's end, and also when this process is killed and can do nothing any more.

    Args:
        name: What messages call it.
        command: The program and its arguments.
        log: The file that gets its output; started anew.
        environ: The program's environment.
        folder: Its working folder.
        grace_s: Seconds it gets to end by itself before it is killed.
    """
    arguments = [sys.executable, "-I", "-S", watchdog.__file__, str(grace_s), *map(str, command)]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  our own programs
            arguments,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=dict(environ),
            # The terminal's Ctrl-C must reach this process only: it ends the others in the right order.
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
