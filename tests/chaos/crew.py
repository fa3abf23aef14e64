"""Processes forked from one that has everything imported and no threads: each starts in milliseconds."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chaos.boundaries import UNHARMED, Life

CRASHED = 70
on_termination = False
_LIFE_S = 180  # a process ends even if nothing stops it


def fork(log: Path, work: Callable[[], None]) -> int:
    """Run work in a child whose output goes to a file; return its process id. SIGTERM interrupts it."""
    pid = os.fork()
    if pid:
        return pid
    crashed = False
    try:
        signal.alarm(_LIFE_S)
        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        work()
    except Exception:  # noqa: BLE001  the round reports any error
        crashed = True
        traceback.print_exc()
    finally:
        # The remaining exceptions are interrupts: KeyboardInterrupt, and Dagster's own.
        with contextlib.suppress(BaseException):
            sys.stderr.flush()
        os._exit(CRASHED if crashed else 0)


def _interrupt(*_: object) -> None:
    # An exception raised in a callback would be lost, so loops check the flag too.
    global on_termination  # noqa: PLW0603  one per process, and a signal handler has no other place
    on_termination = True
    # Dagster and asyncio have their own ways to be interrupted.
    signal.raise_signal(signal.SIGINT)


@dataclass(frozen=True)
class Worker:
    """One life of a role."""

    role: str
    pid: int


@dataclass(frozen=True)
class End:
    """The end of a life: the number of a signal, or an exit status."""

    role: str
    signal: int
    status: int


class Crew:
    """The living workers of a round.

    Args:
        log_folder: The folder of each role's output.
        work: Does a role's work in its own process, with the plan for its life.
    """

    def __init__(self, log_folder: Path, work: Callable[[str, Life], None]) -> None:
        self._folder = log_folder
        self._work = work
        self.living: dict[str, Worker] = {}

    def start(self, role: str, life: Life = UNHARMED) -> None:
        pid = fork(self._folder / f"{role}.log", lambda: self._work(role, life))
        self.living[role] = Worker(role, pid)

    def signal(self, role: str, number: int) -> bool:
        """Send a signal to a role; return False when it is not alive."""
        worker = self.living.get(role)
        if worker is None:
            return False
        os.kill(worker.pid, number)
        return True

    def reap(self) -> list[End]:
        """Return the lives that ended since the last call."""
        ended = []
        for role, worker in list(self.living.items()):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                del self.living[role]
                killed = os.WIFSIGNALED(status)
                ended.append(
                    End(
                        role,
                        os.WTERMSIG(status) if killed else 0,
                        0 if killed else os.WEXITSTATUS(status),
                    )
                )
        return ended

    def stop(self, within_s: float) -> tuple[list[End], list[str]]:
        """Stop all workers; return how they ended, and the roles that had to be killed."""
        for role in self.living:
            self.signal(role, signal.SIGCONT)
            self.signal(role, signal.SIGTERM)
        began = time.monotonic()
        again_s = 2.0
        ended: list[End] = []
        while self.living and time.monotonic() - began < within_s:
            ended += self.reap()
            time.sleep(0.01)
            if time.monotonic() - began > again_s:
                again_s += 1
                for role in self.living:
                    self.signal(role, signal.SIGTERM)
        stubborn = sorted(self.living)
        for role in stubborn:
            self.signal(role, signal.SIGKILL)
        while self.living:
            ended += self.reap()
            time.sleep(0.01)
        return ended, stubborn
