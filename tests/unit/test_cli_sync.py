"""The `sync` command where there are no prompt files, and with sets that assets make."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from dagster import DagsterInstance

from seedance_dagster.cli.root import root
from seedance_dagster.defs.steps.binding import check_ledger
from seedance_dagster.defs.steps.memory import Memory
from seedance_dagster.defs.steps.sources import claim_sources
from seedance_dagster.ledger.ledger import Ledger


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a Dagster instance and no prompt files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setattr("os.environ", {"DAGSTER_HOME": str(tmp_path / "home")})
    return tmp_path


def sync(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["sync", *arguments])


def test_a_missing_folder_is_all_that_is_said(folder: Path) -> None:
    """There is no empty table, and no prompts that sets could be read from are taken."""
    done = sync()
    assert (done.exit_code, done.stdout) == (1, "")
    assert "prompt_sets does not exist" in done.stderr
    refused = sync("--use-these-prompts", "--yes")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Error: nothing was changed\n")
    assert "prompt_sets does not exist" in refused.stderr


def test_another_ledger_is_used_for_prompts_of_assets_too(folder: Path) -> None:
    """Only Dagster knows of such a set, and nothing else would let this ledger order for it."""
    with (
        DagsterInstance.get() as instance,
        closing(Ledger.open(f"sqlite:///{folder}/old.db")) as old,
        closing(Ledger.open(f"sqlite:///{folder}/home/seedance/ledger.db")) as new,
    ):
        claim_sources(instance, "ours", {"written": "asset written_prompts"})
        check_ledger(instance, old, ["written"])
        assert "will order for the prompt sets written, as it is" in sync("--use-this-ledger", "--yes").stderr
        assert Memory.of(instance).ledger_ids["written"] == [new.identity.ledger_id]
