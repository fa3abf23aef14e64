"""The declarations that a code location has for scores, and the runs that the sensor asks for."""

from __future__ import annotations

import dagster as dg
import pytest
from factories import make_prompt_set
from order_factory import OrderFactory
from stores import MemoryStore

from seedance_dagster import (
    PromptSet,
    PromptsFromAsset,
    Score,
    SeedanceResource,
    VideoStoreResource,
    build_seedance_definitions,
)
from seedance_dagster.defs.naming import Names
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.steps.scores import SCORE_LEASE, score_requests
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.score_results import ScoreResult
from seedance_dagster.ledger.scored_videos import Scored
from seedance_dagster.prompts.thresholds import Threshold, WantedScore
from seedance_dagster.scores.checks import NEAR_DUPLICATES, checked_scores, checks_of
from seedance_dagster.scores.errors import ScoreError
from seedance_dagster.scores.plan import ScorePlan, plan_of

SIZE = Score("size", "1", lambda _: {"size": 1.0}, ("size",))


def scored_set(*wanted: WantedScore) -> PromptSet:
    return PromptSet("spots", make_prompt_set("a cat").prompts, scores=wanted)


def build(*sets: PromptSet, **options) -> dg.Definitions:
    return build_seedance_definitions(
        sets, seedance=SeedanceResource(), video_store=VideoStoreResource(), **options
    )


def declared(defs: dg.Definitions) -> set[str]:
    writer = dg.Definitions(assets=[dg.AssetSpec("writer")])
    defs = dg.Definitions.merge(defs, writer)
    keys = {key.to_user_string() for key in defs.resolve_all_asset_keys()}
    return {key for key in keys if key.endswith("/scores")}


def test_only_sets_with_scores_have_the_asset():
    """Those of the code location are for all sets, also for one whose prompts another asset makes."""
    assert declared(build(make_prompt_set("a", name="plain"), scored_set(WantedScore("motion")))) == {
        "spots/scores"
    }
    table = PromptsFromAsset(name="written", asset="writer", path_metadata="path")
    assert declared(build(make_prompt_set("a"), scores=[SIZE], from_asset=[table])) == {
        "spots/scores",
        "written/scores",
    }
    wanted = ["cuts", {"motion": ">0.1"}]
    own = PromptsFromAsset(name="written", asset="writer", path_metadata="path", scores=wanted)
    defs = build(make_prompt_set("a"), from_asset=[own])
    assert declared(defs) == {"written/scores"}
    assert {key.name for key in defs.resolve_asset_graph().asset_check_keys} >= {"score_motion"}


def test_two_scores_of_a_name_are_refused_when_the_definitions_are_built():
    """Two scores of one name are refused when the definitions are built."""
    with pytest.raises(ScoreError, match="two scores are named 'size'"):
        build(make_prompt_set("a"), scores=[SIZE, Score("size", "1", lambda _: {}, ("weight",))])


@pytest.fixture
def services(ledger, clock) -> Services:
    return Services(ledger=ledger, open_client=lambda: None, store=MemoryStore(), clock=clock)


@pytest.fixture
def keys(services):
    """The keys of the runs that a tick asks for, with some sets and scores of the code location."""

    def keys(*sets: PromptSet, own: tuple[Score, ...] = (SIZE,)) -> list[str | None]:
        source = PromptSource(sets, scores=own)
        return [request.run_key for request in score_requests(Names(), services, source, sets)]

    return keys


def test_a_run_is_asked_for_once_for_each_change_and_later_again(keys, orders, ledger, clock):
    """Not before there is a video, nor while a run scores."""
    spots = make_prompt_set("a")
    assert keys(spots) == []
    orders.make(State.STORED, "cat")
    first = keys(spots)
    assert len(first) == 1
    assert keys(spots) == first
    orders.make(State.STORED, "dog")
    second = keys(spots)
    assert second != first
    clock.forward(minutes=10)
    assert keys(spots) not in (first, second)
    ledger.leases.acquire(SCORE_LEASE, "run 1", seconds=60)
    assert keys(spots) == []


def test_sets_without_scores_ask_for_no_run(keys, orders, ledger):
    """Their changes are forgotten; those of sets that other code locations have are not."""
    orders.make(State.STORED, "cat")
    orders.make(State.STORED, "fox", prompt_set="others")
    assert keys(make_prompt_set("a"), own=()) == []
    assert ledger.scored.changes("spots", "")[0].partitions == frozenset()
    assert ledger.scored.changes("others", "")[0].partitions == {"fox"}


def test_checks_name_near_duplicates(ledger, clock):
    """Each with the earlier video that it resembles; a final is the same shot as its draft."""
    orders = OrderFactory(ledger, clock)
    plan, _ = plan_of(scored_set(WantedScore("phash")), ())
    assert plan is not None
    for key, digits in {"cat": "0", "dog": "f", "cat.final": "0", "cow": "0"}.items():
        order = orders.make(State.STORED, key)
        values = {"phash": digits * 128}
        ledger.scores.record(order.sha256, [ScoreResult(score="phash", version="1", values=values)])
        ledger.scored.mark_reported("spots", {key: Scored("d", None)})
    result = checked_scores(ledger, plan)[NEAR_DUPLICATES]
    assert dict(result.reasons) == {"cow": "looks nearly like cat"}
    assert result.summary == "3 of 4 videos pass"


def test_each_threshold_is_a_check():
    """With what it asks for; a set whose rule alone decides has none."""
    limits = {"size": Threshold.parse("<3"), "motion": Threshold.parse(">=0.1")}
    plan = ScorePlan(prompt_set="spots", scores=(SIZE,), thresholds=limits)
    checks = checks_of(plan)
    assert set(checks) == {"scores_measured", "score_size", "score_motion"}
    assert checks["score_size"] == "Every video that has a value size has size <3."
    assert checks_of(ScorePlan(prompt_set="spots", scores=())) == {}
