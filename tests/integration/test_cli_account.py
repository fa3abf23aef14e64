"""The commands `account` and `sync` with a running emulator and a real Dagster instance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from seedance_dagster.cli.root import root
from seedance_dagster.emulator.server import running_emulator
from seedance_dagster.emulator.vendor_settings import EmulatorSettings

pytestmark = pytest.mark.integration


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with running_emulator(EmulatorSettings(api_key="good", points=25_000_000, plan_limit=7)) as running:
        monkeypatch.setenv("GOAPI_BASE_URL", running.url)
        monkeypatch.setenv("GOAPI_API_KEY", "good")
        yield running.url


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, arguments)


def test_account_shows_balance_and_limit(vendor: str) -> None:
    """The vendor's points are shown in USD."""
    assert json.loads(run("account", "--json").stdout) == {
        "plan": "creator",
        "points_remaining": 25_000_000,
        "balance_source": "wallet.point_remain",
        "max_concurrent_tasks": 7,
        "usd_remaining": "2.5",
    }
    assert "Balance      2.50 USD (from wallet.point_remain)" in run("account").output


def test_a_balance_that_cannot_be_read_says_what_is_there(
    vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account in a new form shows the names that it has."""
    monkeypatch.setattr(
        "seedance_dagster.api.account.as_mapping", lambda value: {"name": "me"} if value else {}
    )
    output = run("account").output
    assert "Balance      unknown (the answer has " in output
    assert ", and no balance in a known form)" in output


def test_a_wrong_key_is_reported_without_the_key(vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to set and never shows the key."""
    monkeypatch.setenv("GOAPI_API_KEY", "very-secret-key")
    done = run("account")
    assert done.exit_code == 1
    assert "GOAPI_API_KEY" in done.output or "key" in done.output
    assert "very-secret-key" not in done.output


def test_sync_makes_partitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """New prompts become partitions, removed ones keep theirs for a day; a broken file is an exit status."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("SEEDANCE_LEDGER_URL", raising=False)
    prompts = tmp_path / "cats.yaml"
    monkeypatch.setenv("SEEDANCE_PROMPTS", str(prompts))
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    prompts.write_text("name: cats\nprompts: [{id: one, prompt: a cat}, {id: two, prompt: two cats}]\n")
    first = run("sync", "--json")
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["added"] == {"cats": 2}
    prompts.write_text("name: cats\nprompts: [{id: one, prompt: a cat}]\n")
    second = json.loads(run("sync", "--json").stdout)
    assert (second["added"], second["removed"]) == ({"cats": 0}, {"cats": 0})
    prompts.write_text("name: cats\nprompts: [{id: one}]\n")
    third = run("sync")
    assert third.exit_code == 1
    assert "cats.yaml" in third.stderr


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster instance whose set `cats` was synced from a folder of its own."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("SEEDANCE_LEDGER_URL", raising=False)
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    for name, prompt in (("first", "a cat"), ("second", "a dog")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cats.yaml").write_text(
            f"name: cats\nprompts: [{{id: {name}, prompt: {prompt}}}]\n"
        )
    monkeypatch.setenv("SEEDANCE_PROMPTS", str(tmp_path / "first"))
    assert run("sync").exit_code == 0
    return tmp_path


@pytest.mark.further
def test_sync_with_another_ledger_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names both ledgers, until a person confirms this one (case m36)."""
    monkeypatch.setenv("SEEDANCE_LEDGER_URL", f"sqlite:///{home}/other.db")
    for command in (("sync",), ("cancel", "--all"), ("reconcile",), ("audit", "--repair")):
        done = run(*command)
        assert done.exit_code == 1, done.output
        assert f"sqlite:///{home}/seedance/ledger.db (id " in done.output, done.output
        assert f"sqlite:///{home}/other.db (id " in done.output
        assert "--use-this-ledger" in done.output
    for reading in (("plan",), ("spend",), ("audit",)):
        done = run(*reading)
        assert (
            f"Warning: prompt sets: this Dagster instance orders from the ledger sqlite:///{home}"
            in done.stderr
        )
    status = run("status", "--json")
    assert (status.exit_code, len(json.loads(status.stdout)["problems"])) == (1, 1)
    asked = CliRunner().invoke(root, ["sync", "--use-this-ledger"], input="n\n")
    assert asked.exit_code == 1
    assert "those prompts are ordered and paid for again" in asked.output
    assert run("sync").exit_code == 1
    assert run("sync", "--use-this-ledger", "--yes").exit_code == 0
    assert run("sync").exit_code == 0
    monkeypatch.delenv("SEEDANCE_LEDGER_URL")
    assert run("sync").exit_code == 1


@pytest.mark.long
def test_sync_of_a_second_set_of_one_name_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second set needs a key prefix, or a person who confirms that the files moved (case d5)."""
    monkeypatch.setenv("SEEDANCE_PROMPTS", str(home / "second"))
    done = run("sync", "--json")
    assert done.exit_code == 1
    [problem] = json.loads(done.stdout)["problems"]
    assert problem.startswith(f"cats: in this Dagster instance this prompt set is read from {home}/first, ")
    assert "key_prefix (SEEDANCE_KEY_PREFIX)" in problem
    assert json.loads(done.stdout)["added"] == {}
    assert problem in " ".join(run("sync").stderr.split("\n"))
    monkeypatch.setenv("SEEDANCE_KEY_PREFIX", "team_b")
    assert json.loads(run("sync", "--json").stdout)["added"] == {"team_b.cats": 1}
    monkeypatch.delenv("SEEDANCE_KEY_PREFIX")
    assert run("sync", "--use-these-prompts", "--yes").exit_code == 0
    monkeypatch.setenv("SEEDANCE_PROMPTS", str(home / "first"))
    assert run("sync").exit_code == 1


def test_sync_without_a_dagster_says_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without DAGSTER_HOME the message names that variable."""
    monkeypatch.chdir(tmp_path)  # `make dev` may have run in the checkout
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    done = run("sync")
    assert (done.exit_code, "DAGSTER_HOME" in done.output) == (1, True)
