"""The checks of a prompt set, reported by a run and executed by their job."""

from __future__ import annotations

import dagster as dg
import pytest
from code_location import QUIET, running_location

from seedance_dagster.defs.video_checks import CHECKS

pytestmark = [pytest.mark.integration, QUIET]

VIDEOS = dg.AssetKey(["spots", "videos"])


@pytest.fixture(scope="module")
def location(s3_server, tmp_path_factory):
    """A code location with two videos."""
    folder = tmp_path_factory.mktemp("checks")
    with running_location(folder, s3_server, {"one": "one", "two": "two"}) as location:
        assert location.run("one", "two").success
        yield location


def run_checks(location) -> dict[str, dg.AssetCheckEvaluation]:
    """Run the job of all checks and return its evaluations by name."""
    job = location.defs.resolve_job_def("seedance_check_videos")
    done = job.execute_in_process(instance=location.instance, raise_on_error=False)
    return {evaluation.check_name: evaluation for evaluation in done.get_asset_check_evaluations()}


def test_a_run_that_stores_videos_reports_the_checks(location):
    """Every check has passed, in an event of the run that stored the videos."""
    records = {
        name: location.instance.get_latest_asset_check_evaluation_record(dg.AssetCheckKey(VIDEOS, name))
        for name in CHECKS
    }
    passed = {name for name, record in records.items() if record and record.status.value == "SUCCEEDED"}
    assert passed == set(CHECKS)
    [newest] = location.instance.fetch_materializations(VIDEOS, limit=1).records
    assert {record.run_id for record in records.values() if record} == {newest.run_id}


def results(location, run_id: str) -> dict[str, dg.AssetCheckEvaluation]:
    """Return the evaluations of a run as Dagster shows them; each check was evaluated once."""
    records = location.instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    events = [record.event_log_entry.dagster_event.asset_check_evaluation_data for record in records]
    assert sorted(event.check_name for event in events) == sorted(CHECKS)
    for name in CHECKS:
        key = dg.AssetCheckKey(VIDEOS, name)
        newest = location.instance.get_latest_asset_check_evaluation_record(key)
        assert (newest.run_id, newest.status.value == "SUCCEEDED") == (
            run_id,
            next(event.passed for event in events if event.check_name == name),
        )
    return {event.check_name: event for event in events}


@pytest.mark.further
def test_a_run_over_the_budget_leaves_each_check_with_its_result(location):
    """Checks of stored videos pass although nothing was ordered, and the budget's figures are there (d16)."""
    budgeted = location.resources["seedance"].model_copy(update={"budget_usd_per_day": 0.9})
    location.write({"one": "one", "two": "two", "three": "three"})
    with location.using(seedance=budgeted):
        location.tick()
        done = location.run("one", "three")
    location.write({"one": "one", "two": "two"})
    assert done.message.startswith("nothing was ordered: 1 new video may cost up to 0.40 USD")
    checks = results(location, done.result.run_id)
    assert {name for name, check in checks.items() if not check.passed} == set()
    budget = checks["budget_remaining"]
    assert budget.description == "budget of 0.90 USD a day: 0.00 USD reserved, 0.80 USD spent, 0.10 USD left"
    assert budget.metadata["seedance/budget_remaining_usd"].value == 0.1


@pytest.mark.further
def test_a_run_with_a_rejected_prompt_leaves_each_check_with_its_result(location):
    """The checks are evaluated before the failure; run again, the same prompt is a warning (d16)."""
    location.write({"bad": "bad [fault:moderation]"}, "others")
    location.reload()
    location.tick()
    first, again = location.run("bad", name="others"), location.run("bad", name="others")
    assert (first.success, again.success) == (False, True)
    for done in (first, again):
        events = [
            event for event in done.result.all_events if event.event_type_value == "ASSET_CHECK_EVALUATION"
        ]
        assert len(events) == len(CHECKS)
    (location.folder / "prompts" / "others.json").unlink()
    location.reload()


def test_one_check_can_be_executed_without_the_others(location):
    """One check runs alone, as by the button on the Checks tab."""
    selection = dg.AssetSelection.checks(dg.AssetCheckKey(VIDEOS, "budget_remaining"))
    job = dg.define_asset_job("one_check", selection=selection)
    merged = dg.Definitions.merge(location.defs, dg.Definitions(jobs=[job]))
    done = merged.resolve_job_def("one_check").execute_in_process(instance=location.instance)
    assert [check.check_name for check in done.get_asset_check_evaluations()] == ["budget_remaining"]


def test_the_job_runs_every_check_and_lists_violations(location):
    """A deleted object is listed with its partition, and the other checks pass."""
    [order] = location.orders("two")
    store = location.store
    poster = store.get_bytes(order.poster_key)
    assert {name for name, check in run_checks(location).items() if check.passed} == set(CHECKS)
    store.client.delete_object(Bucket=store.bucket, Key=order.poster_key)
    checks = run_checks(location)
    assert [name for name, check in checks.items() if not check.passed] == ["objects_intact"]
    intact = checks["objects_intact"]
    [row] = intact.metadata["violations"].records
    assert row.data == {"partition": "two", "reason": "missing in S3: poster"}
    assert intact.severity is dg.AssetCheckSeverity.ERROR
    store.put_bytes(order.poster_key, poster, content_type="image/jpeg", metadata={}, overwrite=True)


def test_the_schedule_is_on_and_costs_nothing(location):
    """The daily schedule is on by default, and its job sends nothing to the vendor."""
    [schedule] = [item for item in location.defs.schedules if item.name == "seedance_check_videos"]
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    posts = location.books()["posts"]
    run_checks(location)
    assert location.books()["posts"] == posts


def test_the_job_runs_no_checks_of_others(location):
    """The job does not run a team's own checks of the same asset."""

    @dg.asset_check(asset=VIDEOS)
    def their_own() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False)

    merged = dg.Definitions.merge(location.defs, dg.Definitions(asset_checks=[their_own]))
    job = merged.resolve_job_def("seedance_check_videos")
    done = job.execute_in_process(instance=location.instance)
    assert {evaluation.check_name for evaluation in done.get_asset_check_evaluations()} == set(CHECKS)
