"""Messages of commands for settings that cannot be used, before anything is read or created."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from seedance_dagster.cli.root import root
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.prompts import load_prompt_sets

CATS = "name: cats\ndefaults: {duration: 5}\nbudget_usd: {day: 5}\nprompts: [{id: one, prompt: a cat}]\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", {})
    (tmp_path / "prompt_sets").mkdir()
    (tmp_path / "prompt_sets" / "cats.yaml").write_text(CATS)
    return tmp_path


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(root, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.mark.parametrize("home", [None, "typo", "~/dagster"])
@pytest.mark.parametrize(
    "command",
    [(name,) for name in ("status", "spend", "reconcile", "sync", "audit")] + [("trace", "cats/one")],
    ids=" ".join,
)
def test_a_command_without_a_ledger_creates_nothing(folder, monkeypatch, command, home):
    """A command without a ledger says what to set, instead of creating an empty one."""
    if home is not None:
        monkeypatch.setenv("DAGSTER_HOME", home)
    done = run(*command)
    assert done.exit_code == 1
    assert "set DAGSTER_HOME to the absolute path of Dagster's folder, or SEEDANCE_LEDGER_URL" in done.output
    assert [path.name for path in folder.iterdir()] == ["prompt_sets"]


def test_a_plan_before_anything_else_needs_no_ledger(folder):
    """A plan works in a new checkout and leaves nothing behind."""
    done = run("plan")
    assert done.exit_code == 0
    assert "1 new" in done.output
    assert [path.name for path in folder.iterdir()] == ["prompt_sets"]


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite+pysqlite:///", "sqlite:///?timeout=5"]
)
def test_a_ledger_in_memory_is_refused(url):
    """A ledger in memory is refused, since it would forget paid orders."""
    with pytest.raises(LedgerError, match="names no file"):
        Ledger.open(url)


@pytest.mark.parametrize("url", ["postgresql://me:hunter2/db", "postgresql://h:abc/db"])
def test_an_invalid_ledger_url_gives_a_message(folder, monkeypatch, url):
    """The text at the place of a port may be a password, so it is not repeated."""
    monkeypatch.setenv("SEEDANCE_LEDGER_URL", url)
    done = run("status")
    assert done.exit_code == 1
    assert "the ledger's URL (SEEDANCE_LEDGER_URL) cannot be read" in done.output
    assert "hunter2" not in done.output


@pytest.mark.parametrize("command", ["plan", "reconcile", "audit", "sync"])
def test_an_invalid_s3_endpoint_gives_a_message(folder, monkeypatch, command):
    """boto3's error for a setting is shown as one line."""
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "localhost:9000")
    done = run(command)
    assert done.exit_code == 1
    assert "Invalid endpoint: localhost:9000" in done.output


def test_prompt_sets_behind_an_invalid_endpoint_are_a_problem(folder, monkeypatch):
    """Loading does not fail; the problem has the reason."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "localhost:9000")
    [problem] = load_prompt_sets("s3://prompts/sets").problems
    assert "cannot be read from S3: Invalid endpoint" in str(problem)


def test_a_broken_env_file_gives_a_message(folder):
    """The message for a file that is not text does not quote it."""
    (folder / ".env").write_bytes(b"GOAPI_API_KEY=s3cret\nSEEDANCE_S3_PREFIX=caf\xe9\n")
    done = run("status")
    assert done.exit_code == 1
    assert ".env in this folder cannot be read" in done.output
    assert "s3cret" not in done.output


@pytest.mark.parametrize(
    "line",
    [
        "SEEDANCE_BUDGET_USD_PER_DAY: 5",
        "set SEEDANCE_BUDGET_USD_PER_DAY=5",
        '$env:SEEDANCE_BUDGET_USD_PER_DAY="5"',
        'SEEDANCE_BUDGET_USD_PER_DAY="5',
        "SEEDANCE_BUDGET_USD_PER_DAY='5' USD",
    ],
)
def test_a_line_of_the_env_file_that_would_be_ignored_is_an_error(folder, line):
    """A limit that is written and not understood never means no limit."""
    (folder / ".env").write_text(f"GOAPI_API_KEY=s3cret\r\n\r\n{line}\r\n")
    done = run("plan")
    assert done.exit_code == 1
    assert ".env in this folder, line 3: is not NAME=value" in done.output
    assert "s3cret" not in done.output


@pytest.mark.parametrize(
    "line",
    [
        b'export SEEDANCE_BUDGET_USD_PER_DAY="5"\r\n',
        b"\xef\xbb\xbfSEEDANCE_BUDGET_USD_PER_DAY = 5  # a limit\n",
        b"# a comment\n\nOTHER\nSEEDANCE_BUDGET_USD_PER_DAY='5'",
    ],
)
def test_an_env_file_is_read_as_editors_and_shells_write_it(folder, line):
    """Quotes, `export`, comments, a byte order mark and any line ends are understood."""
    (folder / ".env").write_bytes(line)
    done = run("plan")
    assert done.exit_code == 0
    assert "budget of 5.00 USD a day" in done.output


def test_an_audit_without_a_bucket_says_what_to_set(folder, monkeypatch):
    """The message names the variable, not a rule for bucket names."""
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    done = run("audit")
    assert done.exit_code == 1
    assert "set SEEDANCE_S3_BUCKET" in done.output


@pytest.mark.parametrize("command", ["sync", "audit"])
def test_a_home_that_dagster_cannot_use_gives_a_message(folder, monkeypatch, command):
    """A file where Dagster needs a folder does not give a traceback."""
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    (folder / "history").touch()
    done = run(command)
    assert done.exit_code == 1
    assert f"the Dagster in {folder} cannot be used" in done.output


def test_a_damaged_database_of_dagster_gives_one_line(folder, monkeypatch):
    """The message has neither SQL nor links to SQLAlchemy's pages."""
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    (folder / "history").mkdir()
    (folder / "history" / "runs.db").write_text("no database " * 1000)
    done = run("sync")
    assert done.exit_code == 1
    assert done.output.strip().endswith("(file is not a database): restore it from a backup")
    assert "SQL" not in done.output


def test_dev_reports_a_bad_setting_before_it_starts_anything(folder, monkeypatch):
    """The message names the variable and what is allowed."""
    monkeypatch.setenv("SEEDANCE_MAX_IN_FLIGHT", "abc")
    done = run("dev")
    assert done.exit_code == 1
    assert "SEEDANCE_MAX_IN_FLIGHT: 'abc' is not a whole number" in done.output


def test_status_shows_the_budgets_of_sets_and_knows_their_names(folder, monkeypatch):
    """A set's own budget is listed beside the environment's; an unknown name gives a message."""
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    monkeypatch.setenv("SEEDANCE_BUDGET_USD_PER_DAY", "20")
    done = run("status", "cats")
    assert done.exit_code == 0
    assert done.output.count("Budget  ") == 2
    done = run("status", "dogs")
    assert done.exit_code == 1
    assert "there is no prompt set dogs; known sets: cats" in done.output


def test_a_misspelled_variable_is_named_with_the_one_that_was_meant(folder, monkeypatch):
    """A misspelled variable is named once, without its value; unrelated names are ignored."""
    monkeypatch.setenv("SEEDANCE_BUDGET_USD_DAY", "hidden")
    monkeypatch.setenv("SEEDANCE_TEAM", "film")
    done = run("plan")
    assert done.stderr == (
        "Warning: SEEDANCE_BUDGET_USD_DAY is not a setting and has no effect; SEEDANCE_BUDGET_USD_PER_DAY is "
        "one\n"
    )
