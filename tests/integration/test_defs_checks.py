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
