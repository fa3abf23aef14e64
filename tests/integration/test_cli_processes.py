"""Child processes: waited for, explained when they fail, and never left running."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from seedance_dagster.cli.local.processes import running

pytestmark = pytest.mark.integration

# A program with a child process, as Dagster has many.
FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
time.sleep(600)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def becomes_false(question, *arguments) -> bool:
    for _ in range(400):
        if not question(*arguments):
            return True
        time.sleep(0.05)
    return False


def grandchild(log: Path) -> int:
    for _ in range(400):
        with contextlib.suppress(OSError, IndexError, ValueError):
            return int(log.read_text().split()[1])
        time.sleep(0.05)
    raise AssertionError(log)


def test_a_child_and_its_children_end_with_the_block(tmp_path: Path) -> None:
    """No process that a program started outlives the block."""
    log = tmp_path / "log"
    with running(
        "family", [sys.executable, "-c", FAMILY], log=log, environ=os.environ, folder=tmp_path
    ) as child:
        child.wait_until(lambda: "child" in log.read_text(), within_s=20)
        pid = grandchild(log)
        assert is_running(pid)
    assert becomes_false(is_running, pid)


def test_a_child_that_ignores_signals_is_killed(tmp_path: Path) -> None:
    """A program that ignores the interrupt is killed after the grace period."""
    log = tmp_path / "log"
    with running(
        "deaf", [sys.executable, "-c", DEAF], log=log, environ=os.environ, folder=tmp_path, grace_s=0.2
    ) as child:
        child.wait_until(lambda: "deaf" in log.read_text(), within_s=20)
    assert child.process.poll() == 128 + signal.SIGKILL


def test_children_end_when_the_parent_is_killed(tmp_path: Path) -> None:
    """Even kill -9 of the parent leaves no program running."""
    log = tmp_path / "log"
    script = (
        "import os, pathlib, sys, time\n"
        "from seedance_dagster.cli.local.processes import running\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        f"with running('family', [sys.executable, '-c', {FAMILY!r}], log=folder / 'log',\n"
        "             environ=os.environ, folder=folder):\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as parent:
        pid = grandchild(log)
        parent.kill()
    assert becomes_false(is_running, pid)


def test_a_child_that_fails_to_start_is_explained(tmp_path: Path) -> None:
    """The message names the program and shows the end of its log."""
    program = [sys.executable, "-c", "raise SystemExit('no such drive')"]
    with (
        running("the drive", program, log=tmp_path / "log", environ=os.environ, folder=tmp_path) as child,
        pytest.raises(click.ClickException, match=r"the drive stopped with status 1(.|\n)*no such drive"),
    ):
        child.wait_until(lambda: False, within_s=20)


def test_a_child_that_is_never_ready_is_explained(tmp_path: Path) -> None:
    """Waiting ends after the allowed time, and the message explains it."""
    program = [sys.executable, "-c", "import time; time.sleep(600)"]
    with (
        running("sleeper", program, log=tmp_path / "log", environ=os.environ, folder=tmp_path) as child,
        pytest.raises(click.ClickException, match="sleeper was not ready within 0 s"),
    ):
        child.wait_until(lambda: False, within_s=0.1)
