"""What commands say of settings that cannot be meant, before anything is read or made."""

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
    """A project without any settings."""
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
    "command", [("status",), ("spend",), ("reconcile",), ("trace", "cats/one"), ("plan",)], ids=" ".join
)
def test_without_a_ledger_nobody_says_that_all_is_well(folder, monkeypatch, command, home):
    """A home that is not there is named instead of an empty ledger made; beside `dev` the way is told."""
    (folder / ".seedance" / "live").mkdir(parents=True)
    (folder / ".seedance" / "live" / "env").touch()
    if home is not None:
        monkeypatch.setenv("DAGSTER_HOME", home)
    done = run(*command)
    assert done.exit_code == 1
    assert "set DAGSTER_HOME" in done.output
    assert "`. .seedance/live/env`" in done.output
    assert sorted(path.name for path in folder.iterdir()) == [".seedance", "prompt_sets"]


def test_a_plan_before_anything_else_needs_no_ledger(folder):
    """What a set would cost is told in a fresh checkout, and nothing is left behind."""
    done = run("plan")
    assert done.exit_code == 0
    assert "1 new" in done.output
    assert [path.name for path in folder.iterdir()] == ["prompt_sets"]


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite+pysqlite:///", "sqlite:///?timeout=5"]
)
def test_a_ledger_that_is_forgotten_is_refused(url):
    """A ledger in memory would lose what was ordered and paid."""
    with pytest.raises(LedgerError, match="names no file"):
        Ledger.open(url)


@pytest.mark.parametrize("url", ["postgresql://me:hunter2/db", "postgresql://h:abc/db"])
def test_a_ledger_s_address_without_a_host_is_no_traceback(folder, monkeypatch, url):
    """What stands where a port should be may be a password, and is not repeated."""
    monkeypatch.setenv("SEEDANCE_LEDGER_URL", url)
    done = run("status")
    assert done.exit_code == 1
    assert "the ledger's URL (SEEDANCE_LEDGER_URL) cannot be read" in done.output
    assert "hunter2" not in done.output


@pytest.mark.parametrize("command", ["plan", "reconcile", "audit", "sync"])
def test_an_s3_endpoint_that_is_no_url_is_named(folder, monkeypatch, command):
    """Boto3's refusal of a setting reaches people as one line."""
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "localhost:9000")
    done = run(command)
    assert done.exit_code == 1
    assert "Invalid endpoint: localhost:9000" in done.output


def test_prompt_sets_behind_such_an_endpoint_are_unreadable(folder, monkeypatch):
    """Definitions load all the same, with the reason told."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "localhost:9000")
    [problem] = load_prompt_sets("s3://prompts/sets").problems
    assert "cannot be read from S3: Invalid endpoint" in str(problem)


def test_a_broken_env_file_is_named(folder):
    """A file that is no text is told without its values."""
    (folder / ".env").write_bytes(b"GOAPI_API_KEY=s3cret\nSEEDANCE_S3_PREFIX=caf\xe9\n")
    done = run("status")
    assert done.exit_code == 1
    assert ".env in this folder cannot be read" in done.output
    assert "s3cret" not in done.output


def test_an_audit_without_a_bucket_says_what_to_set(folder, monkeypatch):
    """The variable is named, not a rule for bucket names."""
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    done = run("audit")
    assert done.exit_code == 1
    assert "set SEEDANCE_S3_BUCKET" in done.output


@pytest.mark.parametrize("command", ["sync", "audit"])
def test_a_home_that_dagster_cannot_use_is_named(folder, monkeypatch, command):
    """A file where Dagster wants a folder is no traceback."""
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    (folder / "history").touch()
    done = run(command)
    assert done.exit_code == 1
    assert f"the Dagster in {folder} cannot be used" in done.output


def test_dev_names_a_bad_setting_before_it_starts_anything(folder, monkeypatch):
    """The variable and what is allowed are told at once."""
    monkeypatch.setenv("SEEDANCE_MAX_IN_FLIGHT", "abc")
    done = run("dev")
    assert done.exit_code == 1
    assert "SEEDANCE_MAX_IN_FLIGHT: 'abc' is not a whole number" in done.output


def test_status_shows_the_budgets_of_sets_and_knows_their_names(folder, monkeypatch):
    """A set's own budget stands beside the environment's, and a name that is nobody's is refused."""
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    monkeypatch.setenv("SEEDANCE_BUDGET_USD_PER_DAY", "20")
    done = run("status", "--set", "cats")
    assert done.exit_code == 0
    assert done.output.count("Budget  ") == 2
    done = run("status", "--set", "dogs")
    assert done.exit_code == 1
    assert "there is no prompt set dogs; known: cats" in done.output
