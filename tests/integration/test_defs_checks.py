"""The checks of a prompt set, as a run reports them and as a person or the schedule executes them."""

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


def executed(location) -> dict[str, dg.AssetCheckEvaluation]:
    """What the job of all checks finds."""
    job = location.defs.resolve_job_def("seedance_check_videos")
    done = job.execute_in_process(instance=location.instance, raise_on_error=False)
    return {each.check_name: each for each in done.get_asset_check_evaluations()}


def test_a_run_that_brings_videos_reports_the_checks(location):
    """After collecting, every check stands on the asset, passed, as an event of the run that collected."""
    records = {
        name: location.instance.get_latest_asset_check_evaluation_record(dg.AssetCheckKey(VIDEOS, name))
        for name in CHECKS
    }
    passed = {name for name, record in records.items() if record and record.status.value == "SUCCEEDED"}
    assert passed == set(CHECKS)
    [newest] = location.instance.fetch_materializations(VIDEOS, limit=1).records
    assert {record.run_id for record in records.values() if record} == {newest.run_id}


def test_the_job_runs_every_check_and_names_offenders_in_a_table(location):
    """A deleted object is named by its partition; the other checks pass."""
    [order] = location.orders("two")
    store = location.store
    poster = store.get_bytes(order.poster_key)
    assert {name for name, found in executed(location).items() if found.passed} == set(CHECKS)
    store._client.delete_object(Bucket=store.bucket, Key=order.poster_key)
    found = executed(location)
    assert [name for name, check in found.items() if not check.passed] == ["objects_intact"]
    intact = found["objects_intact"]
    [row] = intact.metadata["violations"].records
    assert row.data == {"partition": "two", "reason": "missing in S3: poster"}
    assert intact.severity is dg.AssetCheckSeverity.ERROR
    store.put_bytes(order.poster_key, poster, content_type="image/jpeg", metadata={})


def test_the_schedule_is_on_and_costs_nothing(location):
    """The daily schedule runs by default and asks for the job of the checks alone."""
    [schedule] = [each for each in location.defs.schedules if each.name == "seedance_check_videos"]
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    posts = location.books()["posts"]
    executed(location)
    assert location.books()["posts"] == posts


def test_the_job_runs_no_checks_of_others(location):
    """A team's own checks in the same code location are not run under the name of ours."""

    @dg.asset_check(asset=VIDEOS)
    def their_own() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False)

    merged = dg.Definitions.merge(location.defs, dg.Definitions(asset_checks=[their_own]))
    job = merged.resolve_job_def("seedance_check_videos")
    done = job.execute_in_process(instance=location.instance)
    assert {each.check_name for each in done.get_asset_check_evaluations()} == set(CHECKS)
