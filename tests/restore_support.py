"""Steps of restore drills: backups of a ledger, the command, and what must not change."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from code_location import CodeLocation
from harness import API_KEY

from seedance_dagster.cli.local.programs import S3Service
from seedance_dagster.cli.root import root


def back_up(location: CodeLocation) -> Path:
    """Copy the ledger as it is now; return the copy."""
    copy = location.folder / "backup.db"
    with closing(sqlite3.connect(_file(location))) as ledger, closing(sqlite3.connect(copy)) as to:
        ledger.backup(to)
    return copy


def lose_ledger(location: CodeLocation, backup: Path | None = None) -> None:
    """Delete the ledger, or put a backup in its place."""
    for path in location.folder.glob("ledger.db*"):
        path.unlink()
    if backup is not None:
        with closing(sqlite3.connect(backup)) as copy, closing(sqlite3.connect(_file(location))) as to:
            copy.backup(to)


def command(
    location: CodeLocation,
    s3: S3Service,
    monkeypatch: pytest.MonkeyPatch,
    *arguments: str,
    prefix: str | None = None,
) -> Result:
    """Run a command of `seedance-dagster` beside a code location, with its prefix or another one."""
    home = location.folder / "home"
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    environ = {
        **s3.environ,
        "DAGSTER_HOME": str(home),
        "SEEDANCE_PROMPTS": str(location.folder / "prompts"),
        "SEEDANCE_S3_PREFIX": prefix or location.folder.name,
        "SEEDANCE_LEDGER_URL": f"sqlite:///{_file(location)}",
        "GOAPI_BASE_URL": location.emulator.url,
        "GOAPI_API_KEY": API_KEY,
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(location.folder)
    return CliRunner().invoke(root, arguments, catch_exceptions=False)


def restore(
    location: CodeLocation, s3: S3Service, monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> dict[str, Any]:
    """Run `seedance-dagster restore --json`; return its document."""
    done = command(location, s3, monkeypatch, "restore", "--json", *arguments)
    assert done.stdout, done.output
    document: dict[str, Any] = json.loads(done.stdout)
    return document | {"exit_code": done.exit_code}


def objects(location: CodeLocation) -> dict[str, str]:
    """Return the ETag of each object of an order, by key."""
    listed = location.store.listing("")
    return {key: item.etag for key, item in listed.items() if "index" not in key}


def _file(location: CodeLocation) -> Path:
    return location.folder / "ledger.db"
