"""Prompt files in Dagster: messages of the tick, their asset and its check, and `sync --prune`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from factories import make_new_order, open_ledger

from seedance_dagster import LedgerResource, SeedanceResource, VideoStoreResource, build_seedance_definitions
from seedance_dagster.cli.root import root
from seedance_dagster.defs.steps import tick
from seedance_dagster.engine.runtime.pipeline import PollResult
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.base import utc_now
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.prompts import load_prompt_sets

# Dagster's own, when it resolves a resource inside a resource.
pytestmark = pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run:DeprecationWarning")

FILES = dg.AssetKey("seedance_prompt_files")


@dataclass
class Location:
    """A code location without a vendor: nothing in these tests may reach one."""

    folder: Path
    instance: dg.DagsterInstance
    cursor: str | None = None
    defs: dg.Definitions = field(init=False)

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{self.folder}/ledger.db"

    def write(self, name: str, *ids: str, text: str | None = None) -> Path:
        path = self.folder / "prompts" / f"{name}.json"
        prompts = [{"id": prompt_id, "prompt": f"a {prompt_id}"} for prompt_id in ids]
        path.write_text(json.dumps({"name": name, "prompts": prompts}) if text is None else text)
        return path

    def reload(self) -> None:
        self.defs = build_seedance_definitions(
            self.folder / "prompts",
            seedance=SeedanceResource(api_key="k"),
            video_store=VideoStoreResource(bucket="b"),
            ledger=LedgerResource(url=self.ledger_url),
        )

    def tick(self) -> str:
        """Run a tick, and return its reason."""
        [sensor] = self.defs.sensors
        with dg.build_sensor_context(
            instance=self.instance,
            definitions=self.defs,
            resources=dict(self.defs.resources),
            cursor=self.cursor,
        ) as context:
            answer = sensor(context)
            self.cursor = context.cursor
        return str(answer.skip_message) if isinstance(answer, dg.SkipReason) else ""

    def order(self, name: str, key: str) -> None:
        """Queue an order for a partition."""
        loaded = load_prompt_sets(self.folder / "prompts" / f"{name}.json")
        partition = loaded.sets[0].partitions[key]
        order = make_new_order(key, prompt_set=name, fingerprint=partition.fingerprint)
        with open_ledger(self.ledger_url, utc_now) as ledger:
            ledger.orders.place([order], OrderRequest(idempotency_key="c", run_id="r"))

    def observations(self) -> list[dict[str, dict[str, Any]]]:
        """Return the observed files by name, the newest observation first."""
        records = self.instance.fetch_observations(FILES, limit=20).records
        tables = [record.asset_observation.metadata["seedance/prompt_files"].records for record in records]
        return [{Path(str(row.data["file"])).stem: dict(row.data) for row in table} for table in tables]

    def check(self) -> dg.AssetCheckEvaluation:
        """Return the check's result in the newest tick with a change."""
        key = dg.AssetCheckKey(FILES, "prompt_files_readable")
        record = self.instance.get_latest_asset_check_evaluation_record(key)
        return record.event.dagster_event.event_specific_data

    def partitions(self, name: str) -> list[str]:
        return list(self.instance.get_dynamic_partitions(f"{name}_prompts"))


async def nothing_to_poll(services: Services) -> PollResult:
    return PollResult()


@pytest.fixture
def location(tmp_path, monkeypatch) -> Iterator[Location]:
    """A code location with the set `spots`."""
    (tmp_path / "prompts").mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(tick, "_poll", nothing_to_poll)
    settings = {"telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(tmp_path / "home"), overrides=settings) as instance:
        location = Location(tmp_path, instance)
        location.write("spots", "cat", "dog")
        location.reload()
        assert location.tick() == "there are no open orders"
        yield location


@pytest.mark.further
def test_a_new_file_is_said_until_the_code_location_is_reloaded(location):
    """Until a reload the tick says which button to press, and the asset shows the new file (case d8)."""
    location.write("launch", "owl")
    reason = "\N{WARNING SIGN} launch: a new prompt set; reload the code location to see it; "
    assert location.tick().startswith(reason)
    assert location.tick().startswith(reason)
    newest, first = location.observations()
    assert newest["launch"]["state"] == "waits for a reload of the code location"
    assert (newest["spots"]["state"], newest["spots"]["videos"]) == ("loaded", 2)
    assert set(first) == {"spots"}
    location.reload()
    assert location.tick() == "there are no open orders"
    assert location.observations()[0]["launch"]["state"] == "loaded"
    # Nothing changed, so nothing is observed.
    location.tick()
    assert len(location.observations()) == 3


def test_a_broken_file_turns_the_check_red_and_keeps_its_set(location):
    """Assets and partitions stay as last read, and the check names file, prompt and field (d17, d18)."""
    path = location.write("spots", text='{"name": "spots", "prompts": [{"id": "cat", "duration": 99}]}')
    location.write("launch", "owl")
    location.reload()
    assert location.tick().startswith("\N{WARNING SIGN} errors in prompt files:\n" + str(path))
    assert location.observations()[0]["spots"]["state"] == "cannot be used"
    assert location.partitions("spots") == ["cat", "dog"]
    assert location.partitions("launch") == ["owl"]
    assert dg.AssetKey(["spots", "videos"]) in location.defs.resolve_all_asset_keys()
    evaluation = location.check()
    assert not evaluation.passed
    assert "prompt 1 (cat): duration is 99; allowed are" in str(evaluation.description)
    rows = [record.data for record in evaluation.metadata["seedance/problems"].records]
    assert {(row["prompt"], row["field"], row["severity"]) for row in rows} == {
        ("prompt 1 (cat)", "duration", "error"),
        ("prompt 1 (cat)", "prompt", "error"),
    }


def prune(location: Location, monkeypatch: pytest.MonkeyPatch, *options: str) -> dict[str, Any]:
    monkeypatch.setenv("DAGSTER_HOME", str(location.folder / "home"))
    monkeypatch.setenv("SEEDANCE_LEDGER_URL", location.ledger_url)
    monkeypatch.setenv("SEEDANCE_PROMPTS", str(location.folder / "prompts"))
    done = CliRunner().invoke(root, ["sync", "--prune", "--yes", "--json", *options])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["pruned"]


def test_a_file_that_is_gone_withdraws_nothing_until_a_person_says_so(location, monkeypatch, capfd):
    """For a missing file, perhaps on a missing mount, only `sync --prune` withdraws queued orders."""
    path = location.write("launch", "owl", "fox")
    location.reload()
    location.tick()
    location.order("launch", "owl")
    path.unlink()
    assert location.tick() == "", "a run is requested for what is queued, and the tick's log says the rest"
    gone = "launch: its prompt file is gone, and orders that will be sent are queued for it (1): put "
    assert gone in capfd.readouterr().err
    with open_ledger(location.ledger_url, utc_now) as ledger:
        assert [order.state for order in ledger.queries.find()] == [State.QUEUED]
    assert location.partitions("launch") == ["owl", "fox"]
    pruned = prune(location, monkeypatch)
    assert pruned == {"partitions": {"launch": 2}, "withdrawn": {"launch": 1}, "waiting": {"launch": 0}}
    assert location.partitions("launch") == []
    location.reload()
    assert location.tick() == "there are no open orders"


def test_a_prompt_that_was_ordered_keeps_its_partition_until_it_is_pruned(location, monkeypatch):
    """The tick says so, and pruning withdraws what is queued for it at once."""
    location.order("spots", "dog")
    location.write("spots", "cat")
    location.tick()
    assert location.partitions("spots") == ["cat", "dog"]
    pruned = prune(location, monkeypatch)
    assert pruned == {"partitions": {"spots": 1}, "withdrawn": {"spots": 1}, "waiting": {"spots": 0}}
    assert location.partitions("spots") == ["cat"]
    with open_ledger(location.ledger_url, utc_now) as ledger:
        assert [order.state for order in ledger.queries.find()] == [State.FAILED]
