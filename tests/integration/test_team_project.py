"""The example of a team's own project: it loads, orders, captions and reports."""

from __future__ import annotations

import sys
from pathlib import Path

import dagster as dg
import pytest
from code_location import QUIET
from harness import API_KEY

from seedance_dagster.emulator.server import running_emulator
from seedance_dagster.emulator.vendor_settings import EmulatorSettings

pytestmark = [
    pytest.mark.integration,
    QUIET,
    # Dagster's own, when it reads a component's YAML.
    pytest.mark.filterwarnings(r"ignore:`parse_obj_as` is deprecated"),
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
]

PROJECT = Path(__file__).parents[2] / "examples" / "team_project"


@pytest.fixture
def defs(s3_server, tmp_path, monkeypatch):
    """The definitions of the project, with an emulated vendor."""
    rules = EmulatorSettings(queue_seconds=0, render_seconds=0)
    with running_emulator(rules) as emulator:
        variables = s3_server.environ | {
            "GOAPI_API_KEY": API_KEY,
            "GOAPI_BASE_URL": emulator.url,
            "SEEDANCE_S3_PREFIX": tmp_path.name,
            "SEEDANCE_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.syspath_prepend(PROJECT / "src")
        from team_project.definitions import defs

        yield defs()
        for name in [name for name in sys.modules if name.partition(".")[0] == "team_project"]:
            del sys.modules[name]


@pytest.mark.further
def test_a_team_s_project_loads_and_runs(defs, tmp_path):
    """The project's executor, `s3`, captions and report work beside the component's assets (d4, d9)."""
    dg.Definitions.validate_loadable(defs)
    assert defs.executor is dg.multiprocess_executor
    assert {"s3", "seedance", "seedance_ledger"} <= set(defs.resources)
    job = defs.resolve_implicit_global_asset_job_def()
    settings = {"telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=settings) as instance:
        instance.add_dynamic_partitions("launch_prompts", ["lighthouse"])

        def run(*keys: dg.AssetKey, partition: str | None = None) -> dg.ExecuteInProcessResult:
            return job.execute_in_process(
                instance=instance, asset_selection=list(keys), partition_key=partition
            )

        set_assets = [dg.AssetKey(["launch", name]) for name in ("prompts", "tasks", "videos")]
        assert run(*set_assets, partition="lighthouse").success
        [caption] = run(dg.AssetKey("captions"), partition="lighthouse").asset_materializations_for_node(
            "captions"
        )
        assert caption.metadata["caption"].value == "A lighthouse at dusk (mp4)"
        [report] = run(dg.AssetKey("launch_report")).asset_materializations_for_node("launch_report")
        [row] = report.metadata["videos"].records
        assert row.data["partition"] == "lighthouse"
        assert report.metadata["usd"].value > 0
