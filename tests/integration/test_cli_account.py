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


def test_sync_without_a_dagster_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without DAGSTER_HOME the message names it."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    done = run("sync")
    assert (done.exit_code, "DAGSTER_HOME" in done.output) == (1, True)
