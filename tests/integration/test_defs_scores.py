"""Scores in Dagster: measured after storing by a run that the sensor starts, and by hand."""

from __future__ import annotations

import dagster as dg
import pytest
from code_location import QUIET, running_location

from seedance_dagster.defs.steps.scores import SCORE_LEASE
from seedance_dagster.ledger.verdict import Judgement, Verdict
from seedance_dagster.scores.score import Score

pytestmark = [pytest.mark.integration, pytest.mark.further, QUIET]

SCORES = dg.AssetKey(["spots", "scores"])


def fails(video):
    """Fail, as a team's own score may."""
    raise LookupError(f"no model for {video.partition}")


def size(video) -> dict[str, float | str]:
    """Measure the bytes of a video, for a value of each kind."""
    with video.local() as path:
        return {"size_bytes": path.stat().st_size, "size_class": "small"}


OWN = (Score("smile", "1", fails, ("smile",)), Score("size", "1", size, ("size_bytes", "size_class")))
FIELDS = {
    "scores": ["cuts", {"motion": ">=0", "size_bytes": ">=1e9"}],
    "accept": {"all_checks": True, "scores": {"size_bytes": ">1"}},
}


@pytest.fixture(scope="module")
def location(s3_server, tmp_path_factory):
    """A code location with two videos, whose set has built-in scores and two of the team's own."""
    folder = tmp_path_factory.mktemp("scores")
    with running_location(folder, s3_server, {"one": "one", "two": "two"}) as location:
        location.resources["scores"] = OWN
        location.write({"one": "one", "two": "two"}, **FIELDS)
        location.reload()
        assert location.run("one", "two").success
        yield location


@pytest.fixture(scope="module")
def scored(location):
    """The run that the tick after storing asked for."""
    answer = location.tick()
    assert isinstance(answer, dg.SensorResult)
    [request] = answer.run_requests
    assert request.job_name == "seedance_score"
    assert request.run_key.startswith("score ")
    again = location.tick()
    assert isinstance(again, dg.SensorResult)
    assert [repeated.run_key for repeated in again.run_requests] == [request.run_key], (
        "Dagster starts it once"
    )
    done = location.score()
    assert done.success
    return done


def values_of(location, key: str) -> dict[str, object]:
    metadata = location.newest("scores", key).metadata
    return {name.removeprefix("seedance/"): value.value for name, value in metadata.items()}


def test_videos_are_scored_after_they_were_stored(location, scored):
    """Each partition is materialized once; a score that fails is named, and the others go on."""
    values = values_of(location, "one")
    assert values["score_cuts"] == 0
    assert values["score_motion"] == 0
    assert values["score_size_class"] == "small"
    assert values["score_problems"]["smile"].startswith(
        "LookupError: no model for one (test_defs_scores.py, line"
    )
    assert "score_smile" not in values
    assert [len(location.history("scores", key)) for key in ("one", "two")] == [1, 1]
    assert "spots/one: score 'smile' LookupError: no model for one" in scored.log
    assert "no open orders" in location.skipped()


def test_scores_are_made_from_their_videos(location, scored):
    """The lineage is exact, partition by partition."""
    video, scores = location.newest("videos", "one"), location.newest("scores", "one")
    tags = scores.tags
    assert tags["dagster/input_data_version/spots/videos"] == video.tags["dagster/data_version"]
    [(pointer, _)] = location.history("videos", "one")
    assert tags["dagster/input_event_pointer/spots/videos"] == str(pointer)
    [spec] = [spec for spec in location.defs.resolve_all_asset_specs() if spec.key == SCORES]
    assert tags["dagster/code_version"] == spec.code_version


def test_the_checks_can_be_executed_alone(location, scored):
    """Checks that are executed alone read the ledger and measure nothing."""
    job = location.defs.resolve_implicit_global_asset_job_def()
    selected = dg.AssetSelection.checks_for_assets(SCORES)
    keys = selected.resolve_checks(location.defs.resolve_asset_graph())
    done = job.get_subset(asset_selection=set(), asset_check_selection=keys).execute_in_process(
        instance=location.instance
    )
    passed = {evaluation.check_name: evaluation.passed for evaluation in done.get_asset_check_evaluations()}
    assert passed == {"score_motion": True, "score_size_bytes": False, "scores_measured": False}


def test_checks_say_which_videos_fall_short(location, scored):
    """The run that scored warns of videos that fall short; the job of all checks does not."""
    evaluations = {
        evaluation.check_name: evaluation for evaluation in scored.result.get_asset_check_evaluations()
    }
    assert {name: evaluation.passed for name, evaluation in evaluations.items()} == {
        "score_motion": True,
        "score_size_bytes": False,
        "scores_measured": False,
    }
    size_check = evaluations["score_size_bytes"]
    assert size_check.severity is dg.AssetCheckSeverity.WARN
    assert size_check.asset_key == SCORES
    [first, _] = size_check.metadata["violations"].records
    assert first.data["partition"] == "one"
    assert first.data["reason"].endswith("required is >=1000000000")
    assert size_check.description == "0 of 2 videos pass"


def test_the_index_has_the_scores(location, scored):
    """The run that scored brings the index up to date."""
    import io

    import pyarrow.parquet as pq

    [key] = [key for key in location.store.listing("spots/index") if key.endswith(".parquet")]
    row = pq.read_table(io.BytesIO(location.store.get_bytes(key))).to_pylist()[0]
    by_name = {score["name"]: score["value"] or score["text"] for score in row["scores"]}
    assert set(by_name) == {"cuts", "motion", "size_bytes", "size_class"}
    assert by_name["size_class"] == "small"


def test_a_score_that_failed_leaves_the_verdict_to_a_person(location, scored):
    """The rule does not accept a video while any of its scores is unknown."""
    with location.ledger() as ledger:
        assert ledger.verdicts.current("spots") == {}


def test_one_run_scores_at_a_time(location, scored):
    """A second scoring run ends at once, and says why."""
    with location.ledger() as ledger:
        assert ledger.leases.acquire(SCORE_LEASE, "another run", seconds=60)
        done = location.score()
        ledger.leases.release(SCORE_LEASE, "another run")
    assert done.success
    assert "another run of seedance_score is working: nothing to do" in done.log


def test_the_rule_accepts_once_everything_is_measured(location, scored):
    """Materializing by hand measures again what failed; the next tick reports the verdict."""
    repaired = (Score("smile", "1", lambda _: {"smile": True}, ("smile",)), OWN[1])
    with location.ledger() as ledger:
        ledger.verdicts.give("spots", {"two": Judgement(Verdict.DISCARDED)}, reviewer="ann")
    with location.using(scores=repaired):
        done = location.run("one", "two", assets=("scores",))
        assert done.success, done.message
        location.tick()
    assert values_of(location, "one")["score_smile"] is True
    assert [len(location.history("scores", key)) for key in ("one", "two")] == [2, 2]
    accepted = location.newest("accepted", "one")
    assert accepted.metadata["seedance/reviewer"].value == "rule"
    assert location.history("accepted", "two") == []


def test_a_partition_without_a_video_cannot_be_scored(location, scored):
    """A partition without a video is named, and the others are scored."""
    prompts = {"one": "one", "two": "two", "three": "three"}
    location.write(prompts, **FIELDS)
    location.tick()
    done = location.run("two", "three", assets=("scores",))
    location.write({"one": "one", "two": "two"}, **FIELDS)
    assert done.message.startswith("these partitions could not be scored: three. They have no video yet")
    assert len(location.history("scores", "two")) == 3


def test_scores_run_behind_videos_in_one_run(location, scored):
    """A run stores first, then scores, then runs the assets that depend on the scores."""
    prompts = {"one": "one", "four": "four"}
    location.write(prompts, **FIELDS)
    location.reload()
    location.tick()
    done = location.run("four", assets=("prompts", "tasks", "videos", "scores"))
    assert done.success, done.message
    assert values_of(location, "four")["score_size_class"] == "small"


def test_an_unknown_score_is_an_error_of_its_file(location, scored):
    """The set orders nothing until the name is right, and the message lists the known names."""
    location.write({"one": "one"}, "others")
    location.tick()
    location.write({"one": "one"}, "others", scores=["moton"])
    location.reload()
    try:
        done = location.run("one", name="others")
        assert "others.json: scores.moton is not a score; known are black_share, cuts," in done.message
        assert "smile" in done.message
        assert location.orders("one", "others") == []
    finally:
        (location.folder / "prompts" / "others.json").unlink()
        location.reload()


def test_nothing_is_scored_where_no_set_has_scores(location, scored):
    """Without scores in any set, no run is requested and no asset declared."""
    location.write({"one": "one", "two": "two"})
    with location.using(scores=()):
        location.tick()
        assert isinstance(location.tick(), dg.SkipReason)
        assert SCORES not in {spec.key for spec in location.defs.resolve_all_asset_specs()}
