"""Dagster's instance in commands: one that cannot be used is named, whatever fails in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from dagster import DagsterInstance

from seedance_dagster.cli.root import root


class StorageError(Exception):
    """An error as a storage of Dagster raises it, which is no `DagsterError`."""

    __module__ = "dagster_postgres.utils"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Dagster's folder, with a ledger beside an instance whose database is down."""

    def fail() -> None:
        raise StorageError("too many retries for DB connection")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", {"DAGSTER_HOME": str(tmp_path)})
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setattr(DagsterInstance, "get", fail)
    return tmp_path


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(root, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_a_command_that_needs_the_instance_says_that_it_cannot_be_used(home: Path) -> None:
    """Its error is a message that names the folder."""
    done = run("cancel", "--all")
    assert (done.exit_code, done.output) == (
        1,
        f"Error: the Dagster in {home} cannot be used: too many retries for DB connection\n",
    )


def test_commands_that_read_the_ledger_go_on_without_it(home: Path) -> None:
    """The contents of the ledger are shown all the same."""
    reason = f"the Dagster in {home} cannot be used: too many retries for DB connection"
    done = run("spend")
    assert (done.exit_code, done.stdout) == (0, "Nothing was ordered in this period\n")
    assert done.stderr == f"Warning: {reason}\n"
    done = run("status")
    assert done.exit_code == 1
    assert "Nothing has been ordered yet" in done.stdout
    assert f"Problem      {reason}" in done.stdout
