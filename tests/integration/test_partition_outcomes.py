"""The partitions of `tasks` and `videos` after orders whose runs did not wait for them."""

from __future__ import annotations

from uuid import uuid4

import dagster as dg
import pytest
from code_location import QUIET, running_location

from seedance_dagster.defs.naming import WAITS_TAG
from seedance_dagster.ledger import reports
from seedance_dagster.ledger.tables.schema import orders

pytestmark = [pytest.mark.integration, pytest.mark.further, QUIET]


@pytest.fixture(scope="module")
def location(s3_server, tmp_path_factory):
    """A code location with a budget for two videos, and a prompt that moderation rejects."""
    prompts = {"bad": "bad [fault:moderation]", "cat": "a cat", "dog": "a dog"}
    folder = tmp_path_factory.mktemp("outcomes")
    with running_location(folder, s3_server, prompts) as location:
        seedance = location.resources["seedance"].model_copy(update={"budget_usd_per_day": 0.9})
        location.resources["seedance"] = seedance
        location.reload()
        yield location


def observed(location, asset: str, key: str) -> list[dict[str, object]]:
    """Return the metadata of a partition's observations, the newest first."""
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(["spots", asset]), asset_partitions=[key])
    records = location.instance.fetch_observations(wanted, limit=10).records
    events = [record.event_log_entry.asset_observation for record in records]
    return [{name: value.value for name, value in event.metadata.items()} for event in events if event]


def test_a_partition_that_a_budget_left_out_says_so(location):
    """Nothing of the run was ordered; each of its prompts shows the figures."""
    done = location.run("bad", "dog")
    assert done.message.startswith("nothing was ordered: 3 new videos may cost up to 1.20 USD")
    for key in ("bad", "cat", "dog"):
        for asset in ("tasks", "videos"):
            [shown] = observed(location, asset, key)
            assert (shown["seedance/state"], shown["seedance/reason"]) == ("not ordered", done.message)


def test_an_end_that_only_the_sensor_saw_is_shown(location, monkeypatch):
    """The tick that polls a rejected task reports nothing; the run that it starts does, once."""
    assert location.run("bad", "cat", assets=("prompts", "tasks")).success
    monkeypatch.setattr(reports, "_REPORT_GRACE", reports._REPORT_GRACE * 0)
    for _ in range(20):
        location.advance()
        location.tick()
        if location.orders("bad")[0].ended_at and location.orders("cat")[0].stored_at:
            break
    location.advance()
    for asset in ("tasks", "videos"):
        newest, *submitted, budget = observed(location, asset, "bad")
        assert [metadata["seedance/state"] for metadata in submitted] == ["submitted"] * (asset == "tasks")
        assert budget["seedance/state"] == "not ordered"
        assert newest["seedance/state"] == "rejected"
        assert str(newest["seedance/reason"]).startswith("rejected by moderation: ")
        assert newest["seedance/charged_usd"] == 0.004
    assert location.advance().events_of("videos") == []
    newest, submitted, _ = observed(location, "tasks", "cat")
    assert submitted["seedance/state"] in ("submitted", "succeeded")
    assert (newest["seedance/state"], newest["seedance/charged_usd"]) == ("stored", 0.4)
    assert len(observed(location, "videos", "cat")) == 1


def test_events_name_their_partition(location):
    """The events of a run name their partition, in the list as in the log."""
    done = location.run("cat")
    messages = [event.message for event in done.result.all_events if event.message]
    [order] = location.orders("cat")
    for text in (
        "estimated at 0.40 USD",
        f"stored, task {order.task_id}, 0.40 USD charged",
        "stored, 0.40 USD",
    ):
        assert f"cat: {text}" in messages


def test_a_run_that_waits_reports_its_own_orders(location, monkeypatch):
    """Events of a video that another run stored come once, after the grace time if that run dies."""
    waits = dg.DagsterRun(
        job_name="spots", run_id=str(uuid4()), status=dg.DagsterRunStatus.STARTED, tags=dict(WAITS_TAG)
    )
    location.write({"bad": "bad [fault:moderation*1]", "cat": "a cat", "dog": "a dog", "owl": "an owl"})
    location.tick()
    assert location.run("owl", assets=("prompts", "tasks")).success
    with location.ledger() as ledger, ledger._database.writing() as connection:
        connection.execute(orders.update().where(orders.c.partition == "owl").values(run_id=waits.run_id))
    location.instance.add_run(waits)
    for _ in range(20):
        assert location.advance().events_of("videos") == []
        if location.orders("owl")[0].stored_at:
            break
    assert location.orders("owl")[0].stored_at
    monkeypatch.setattr(reports, "_REPORT_GRACE", reports._REPORT_GRACE * 0)
    assert ("owl", "materialization") in location.advance().events_of("videos")
    assert len(location.history("videos", "owl")) == 1


def test_the_job_of_a_set_makes_its_videos(location):
    """The job of a set orders and waits like Materialize, here for a prompt whose video is stored."""
    job = location.defs.resolve_job_def("generate_spots")
    done = job.execute_in_process(instance=location.instance, partition_key="cat")
    assert {event.asset_key.path[-1] for event in done.get_asset_materialization_events()} == {
        "prompts",
        "tasks",
        "videos",
    }
    assert len(location.orders("cat")) == 1
