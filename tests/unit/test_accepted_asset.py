"""`<set>/accepted`: verdicts as events of Dagster, and accepted videos as inputs."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import dagster as dg
import pytest

from seedance_dagster import Video
from seedance_dagster.defs.accepted import build_accepted_asset
from seedance_dagster.defs.naming import DATA_VERSION_TAG, VIDEO_INPUTS, Names
from seedance_dagster.defs.steps.snapshot import DagsterSide
from seedance_dagster.defs.steps.verdicts import report_verdicts
from seedance_dagster.defs.video_inputs import VideoInputs
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.tables.schema import verdicts
from seedance_dagster.ledger.verdict import Judgement, Verdict
from seedance_dagster.restore.verdicts import missing_verdicts

KEY = dg.AssetKey(["spots", "accepted"])
A, D = Judgement(Verdict.ACCEPTED, "calm"), Judgement(Verdict.DISCARDED)


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def give(ledger, instance):
    """Gives verdicts and reports them, as a tick does."""

    def give(**judgements: Judgement) -> int:
        ledger.verdicts.give("spots", judgements, reviewer="ann")
        return report_verdicts(instance, ledger, "s3://videos/{}".format)

    return give


def materialized(instance) -> list[dg.AssetMaterialization]:
    records = instance.fetch_materializations(KEY, limit=100).records
    return [record.asset_materialization for record in records]


def test_an_accepted_video_is_a_materialization(instance, give, orders):
    """Its data version is of the bytes and the verdict; a discarded one is none."""
    order = orders.make_many(State.STORED, "cat", "dog")[0]
    assert give(cat=A, dog=D) == 2
    [event] = materialized(instance)
    assert (event.partition, event.tags[DATA_VERSION_TAG]) == ("cat", f"{order.sha256}-accepted")
    assert event.metadata["seedance/note"].value == "calm"
    assert event.metadata["dagster/uri"].value == f"s3://videos/{order.video_key}"
    assert instance.fetch_observations(KEY, limit=10).records == []


def test_what_is_taken_back_is_observed(instance, give, orders, ledger):
    """A verdict that is taken back is observed once, beside the materialization."""
    orders.make(State.STORED, "cat")
    give(cat=A)
    ledger.verdicts.undo("spots", ["cat"], reviewer="bob")
    assert report_verdicts(instance, ledger, str) == 1
    assert report_verdicts(instance, ledger, str) == 0
    [record] = instance.fetch_observations(KEY, limit=10).records
    assert record.asset_observation.metadata["seedance/verdict"].value == "undecided"
    assert len(materialized(instance)) == 1


def test_a_restoration_reads_what_was_reported(instance, give, orders, ledger, clock):
    """A restoration adds nothing to the ledger that reported, and everything to a new one."""
    order = orders.make(State.STORED, "cat")
    clock.forward(seconds=0.123457)
    give(cat=A)
    clock.forward(seconds=0.1)
    ledger.verdicts.undo("spots", ["cat"], reviewer="bob")
    report_verdicts(instance, ledger, str)
    side, remains = DagsterSide(instance, None), SimpleNamespace(orders=[order], sets=(), folders=())
    assert missing_verdicts(ledger, side, remains, ()) == ()
    with ledger._database.writing() as connection:
        connection.execute(verdicts.delete())
    accepted, taken_back = missing_verdicts(ledger, side, remains, ())
    assert (accepted.verdict, accepted.reviewer, accepted.note) == (Verdict.ACCEPTED, "ann", "calm")
    assert (taken_back.verdict, taken_back.reviewer, taken_back.note) == (Verdict.UNDECIDED, "bob", "")


def test_only_the_newest_verdict_is_reported(instance, ledger, orders):
    """A verdict that was taken back before its report, or is on bytes that are gone, is not reported."""
    orders.make_many(State.STORED, "cat", "dog")
    ledger.verdicts.give("spots", {"cat": A, "dog": A}, reviewer="ann")
    ledger.verdicts.give("spots", {"cat": D}, reviewer="ann")
    orders.make(State.STORED, "dog")
    assert report_verdicts(instance, ledger, str) == 3
    assert materialized(instance) == []


def test_an_event_is_reported_again_where_it_was_not_noted(instance, ledger, orders, monkeypatch):
    """At least once: a process that dies between the event and its note leaves the verdict unreported."""
    orders.make(State.STORED, "cat")
    ledger.verdicts.give("spots", {"cat": A}, reviewer="ann")
    with monkeypatch.context() as patch:
        patch.setattr(ledger.verdicts, "mark_reported", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            report_verdicts(instance, ledger, str)
    assert report_verdicts(instance, ledger, str) == 1
    assert len(materialized(instance)) == 2


def test_an_asset_behind_it_gets_accepted_videos_only(instance, ledger, orders):
    """An asset after it gets a dict of accepted videos; a requested one that is not accepted is named."""
    orders.make_many(State.STORED, "cat", "dog")
    ledger.verdicts.give("spots", {"cat": A, "dog": D}, reviewer="ann")
    got: list[object] = []
    partitions = dg.DynamicPartitionsDefinition(name="spots_prompts")
    instance.add_dynamic_partitions("spots_prompts", ["cat", "dog"])

    @dg.asset(ins={"videos": dg.AssetIn(key=KEY, partition_mapping=dg.AllPartitionMapping())})
    def reel(videos: dict[str, Video]) -> None:
        got.append(set(videos))

    @dg.asset(ins={"video": dg.AssetIn(key=KEY)}, partitions_def=partitions)
    def clip(video: Video) -> None:
        got.append(video.partition)

    store = SimpleNamespace(open_store=lambda: SimpleNamespace(uri="s3://videos/{}".format))
    inputs = VideoInputs(instance, SimpleNamespace(open_ledger=lambda _: nullcontext(ledger)), store)
    defs = dg.Definitions(
        [reel, clip, build_accepted_asset(Names(), "spots")], resources={VIDEO_INPUTS: inputs}
    )
    job = defs.resolve_implicit_global_asset_job_def()

    def run(asset: str, partition: str | None = None) -> dg.ExecuteInProcessResult:
        return job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(asset)],
            partition_key=partition,
            raise_on_error=False,
        )

    assert run("reel").success
    assert run("clip", "cat").success
    assert got == [{"cat"}, "cat"]
    [failure] = [event for event in run("clip", "dog").all_events if event.is_step_failure]
    assert "spots/accepted: the video of dog is not accepted; accept it in review first" in str(
        failure.step_failure_data
    )
