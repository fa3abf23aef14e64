"""Assets downstream of prompts and tasks, in a run that waits for no video."""

from __future__ import annotations

import dagster as dg
import pytest
from code_location import QUIET, CodeLocation, running_location

from seedance_dagster import prompt_partitions
from seedance_dagster.defs.steps import outputs
from seedance_dagster.ledger import reports

pytestmark = [pytest.mark.integration, pytest.mark.further, QUIET]


def nothing() -> None:
    """Compute an asset without a value."""


@pytest.fixture
def location(s3_server, tmp_path):
    """A code location with an asset behind the prompts and one behind the tasks of its set."""
    behind = [
        dg.asset(
            name=f"behind_{name}",
            deps=[dg.AssetKey(["spots", name])],
            partitions_def=prompt_partitions("spots"),
        )(nothing)
        for name in ("prompts", "tasks")
    ]
    with running_location(tmp_path, s3_server, {"cat": "a cat"}) as location:
        location.defs = dg.Definitions.merge(location.defs, dg.Definitions(assets=behind))
        yield location


def materialize(location: CodeLocation, *assets: str) -> dg.ExecuteInProcessResult:
    """Materialize assets of the set, and the one behind the last of them."""
    keys = [dg.AssetKey(["spots", name]) for name in assets] + [dg.AssetKey(f"behind_{assets[-1]}")]
    return location.defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=location.instance, asset_selection=keys, partition_key="cat", raise_on_error=False
    )


@pytest.mark.parametrize("assets", [("prompts",), ("tasks",), ("prompts", "tasks")])
def test_what_hangs_on_prompts_and_tasks_runs_behind_them(location, assets):
    """It is not skipped in a green run, and each partition shows its own metadata (d7)."""
    done = materialize(location, *assets)
    assert done.success
    assert len(done.asset_materializations_for_node(f"behind_{assets[-1]}")) == 1
    for name in assets:
        event = location.newest(name, "cat")
        assert event.metadata["seedance/fingerprint"].value
        assert event.tags["dagster/data_version"].startswith(event.metadata["seedance/fingerprint"].value)


def test_a_video_is_not_reported_again_for_an_asset_behind_its_task(location):
    """The run reuses the order, and the video that Dagster shows stays the newest event."""
    assert location.run("cat").success
    assert materialize(location, "tasks").success
    assert location.advance().success
    assert len(location.history("videos", "cat")) == 1
    [order] = location.orders("cat")
    assert location.reported(order) == "stored"
    assert location.newest("tasks", "cat").metadata["seedance/task_id"].value == order.task_id
    assert location.books()["tasks"] == 1


def test_a_run_that_is_killed_behind_its_outputs_leaves_nothing_unreported(location, monkeypatch):
    """The task's event without metadata is followed by a whole one as soon as its video is stored."""

    def interrupted(*_arguments: object) -> None:
        raise dg.DagsterExecutionInterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(outputs, "Reporter", interrupted)
        assert not materialize(location, "tasks").success
    assert "seedance/fingerprint" not in location.newest("tasks", "cat").metadata
    monkeypatch.setattr(reports, "_REPORT_GRACE", reports._REPORT_GRACE * 0)
    assert location.advance().success
    [order] = location.orders("cat")
    assert location.newest("tasks", "cat").metadata["seedance/task_id"].value == order.task_id
    assert location.reported(order) == "stored"


def test_what_hangs_on_a_task_that_was_not_ordered_does_not_run(location):
    """The run fails and names the prompt; no partition looks materialized."""
    location.write({"cat": "bad [fault:moderation]"})
    location.tick()
    assert not location.run("cat").success
    tasks = len(location.history("tasks", "cat"))
    done = materialize(location, "tasks")
    assert not done.success
    assert done.asset_materializations_for_node("behind_tasks") == []
    assert len(location.history("tasks", "cat")) == tasks
