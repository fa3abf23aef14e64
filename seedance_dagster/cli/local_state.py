"""The data that `dev` and `demo` keep in `.seedance/`, found by commands that run beside them."""

from __future__ import annotations

import fcntl
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

import click

ROOT = Path(".seedance")
_LEDGER = ("DAGSTER_HOME", "SEEDANCE_LEDGER_URL")


def use_local_state() -> None:
    """Take the variables of `dev` or `demo` into the environment, unless it already names a ledger.

    With an API key only the data of the real API count. Otherwise those of the last start do.
    """
    if any(map(os.environ.get, _LEDGER)):
        return
    names = ("live",) if os.environ.get("GOAPI_API_KEY") else ("live", "emulator", "demo")
    files = [ROOT / name / "env" for name in names if (ROOT / name / "env").is_file()]
    files = [path for path in files if path.parent.name != "demo" or _is_running(path.parent)]
    if files:
        newest = max(files, key=lambda path: path.stat().st_mtime)
        click.echo(f"Using {newest}", err=True)
        apply_env_file(newest)


def apply_env_file(path: Path) -> None:
    """Set and unset variables of this process as a shell would that reads a file of `NAME=value` lines.

    Raises:
        click.ClickException: The file cannot be read, or has something else in it.
    """
    try:
        words = shlex.split(path.read_text("utf-8-sig"), comments=True)
    except (OSError, ValueError) as error:
        # The error's text may quote a secret, so only its type is shown.
        raise click.ClickException(f"{path} cannot be read ({type(error).__name__})") from None
    changes = _changes(words)
    if changes is None:
        raise click.ClickException(
            f"{path} may hold only lines of NAME=value, `export NAME=value` and `unset NAME`"
        )
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _changes(words: list[str]) -> Mapping[str, str | None] | None:
    """Return the new value of each variable, None for an unset one; no mapping if there are other words."""
    changes: dict[str, str | None] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word == "unset":
            changes[next(rest, "")] = None
        elif equals and name.isidentifier():
            changes[name] = value
        elif word != "export":
            return None
    return changes


def _is_running(folder: Path) -> bool:
    """Return True while a process holds the lock of a folder."""
    try:
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
