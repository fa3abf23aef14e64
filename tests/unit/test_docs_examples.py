"""Examples in the documentation run."""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg

DOCS = Path(__file__).parents[2] / "docs"


def example(page: str, number: int = 0) -> dict[str, object]:
    """Run the Python example of a page, and return its names."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(blocks[number], page, "exec"), names)
    return names


def test_the_alert_names_the_check_that_failed(capfd):
    """The sensor of docs/questions.md sees failed checks of a run, and only those."""
    sensor = example("questions.md")["failed_checks"]

    @dg.asset
    def videos() -> None: ...

    @dg.asset_check(asset=videos)
    def have_posters() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False)

    @dg.asset_check(asset=videos)
    def are_playable() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    assert isinstance(sensor, dg.SensorDefinition)
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.materialize([videos, have_posters, are_playable], instance=instance)
        context = dg.build_run_status_sensor_context(
            sensor_name="failed_checks",
            dagster_event=run.all_events[-1],
            dagster_instance=instance,
            dagster_run=run.dagster_run,
        )
        sensor(context)
    warnings = [line for line in capfd.readouterr().err.splitlines() if " WARNING " in line]
    assert [line.rpartition(" - ")[2] for line in warnings] == ["videos: have_posters failed"]
