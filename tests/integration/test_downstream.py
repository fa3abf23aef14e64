"""The assets of docs/downstream.md, on real videos."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from code_location import QUIET, running_location
from run_result import RunResult

from seedance_dagster import Video
from seedance_dagster.defs.steps import outputs
from seedance_dagster.ledger import reports
from seedance_dagster.ledger.verdict import Judgement, Verdict
from seedance_dagster.money import points_to_usd

pytestmark = [pytest.mark.integration, QUIET]

PAGE = (Path(__file__).parents[2] / "docs" / "downstream.md").read_text("utf-8")
SET = "launch_spots"
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def asset_of_page(name: str) -> dg.AssetsDefinition:
    """Run the block of code that defines an asset."""
    [block] = [code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if f"def {name}(" in code]
    namespace: dict[str, object] = {}
    exec(compile(block, "downstream.md", "exec", dont_inherit=True), namespace)
    asset = namespace[name]
    assert isinstance(asset, dg.AssetsDefinition)
    return asset


@pytest.fixture(scope="module")
def location(s3_server, tmp_path_factory):
    """A code location with one stored video, and the page's assets downstream of it."""
    with running_location(tmp_path_factory.mktemp("downstream"), s3_server, {}) as location:
        (location.folder / "prompts" / "spots.json").unlink()
        location.write({"cat": "a cat"}, SET)
        location.reload()
        own = dg.Definitions(
            assets=[
                asset_of_page("campaign_report"),
                *map(asset_of_page, ("subtitles", "contact_sheet", "captions", "frames")),
            ]
        )
        location.defs = dg.Definitions.merge(location.defs, own)
        location.tick()
        assert location.run("cat", name=SET).success
        yield location


def run(location, asset, partition=None):
    return location.defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=location.instance, asset_selection=[dg.AssetKey(asset)], partition_key=partition
    )


@pytest.mark.further
def test_an_asset_behind_each_video_gets_it_as_its_parameter(location):
    """The asset gets a checked download of the video, with the partition's prompt and URI."""
    done = run(location, "subtitles", "cat")
    [event] = done.asset_materializations_for_node("subtitles")
    [order] = location.orders("cat", SET)
    shown = location.newest("videos", "cat", SET).metadata
    assert event.metadata["video"].value == shown["dagster/uri"].value
    assert (event.metadata["bytes"].value, event.metadata["prompt"].value) == (order.size_bytes, "a cat")


def test_captions_and_frames_are_made_of_a_video(location):
    """The caption has a check of the team's own, and the version of the video's bytes."""
    done = run(location, "captions", "cat")
    [event] = done.asset_materializations_for_node("captions")
    [order] = location.orders("cat", SET)
    assert event.tags["dagster/data_version"] == order.sha256
    assert [evaluation.passed for evaluation in done.get_asset_check_evaluations()] == [True]
    [event] = run(location, "frames", "cat").asset_materializations_for_node("frames")
    assert event.metadata["frames"].value >= 4


def test_an_asset_without_partitions_gets_all_videos_by_partition(location):
    """An asset without partitions gets all videos by partition, without those that are missing."""
    [event] = run(location, "contact_sheet").asset_materializations_for_node("contact_sheet")
    [order] = location.orders("cat", SET)
    assert event.metadata["videos"].value == 1
    assert event.metadata["usd"].value == pytest.approx(float(points_to_usd(order.points_charged)))


def test_a_link_to_a_video_opens_it_without_credentials(location):
    """For as long as S3 allows at most; another span is refused before a link is made that never works."""
    links = []

    def linker(video: Video) -> None:
        with pytest.raises(ValueError, match=r"expires_s is 604801; allowed are 1 to 604800 seconds"):
            video.presigned_url(expires_s=604_801)
        links.append((video.presigned_url(expires_s=604_800), video.sha256))

    asset = dg.asset(
        ins={"video": dg.AssetIn(key=dg.AssetKey([SET, "videos"]))},
        partitions_def=dg.DynamicPartitionsDefinition(name=f"{SET}_prompts"),
    )(linker)
    defs = dg.Definitions.merge(location.defs, dg.Definitions(assets=[asset]))
    done = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=location.instance, asset_selection=[dg.AssetKey("linker")], partition_key="cat"
    )
    assert done.success
    [(link, sha256)] = links
    assert hashlib.sha256(httpx.get(link).raise_for_status().content).hexdigest() == sha256


@pytest.mark.parametrize("name", ["prompts", "tasks", "index", "dataset"])
def test_an_asset_without_videos_is_no_parameter(location, name):
    """Its table or its facts are no value, so the run fails and says what to write."""
    partitions = (
        dg.DynamicPartitionsDefinition(name=f"{SET}_prompts") if name in ("prompts", "tasks") else None
    )

    @dg.asset(ins={"value": dg.AssetIn(key=dg.AssetKey([SET, name]))}, partitions_def=partitions)
    def reader(value: Any) -> None:
        raise AssertionError(value)

    defs = dg.Definitions.merge(location.defs, dg.Definitions(assets=[reader]))
    done = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=location.instance,
        asset_selection=[dg.AssetKey("reader")],
        partition_key="cat" if partitions else None,
        raise_on_error=False,
    )
    words = f"{SET}/{name} cannot be the value of a parameter: name it in deps=[...]"
    assert words in RunResult(done, location.instance).message


@pytest.mark.parametrize(
    ("annotation", "partitions", "message"),
    [(Video, "cat..dog", "annotate it with dict"), (Any, "dog", "dog has no video yet; materialize")],
)
def test_a_missing_video_is_said_in_words(location, annotation, partitions, message):
    """One video for two partitions, and a partition without one: the run fails and says what to do."""

    def reader(video: Any) -> None:
        raise AssertionError(video)

    reader.__annotations__["video"] = annotation
    asset = dg.asset(
        ins={"video": dg.AssetIn(key=dg.AssetKey([SET, "videos"]))},
        partitions_def=dg.DynamicPartitionsDefinition(name=f"{SET}_prompts"),
    )(reader)
    location.instance.add_dynamic_partitions(f"{SET}_prompts", ["dog"])
    defs = dg.Definitions.merge(location.defs, dg.Definitions(assets=[asset]))
    first, _, last = partitions.partition("..")
    done = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=location.instance,
        asset_selection=[dg.AssetKey("reader")],
        raise_on_error=False,
        **({"tags": dict(zip(RANGE, (first, last), strict=True))} if last else {"partition_key": first}),
    )
    [failure] = [event for event in done.all_events if event.is_step_failure]
    assert message in str(failure.step_failure_data)


def test_a_tick_reports_verdicts(location):
    """The accepted video is a materialization of its partition, made from what Dagster knows of the video."""
    with location.ledger() as ledger:
        ledger.verdicts.give(SET, {"cat": Judgement(Verdict.ACCEPTED)}, reviewer="ann")
        location.tick()
        assert ledger.verdicts.unreported(10) == []
    accepted, video = (location.newest(asset, "cat", SET) for asset in ("accepted", "videos"))
    version = video.tags["dagster/data_version"]
    assert accepted.tags["dagster/data_version"] == f"{version}-accepted"
    assert accepted.tags[f"dagster/input_data_version/{SET}/videos"] == version


@pytest.mark.further
@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
def test_an_asset_behind_the_index_is_made_again_when_a_video_comes(location):
    """Automation requests it once for each change of the index."""
    report = dg.AssetKey("campaign_report")
    before = dg.evaluate_automation_conditions(location.defs, location.instance)
    location.write({"cat": "a cat", "dog": "a dog"}, SET)
    location.tick()
    assert location.run("dog", name=SET).success
    after = dg.evaluate_automation_conditions(location.defs, location.instance, cursor=before.cursor)
    assert after.get_num_requested(report) == 1
    run(location, "campaign_report")
    later = dg.evaluate_automation_conditions(location.defs, location.instance, cursor=after.cursor)
    assert later.get_num_requested(report) == 0


CHAIN = [*(dg.AssetKey([SET, asset]) for asset in ("prompts", "tasks", "videos")), dg.AssetKey("subtitles")]


def run_chain(location) -> dg.ExecuteInProcessResult:
    """Run the set's assets and the one downstream of them for one partition."""
    job = location.defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=location.instance, asset_selection=CHAIN, partition_key="cat", raise_on_error=False
    )


def test_what_hangs_on_the_videos_runs_behind_them_in_the_same_run(location):
    """Each partition still shows its own metadata and version, and the assets after it are fresh (d7)."""
    done = run_chain(location)
    assert done.success
    [order] = location.orders("cat", SET)
    [made] = done.asset_materializations_for_node("subtitles")
    assert made.metadata["bytes"].value == order.size_bytes
    shown = {asset: location.history(asset, "cat", SET)[0] for asset in ("prompts", "tasks", "videos")}
    assert shown["videos"][1].metadata["seedance/sha256"].value == order.sha256
    assert shown["tasks"][1].metadata["seedance/task_id"].value == order.task_id
    assert shown["prompts"][1].metadata["seedance/prompt"].value == "a cat"
    assert [event.tags["dagster/data_version"] for _, event in shown.values()] == [
        order.fingerprint,
        f"{order.fingerprint}-a1",
        order.sha256,
    ]
    pointers = {"videos": ("prompts", "tasks"), "tasks": ("prompts",)}
    for asset, upstream in pointers.items():
        for name in upstream:
            pointer = shown[asset][1].tags[f"dagster/input_event_pointer/{SET}/{name}"]
            assert pointer == str(shown[name][0])
    assert made.tags[f"dagster/input_event_pointer/{SET}/videos"] == str(shown["videos"][0])


def test_a_run_that_is_killed_between_the_two_leaves_nothing_unreported(location, monkeypatch):
    """Dagster has its events without metadata; the next run of the job reports the partition again (d7)."""
    with monkeypatch.context() as patch:
        patch.setattr(outputs, "Reporter", interrupted)
        assert not run_chain(location).success
    assert "seedance/sha256" not in location.newest("videos", "cat", SET).metadata
    monkeypatch.setattr(reports, "_REPORT_GRACE", reports._REPORT_GRACE * 0)
    assert location.advance().success
    [order] = location.orders("cat", SET)
    assert location.newest("videos", "cat", SET).metadata["seedance/sha256"].value == order.sha256
    assert location.reported(order) == "stored"


def interrupted(*_arguments: object) -> None:
    raise dg.DagsterExecutionInterruptedError


@pytest.mark.further
def test_a_run_with_assets_behind_it_fails_where_a_video_is_missing(location):
    """If a video is missing, no asset after the videos runs, so that none looks materialized (d7)."""
    location.write({"cat": "a cat", "dog": "a dog", "bad": "bad [fault:moderation]"}, SET)
    location.tick()
    assert not location.run("bad", name=SET).success
    assert location.run("bad", name=SET).success
    job = location.defs.resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(
        instance=location.instance, asset_selection=CHAIN, partition_key="bad", raise_on_error=False
    )
    assert not done.success
    assert location.history("videos", "bad", SET) == []


@pytest.mark.further
def test_discarded_videos_are_made_again(location):
    """A discarded video is paid for once more, and no more often than attempts are allowed."""
    tasks, attempts = location.books()["tasks"], len(location.orders("cat", SET))
    config = {"regenerate_discarded": True, "max_attempts": attempts + 1}
    assert location.run("cat", name=SET, config=config).success
    assert location.books()["tasks"] == tasks  # no verdict, or accepted
    with location.ledger() as ledger:
        ledger.verdicts.give(SET, {"cat": Judgement(Verdict.DISCARDED, "blurred")}, reviewer="ann")
    planned = location.plan(set=SET, regenerate_discarded=True).metadata["seedance/new_orders"]
    assert planned.value == 1
    assert location.run("cat", name=SET, config=config).success
    assert (location.books()["tasks"], len(location.orders("cat", SET))) == (tasks + 1, attempts + 1)
    with location.ledger() as ledger:
        ledger.verdicts.give(SET, {"cat": Judgement(Verdict.DISCARDED)}, reviewer="ann")
    done = location.run("cat", name=SET, config=config)
    assert f"not made again, since max_attempts is {attempts + 1}: cat" in done.log
    assert location.books()["tasks"] == tasks + 1
