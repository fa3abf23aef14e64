"""Orders that outlive their runs: tasks alone, edits and removals while in flight, killed runs."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import dagster as dg
import pytest
from code_location import QUIET, running_location
from plant_support import events_of

from seedance_dagster.defs.resources import open_services
from seedance_dagster.defs.steps import partitions
from seedance_dagster.defs.steps.reporter import Reporter
from seedance_dagster.engine.events import Event
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.submit import Submitter
from seedance_dagster.engine.worker import working
from seedance_dagster.ledger import reports
from seedance_dagster.ledger.order import State

pytestmark = [pytest.mark.integration, pytest.mark.further, QUIET]

PROMPTS = {"first": "one", "edited": "two", "removed": "three", "never": "four"}


@pytest.fixture(scope="module")
def location(s3_server, tmp_path_factory):
    """A code location of four prompts."""
    with running_location(tmp_path_factory.mktemp("orders"), s3_server, PROMPTS) as location:
        yield location


@pytest.fixture(scope="module")
def ordered(location):
    """A run of `tasks` alone for three of them, and the vendor's totals at its end."""
    return location.run("first", "removed", assets=("tasks",)), location.books()


def test_a_run_of_tasks_alone_returns_when_everything_is_ordered(location, ordered):
    """The run reports its orders as queued, sends nothing and waits for no video."""
    done, books = ordered
    assert done.success
    assert done.events_of("tasks") == [(key, "materialization") for key in ("first", "edited", "removed")]
    assert done.events_of("videos") == []
    assert books["posts"] == 0
    shown = location.newest("tasks", "first").metadata
    assert shown["seedance/state"].value == "queued"
    assert shown["seedance/task_id"].value == "not yet submitted"
    assert shown["seedance/points_held"].value == 0
    # The lineage needs a prompt to point to, selected or not.
    assert done.events_of("prompts") == [(key, "materialization") for key in ("first", "edited", "removed")]


async def submit(services: Services) -> None:
    """Send what is queued, and do nothing else."""

    async def ignore(_event: Event) -> None:
        return None

    async with working(services, "submitter") as worker:
        submitter = Submitter(worker, ignore)
        for order in await submitter.take(9, None):
            await submitter.handle(order)


@pytest.fixture(scope="module")
def changed(location, ordered):
    """One prompt edited and two removed while in flight, a tick before, and one run of the job after."""
    tick = location.tick()
    with open_services(location.instance, **open_resources(location)) as services:
        asyncio.run(submit(services))
    location.write({"first": "one", "edited": "two, at night"})
    location.tick()
    joined = location.run("first", "edited", assets=("tasks",))
    return tick, joined, location.advance()


def test_a_removed_prompt_keeps_its_partition_only_if_it_was_ordered(location, changed, monkeypatch):
    """The partition of an order stays visible; one without any order goes after a day."""
    assert location.partitions() == ["first", "edited", "removed", "never"]
    monkeypatch.setattr(partitions, "_KEPT", timedelta(0))
    location.tick()
    assert location.partitions() == ["first", "edited", "removed"]


def test_an_edit_is_reported_so_that_its_task_is_unsynced(location, ordered, changed):
    """The tick reports the edited prompt, and the first order points to an older event."""
    (edited_id, newest), (_, older) = location.history("prompts", "edited")
    assert newest.metadata["seedance/prompt"].value == "two, at night"
    assert newest.tags["dagster/data_version"] != older.tags["dagster/data_version"]
    first_task = location.history("tasks", "edited")[-1][1]
    assert int(first_task.tags["dagster/input_event_pointer/spots/prompts"]) < edited_id


def test_the_tick_requests_a_run_that_submits(changed):
    """Three queued orders are worth a run."""
    [request] = changed[0].run_requests
    assert (request.tags["seedance/submit"], request.tags["seedance/collect"]) == ("3", "0")


def test_an_order_in_flight_is_joined(location, changed):
    """Ordering the same again makes no second order, and the edited prompt gets its own."""
    assert "1 ordered, 1 on their way already" in changed[1].log
    assert len(location.orders("first")) == 1
    assert len(location.orders("edited")) == 2


def test_the_video_of_a_removed_prompt_is_collected(location, changed):
    """Removing a prompt loses no video that was paid for, and a later run reports it again."""
    [order] = location.orders("removed")
    assert order.state is State.STORED
    assert location.newest("videos", "removed").metadata["seedance/sha256"].value == order.sha256
    again = location.run("removed")
    assert again.success
    assert again.events_of("videos") == [("removed", "materialization")]
    assert again.events_of("prompts") == []


def test_both_videos_of_an_edited_prompt_are_kept_and_the_newest_is_shown(location, changed):
    """Both are in S3, and the partition shows the one of the current prompt."""
    old, new = location.orders("edited")
    assert old.state is new.state is State.STORED
    for order in (old, new):
        assert location.store.head(order.video_key) is not None
    assert location.newest("videos", "edited").metadata["seedance/fingerprint"].value == new.fingerprint
    assert location.newest("tasks", "edited").metadata["seedance/fingerprint"].value == new.fingerprint
    assert ("edited", "observation") in changed[2].events_of("videos")
    assert [key for key, kind in changed[2].events_of("videos") if kind == "materialization"].count(
        "edited"
    ) == 1
    video = location.newest("videos", "edited")
    assert (
        int(video.tags["dagster/input_event_pointer/spots/prompts"])
        == location.history("prompts", "edited")[0][0]
    )


def test_an_edit_taken_back_shows_the_first_video_again(location, changed):
    """The first video is reused at no cost, also by a run of `videos` alone."""
    tasks = location.books()["tasks"]
    old = location.orders("edited")[0]
    location.write({"first": "one", "edited": "two"})
    done = location.run("edited", assets=("videos",))
    assert done.success, done.message
    shown = location.newest("videos", "edited")
    assert shown.metadata["seedance/fingerprint"].value == old.fingerprint
    prompt_id, prompt = location.history("prompts", "edited")[0]
    assert prompt.tags["dagster/data_version"] == old.fingerprint
    assert shown.tags["dagster/input_event_pointer/spots/prompts"] == str(prompt_id)
    assert location.books()["tasks"] == tasks


def test_videos_alone_order_what_they_lack(location, changed):
    """A run of `videos` alone orders each missing video once, and reports its task as well."""
    location.write({"first": "one, in the rain", "edited": "two"})
    done = location.run("first", "edited", assets=("videos",))
    assert done.success, done.message
    assert done.events_of("videos")[-1] == ("first", "materialization")
    assert location.newest("tasks", "first").metadata["seedance/task_id"].value
    again = location.run("first", "edited", assets=("videos",))
    assert again.success, again.message
    assert len(location.orders("first")) == 2


def test_a_prompt_set_whose_file_is_gone_or_broken_fails_the_run(location, changed):
    """The run orders nothing, and its message names the file and the problem."""
    path = location.folder / "prompts" / "spots.json"
    before = path.read_text()
    path.write_text(before.replace('"duration": 4', '"duration": 40', 1))
    broken = location.run("first", assets=("tasks",))
    path.unlink()
    gone = location.run("first", assets=("tasks",))
    path.write_text(before)
    assert broken.message.startswith("nothing was ordered:\n")
    assert "spots.json" in broken.message
    assert "duration is 40; allowed are whole seconds from 4 to 15" in broken.message
    assert "contains no prompt set" in gone.message


def test_a_video_that_a_killed_run_did_not_report_is_reported(location, changed, monkeypatch):
    """The next run materializes a video that was stored and not reported, with its lineage."""
    location.write({"first": "one", "edited": "two", "late": "five"})
    location.skipped()
    location.run("late", assets=("tasks",))
    with open_services(location.instance, **open_resources(location)) as services:
        asyncio.run(events_of(services, owner="killed"))
    [order] = location.orders("late")
    assert (order.state, location.reported(order)) == (State.STORED, "ordered")
    assert "there are no open orders" in location.skipped()  # the worker that stored it may still report it
    monkeypatch.setattr(reports, "_REPORT_GRACE", reports._REPORT_GRACE * 0)
    assert isinstance(location.tick(), dg.SensorResult)
    done = location.advance()
    assert done.events_of("tasks") == [("late", "observation")] * 2, "its run had materialized the order"
    assert ("late", "materialization") in done.events_of("videos")
    assert location.newest("videos", "late").metadata["seedance/sha256"].value == order.sha256
    assert location.advance().events_of("videos") == []
    task_id, _ = location.history("tasks", "late")[0]
    video = location.newest("videos", "late")
    assert video.tags["dagster/input_event_pointer/spots/tasks"] == str(task_id)


def test_a_terminated_run_releases_its_orders(location, changed, monkeypatch):
    """It logs that its tasks continue, and the job stores their videos."""
    location.write({"first": "one", "edited": "two", "stopped": "seven"})
    location.tick()
    location.control("settings", render_seconds=0.5)

    def interrupted(self, event):
        raise dg.DagsterExecutionInterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "event", interrupted)
        stopped = location.run("stopped")
    assert not stopped.success
    [order] = location.orders("stopped")
    assert (order.state, order.lease_owner) == (State.SUBMITTED, None)
    [run] = location.instance.get_runs(limit=1)
    messages = [entry.user_message for entry in location.instance.all_logs(run.run_id)]
    assert any("the sensor starts the runs that store their videos" in message for message in messages)
    location.control("settings", render_seconds=0)
    assert location.advance().events_of("videos") == [("stopped", "materialization")]


def test_orders_go_out_before_anything_is_reported(location, changed, monkeypatch):
    """A run sends every POST before it reports a prompt; the job reports what the run leaves."""
    location.write({"first": "one", "edited": "two", "rain": "eight", "snow": "nine"})
    location.tick()
    posts = location.books()["posts"]
    deadline = time.monotonic() + 120

    def stopped(self, *_arguments):
        while location.books()["posts"] < posts + 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        raise dg.DagsterExecutionInterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "prompts", stopped)
        done = location.run("rain", "snow")
    assert not done.success
    assert done.events_of("prompts") == done.events_of("tasks") == []
    assert location.books()["posts"] == posts + 2
    monkeypatch.setattr(reports, "_REPORT_GRACE", reports._REPORT_GRACE * 0)
    done = location.advance()
    for asset in ("prompts", "tasks", "videos"):
        made = [key for key, kind in done.events_of(asset) if kind == "materialization"]
        assert sorted(made) == ["rain", "snow"]
    prompt_id, prompt = location.history("prompts", "rain")[0]
    assert prompt.metadata["seedance/prompt"].value == "eight"
    video = location.newest("videos", "rain")
    assert video.tags["dagster/input_event_pointer/spots/prompts"] == str(prompt_id)


@pytest.mark.long
def test_two_runs_of_the_job_share_the_work(location, changed):
    """With room for two runs, the second works too, and reports what the first does not."""
    location.write({"first": "one", "edited": "two", "shared": "ten"})
    location.tick()
    assert location.run("shared", assets=("tasks",)).success
    seedance = location.resources["seedance"].model_copy(update={"max_advancers": 2})
    with location.ledger() as ledger, location.using(seedance=seedance):
        assert ledger.leases.acquire("advance 1", "another run", seconds=60)
        assert location.advance().events_of("videos") == [("shared", "materialization")]
        assert ledger.leases.owners_of(["advance 1", "advance 2"]) == {"another run"}
        ledger.leases.release("advance 1", "another run")


@pytest.mark.long
def test_a_second_run_of_the_job_ends_at_once(location, changed):
    """While one run of the job works, another does nothing."""
    location.write({"first": "one", "edited": "two", "more": "six"})
    location.tick()
    location.run("more", assets=("tasks",))
    with location.ledger() as ledger:
        assert ledger.leases.acquire("advance 1", "another run", seconds=60)
        done = location.advance()
        assert done.success
        assert "enough runs of seedance_advance are working" in done.log
        assert "1 of 1 run of seedance_advance is working" in location.skipped()
        ledger.leases.release("advance 1", "another run")
    assert location.orders("more")[0].state is State.QUEUED
    assert location.advance().events_of("videos") == [("more", "materialization")]


def test_a_run_without_partitions_fails(location):
    """The message says to launch the run with partitions."""
    message = "no partitions are selected: launch the run with the partitions of the prompts"
    assert location.run(None).message == message


def open_resources(location) -> dict[str, object]:
    """Return the resources as a process gets them, for the engine alone."""
    resources = location.resources
    return {
        "seedance": resources["seedance"].process_config_and_initialize(),
        "video_store": location.direct_store,
        "ledger": resources["ledger"],
    }
