"""`archive --apply` in a process that ends at a chosen moment, by a real SIGKILL.

A moment is before or after a statement in the ledger, a commit, or a request to S3. Parts have two orders.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from itertools import count
from pathlib import Path

import sqlalchemy as sa

from seedance_dagster.cli.root import root
from seedance_dagster.engine import archiving
from seedance_dagster.settings import Settings
from seedance_dagster.storage.s3 import VideoStore


def kill_at(moment: int) -> None:
    """Let this process kill itself at its n-th moment."""
    moments = count(1)

    def pass_moment(*_: object, **__: object) -> None:
        if next(moments) == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    open_store = Settings.open_store

    def open_watched(settings: Settings) -> VideoStore:
        store = open_store(settings)
        for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
            sa.event.listen(sa.Engine, name, pass_moment)
        for name in ("before-send.s3", "after-call.s3"):
            store.client.meta.events.register(name, pass_moment)
        return store

    Settings.open_store = open_watched  # type: ignore[method-assign]


def run_archive(moment: int, environ: Mapping[str, str], folder: Path, output: Path) -> None:
    """Run the command in a folder with an environment; what it prints is added to a file."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.stdout = sys.stderr = output.open("a")
    archiving.ORDERS_OF_A_PART = 2
    kill_at(moment)
    root(["archive", "--apply"])
