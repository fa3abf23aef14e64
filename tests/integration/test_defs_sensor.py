"""Ticks of the sensor, and the messages about settings that are missing or wrong."""

from __future__ import annotations

from types import SimpleNamespace

import dagster as dg
import pytest
import sqlalchemy as sa
from code_location import QUIET, running_location, video_store
from harness import API_KEY

from seedance_dagster import LedgerResource, SeedanceResource, VideoStoreResource
from seedance_dagster.defs.naming import ADVANCE_JOB
from seedance_dagster.defs.steps import tick
from seedance_dagster.defs.steps.advancers import run_owner
from seedance_dagster.engine.runtime.run_decision import RunDecision
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.tables.schema import VERSION_TABLE
from seedance_dagster.storage import deferred

pytestmark = [pytest.mark.integration, QUIET]


@pytest.fixture(scope="module")
def location(s3_server, tmp_path_factory):
    """A code location with one queued order, which no test submits."""
    with running_location(
        tmp_path_factory.mktemp("sensor"), s3_server, {"one": "one", "two": "two"}
    ) as location:
        assert location.run("one", assets=("tasks",)).success
        yield location
        assert [order.state for order in location.orders("one")] == [State.QUEUED]
        assert location.books()["posts"] == 0


@pytest.fixture
def busy(location):
    """Another run of the job works, so that no tick requests one."""
    with location.ledger() as ledger:
        ledger.leases.acquire("advance 1", "another run", seconds=60)
        yield
        ledger.leases.release("advance 1", "another run")


@pytest.mark.further
def test_a_queued_order_is_worth_a_run(location):
    """The tick requests one run by the ledger's content, and keeps no cursor."""
    answer = location.tick()
    [request] = answer.run_requests
    assert request.tags["dagster/priority"] == "10"
    assert answer.cursor is None


def test_one_run_at_a_time(location, monkeypatch):
    """No run is requested while another starts, and a killed one does not block for long."""
    [request] = location.tick().run_requests
    job = location.defs.resolve_job_def(ADVANCE_JOB)
    elsewhere = request.tags | {"seedance/ledger": "another team's"}
    runs = [
        location.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
        for tags in (elsewhere, request.tags)
    ]
    try:
        assert "1 of 1 run of seedance_advance is working; 1 order is queued" in location.skipped()
        with monkeypatch.context() as patch:
            patch.setattr(tick, "_STARTING_S", 0.0)  # as if it had been requested long ago
            assert isinstance(location.tick(), dg.SensorResult)
        location.instance.delete_run(runs.pop().run_id)
        assert isinstance(location.tick(), dg.SensorResult)
    finally:
        for run in runs:
            location.instance.delete_run(run.run_id)


@pytest.fixture
def much(monkeypatch):
    """So many orders are ready that three runs could share them."""
    decision = RunDecision(submit=80, collect=0, report=0, runs=3)
    monkeypatch.setattr(tick, "decide_run", lambda *_args, **_rest: decision)


@pytest.mark.long
def test_runs_share_a_lot_of_work(location, much):
    """The tick requests as many runs as the work needs and the limit allows, minus those under way."""
    url = location.emulator.url
    seedance = SeedanceResource(api_key=API_KEY, base_url=url, max_advancers=4)
    runs = []
    with location.using(seedance=seedance), location.ledger() as ledger:
        requests = location.tick().run_requests
        assert len(requests) == 3
        job = location.defs.resolve_job_def(ADVANCE_JOB)
        try:
            for status in (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED):
                tags = requests[0].tags
                runs.append(location.instance.create_run_for_job(job, status=status, tags=tags).run_id)
            assert len(location.tick().run_requests) == 1
            ledger.leases.acquire("advance 2", run_owner(runs[1]), seconds=60)
            assert len(location.tick().run_requests) == 1, "the run that started holds its lease now"
            ledger.leases.acquire("advance 1", "another run", seconds=60)
            assert "3 of 4 runs of seedance_advance are working" in location.skipped()
        finally:
            for run_id in runs:
                location.instance.delete_run(run_id)
            ledger.leases.release("advance 1", "another run")
            ledger.leases.release("advance 2", run_owner(runs[1]))


def test_one_run_is_the_limit_by_default(location, much):
    """By default one run is the limit, however much there is to do."""
    assert len(location.tick().run_requests) == 1


def test_no_run_is_requested_behind_a_queued_one(location, monkeypatch):
    """No run is requested while an earlier one waits in Dagster's queue, however long."""
    queued = SimpleNamespace(dagster_run=SimpleNamespace(run_id="a run"))

    def records(filters, limit):
        return [queued][:limit] if dg.DagsterRunStatus.QUEUED in filters.statuses else []

    monkeypatch.setattr(location.instance, "get_run_records", records)
    assert "1 of 1 run of seedance_advance is working" in location.skipped()


def test_a_broken_prompt_file_is_named_while_others_are_synced(location, busy):
    """The reason names the file, the field and the first prompts."""
    broken = location.folder / "prompts" / "broken.json"
    try:
        location.write({f"p{n}": {"prompt": "x", "duration": 40} for n in range(12)}, name="broken")
        location.write({"one": "one", "two": "two", "three": "three"})
        reason = location.skipped()
    finally:
        broken.unlink()
    assert "errors in prompt files" in reason
    assert (
        f"{broken}, prompt 1 (p0), prompt 2 (p1), prompt 3 (p2) and 9 more: duration is 40; allowed" in reason
    )
    assert location.partitions() == ["one", "two", "three"]
    assert location.partitions("broken") == []


def test_a_tick_that_requests_nothing_makes_no_s3_client(location, busy, monkeypatch):
    """A client takes 0.3 s of CPU time, and ticks come twice a minute."""
    monkeypatch.setattr(deferred, "create_client", lambda _factory: pytest.fail("a client was made"))
    assert "1 of 1 run of seedance_advance is working" in location.skipped()


@pytest.mark.long
def test_many_edits_are_reported_over_several_ticks(location, monkeypatch):
    """A tick reports a bounded number of edits, and the next ticks the rest."""
    location.write({"one": "one", "two": "two", "three": "three"})
    location.tick()
    location.run("two", "three", assets=("prompts",))
    location.write({"one": "one", "two": "two, edited", "three": "three, edited"})
    monkeypatch.setattr(tick, "_CHANGES_PER_TICK", 1)
    for events in (3, 4, 4):
        location.tick()
        assert sum(len(location.history("prompts", key)) for key in ("two", "three")) == events


def test_a_vendor_that_hangs_does_not_block_the_tick(location, busy, monkeypatch):
    """A tick ends before Dagster abandons it, and says why nothing was polled."""
    monkeypatch.setattr(tick, "_POLL_END_S", 0.2)
    location.control("settings", hang_seconds=1)
    location.control("outage", kind="hang", scope="api", seconds=60)
    try:
        assert "the vendor did not answer within 0 s; the next tick tries again" in location.skipped()
    finally:
        location.control("outage", kind="hang", scope="api", seconds=0)


def test_without_a_url_the_ledger_is_under_dagster_home(location):
    """By default the ledger is beside Dagster's own storage; one that is new there orders nothing (m36)."""
    with location.using(ledger=None):
        assert (
            f"spots: this Dagster instance orders from the ledger sqlite:///{location.folder}/"
            in location.skipped()
        )
    assert (location.folder / "home" / "seedance" / "ledger.db").is_file()


def newer_ledger(location) -> str:
    url = f"sqlite:///{location.folder}/newer.db"
    with LedgerResource(url=url).open_ledger(location.instance):
        pass
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '0999'"))
    engine.dispose()
    return url


@pytest.fixture(scope="module")
def settings(location, s3_server):
    """Wrong settings, each with the words that its message must contain, by name."""
    url = location.emulator.url
    return {
        "no key": ({"seedance": SeedanceResource(base_url=url)}, "no API key: set GOAPI_API_KEY"),
        "a wrong key": (
            {"seedance": SeedanceResource(base_url=url, api_key="sk-wrong-secret")},
            "GOAPI_API_KEY",
        ),
        "an address that is none": (
            {"seedance": SeedanceResource(base_url="http://[", api_key=API_KEY)},
            "GOAPI_BASE_URL must be https",
        ),
        "no bucket": ({"video_store": VideoStoreResource()}, "no bucket: set SEEDANCE_S3_BUCKET"),
        "a missing bucket": (
            {"video_store": video_store(s3_server, "x", s3_server.secret_key, bucket="nowhere")},
            "the bucket 'nowhere' does not exist",
        ),
        "wrong AWS credentials": (
            {"video_store": video_store(s3_server, "x", "aws-wrong-secret")},
            "AWS",
        ),
        "a ledger that cannot be opened": (
            {"ledger": LedgerResource(url="sqlite:////proc/none/ledger.db")},
            "the ledger's folder cannot be created",
        ),
        "a ledger of another kind": (
            {"ledger": LedgerResource(url="mysql://me:db-secret@host/x")},
            "(SEEDANCE_LEDGER_URL) names mysql",
        ),
        "a newer ledger": (
            {"ledger": LedgerResource(url=newer_ledger(location))},
            "upgrade seedance-dagster; nothing was changed or submitted",
        ),
    }


WRONG = [
    "no key",
    "a missing bucket",
    "a newer ledger",
]
MORE_WRONG = [
    "a wrong key",
    "an address that is none",
    "no bucket",
    "wrong AWS credentials",
    "a ledger that cannot be opened",
    "a ledger of another kind",
]


@pytest.mark.parametrize(
    "case", [*WRONG, *(pytest.param(case, marks=pytest.mark.further) for case in MORE_WRONG)]
)
def test_a_wrong_setting_fails_its_first_run(location, settings, capfd, case):
    """The definitions load, the run fails with a message and without a secret, and nothing is ordered."""
    resources, words = settings[case]
    with location.using(**resources):
        done = location.run("two", assets=("tasks",))
        assert words in done.message
    assert location.orders("two") == []
    everything = done.message + done.log + "".join(capfd.readouterr())
    assert "secret" not in everything.replace("AWS_SECRET", "").replace("and its secret", "")


@pytest.mark.parametrize("case", ["no key", "an address that is none", "a newer ledger"])
def test_a_wrong_setting_is_the_reason_of_a_skipped_tick(location, settings, case):
    """The tick says what to set, and requests no run that could do nothing."""
    resources, words = settings[case]
    with location.using(**resources):
        assert words in location.skipped()


@pytest.mark.parametrize("case", ["no key", "a newer ledger"])
def test_a_wrong_setting_fails_the_job_and_a_waiting_run(location, settings, case):
    """The job, and a run that only waits for earlier orders, fail with the same message."""
    resources, words = settings[case]
    with location.using(**resources):
        assert words in location.advance().message
        assert words in location.run("one").message


@pytest.mark.further
def test_an_endpoint_that_boto3_refuses_is_a_wrong_setting(location):
    """Run and tick both say that S3 cannot be reached."""
    from dagster_aws.s3 import S3Resource

    wrong = VideoStoreResource(bucket="videos", s3=S3Resource(endpoint_url="no url", region_name="x"))
    with location.using(video_store=wrong):
        assert "S3 cannot be reached with these settings" in location.run("two", assets=("tasks",)).message
        assert "S3 cannot be reached with these settings" in location.skipped()
