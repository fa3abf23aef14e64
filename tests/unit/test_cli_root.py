"""The overview of commands, and errors as messages."""

from __future__ import annotations

import errno
import sqlite3
import subprocess
import sys
from importlib import import_module

import click
import pytest
from click.testing import CliRunner

from seedance_dagster.cli.root import COMMANDS, Commands, root
from seedance_dagster.ledger.errors import LedgerError


def test_the_overview_has_every_command_without_importing_any() -> None:
    """`--help` works without importing Dagster, SQLAlchemy, httpx or rich."""
    script = (
        "import sys\n"
        "from seedance_dagster.cli.root import root\n"
        "root(['--help'], standalone_mode=False)\n"
        "print(sorted({'dagster', 'sqlalchemy', 'httpx', 'rich', 'boto3', 'av'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(f"  {name} " in done.stdout for name in COMMANDS)


@pytest.mark.further
def test_few_commands_load_dagster_before_they_open_an_instance() -> None:
    """The others start in half the time; without Dagster's folder they never load it."""
    script = (
        "import sys\n"
        "from importlib import import_module\n"
        "from seedance_dagster.cli.root import COMMANDS\n"
        "for name in sorted(COMMANDS.keys() - {'audit', 'restore', 'sync'}):\n"
        "    import_module('seedance_dagster.cli.commands.' + name.replace('-', '_'))\n"
        "    assert 'dagster' not in sys.modules, name\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_text(name: str) -> None:
    """Each listed command exists under its name."""
    command = import_module(f"seedance_dagster.cli.commands.{name.replace('-', '_')}").command
    assert command.name == name
    assert CliRunner().invoke(root, [name, "--help"]).exit_code == 0


def test_unknown_command_is_a_usage_error() -> None:
    """A typo gives a message and status 2."""
    done = CliRunner().invoke(root, ["stauts"])
    assert done.exit_code == 2
    assert "No such command 'stauts'" in done.output


def failing(error: Exception) -> click.Group:
    group = Commands("test")

    @group.command("fail")
    def fail() -> None:
        raise error

    return group


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), sqlite3.OperationalError("disk is full")]
)
def test_a_full_disk_is_a_message(error: Exception) -> None:
    """A full disk gives a message that says where to make room, also under a temporary file."""
    done = CliRunner().invoke(failing(error), ["fail"])
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: {error}: make room where the command writes, ")


def test_a_reader_that_left_is_no_error() -> None:
    """A reader that closes the pipe early, as `head` does, is not an error."""
    done = CliRunner().invoke(failing(BrokenPipeError(errno.EPIPE, "Broken pipe")), ["fail"])
    assert "Error" not in done.output


def test_own_errors_are_messages() -> None:
    """An error of this package is shown as its message, with status 1 and without a traceback."""
    error = LedgerError("the ledger is on another planet")
    group = failing(error)
    done = CliRunner().invoke(group, ["fail"])
    assert (done.exit_code, done.output) == (1, "Error: the ledger is on another planet\n")


def test_bugs_are_not_hidden() -> None:
    """Any other exception is a bug and keeps its traceback."""
    done = CliRunner().invoke(failing(ZeroDivisionError()), ["fail"])
    assert isinstance(done.exception, ZeroDivisionError)
