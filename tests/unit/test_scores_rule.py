"""The rule of a set accepts videos by their scores and checks, and never speaks after a person."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
from stores import MemoryStore

from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.errors import VerdictError
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.score_results import ScoreResult
from seedance_dagster.ledger.verdict import Judgement, Verdict
from seedance_dagster.prompts.thresholds import AcceptRule, Threshold
from seedance_dagster.scores.plan import ScorePlan
from seedance_dagster.scores.run import ScoringRun
from seedance_dagster.scores.score import Score

MOTION = Score("motion", "1", lambda _: {}, ("motion",))
LOG = logging.getLogger("tests")
# A video of four seconds, as it was asked for, with a poster.
WHOLE = {"duration_s": 5.0, "width": 1280, "height": 720, "codec": "h264"}


@pytest.fixture
def services(ledger, clock) -> Services:
    store = MemoryStore()
    store.client = SimpleNamespace(close=lambda: None)
    return Services(ledger=ledger, open_client=lambda: None, store=store, clock=clock)


@pytest.fixture
def video(ledger, orders):
    """Stores a video whose motion is known."""

    def video(partition: str, motion: float | None, *, version: str = "1", **more):
        sha256 = f"{partition}-{motion}"
        order = orders.make(State.STORED, partition, artifacts={"sha256": sha256, **WHOLE, **more})
        values = {} if motion is None else {"motion": motion}
        ledger.scores.record(sha256, [ScoreResult(score="motion", version=version, values=values)])
        return order

    return video


def judge(services, *, all_checks: bool = True, **scores: str) -> dict[str, str]:
    """Apply a rule to what changed; return all verdicts as "verdict by reviewer"."""
    rule = AcceptRule(all_checks, {name: Threshold.parse(text) for name, text in scores.items()})
    plan = ScorePlan(prompt_set="spots", scores=(MOTION,), accept=rule)
    list(ScoringRun(services, plan, LOG).of_changes())
    judgements = services.ledger.verdicts.current("spots")
    return {name: f"{judgement.verdict} by {judgement.reviewer}" for name, judgement in judgements.items()}


def test_a_video_that_meets_the_rule_is_accepted(services, video, ledger):
    """One that does not stays undecided: a person looks at it, and nothing is paid for again."""
    video("cat", 0.3)
    video("dog", 0.1)
    video("cow", None)
    video("fox", 0.4, duration_s=2.0)
    assert judge(services, motion=">=0.2") == {"cat": "accepted by rule"}
    [judgement] = ledger.verdicts.history("spots", "cat")
    assert (judgement.note, judgement.sha256) == ("all checks, motion>=0.2", "cat-0.3")


def test_without_checks_the_scores_alone_decide(services, video):
    """Without checks in the rule, the scores alone decide."""
    video("fox", 0.4, duration_s=2.0)
    assert judge(services, all_checks=False, motion=">=0.2") == {"fox": "accepted by rule"}


def test_a_score_with_a_problem_leaves_the_video_to_a_person(services, video, ledger):
    """A doubt accepts nothing, even where the rule does not name the score."""
    order = video("cat", 0.3)
    failed = ScoreResult(score="motion", version="1", values={}, problem="took longer than 60 s")
    ledger.scores.record(order.sha256, [failed])
    assert judge(services) == {}


def test_another_rule_judges_again(services, video, ledger):
    """A verdict of the rule is taken back where the new one does not hold."""
    video("cat", 0.3)
    assert judge(services, motion=">=0.2") == {"cat": "accepted by rule"}
    assert judge(services, motion=">=0.4") == {"cat": "undecided by rule"}
    assert judge(services, motion=">=0.4") == {"cat": "undecided by rule"}
    assert judge(services, motion=">=0.1") == {"cat": "accepted by rule"}
    assert len(ledger.verdicts.history("spots", "cat")) == 3


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_person_overrides_the_rule(services, video, ledger, verdict):
    """Before it or after it, and for good; another video is the rule's again."""
    video("cat", 0.3)
    video("dog", 0.3)
    ledger.verdicts.give("spots", {"cat": Judgement(verdict)}, reviewer="ann")
    assert judge(services, motion=">=0.2") == {"cat": f"{verdict} by ann", "dog": "accepted by rule"}
    ledger.verdicts.give("spots", {"dog": Judgement(verdict)}, reviewer="ann")
    assert judge(services, motion=">=0.1") == {"cat": f"{verdict} by ann", "dog": f"{verdict} by ann"}
    video("cat", 0.25)
    assert judge(services, motion=">=0.1")["cat"] == "accepted by rule"


def test_what_a_person_took_back_stays_so(services, video, ledger):
    """The rule accepts it no second time."""
    video("cat", 0.3)
    judge(services, motion=">=0.2")
    ledger.verdicts.undo("spots", ["cat"], reviewer="ann")
    assert judge(services, motion=">=0.1") == {"cat": "undecided by ann"}


def test_the_name_of_the_rule_is_no_persons(ledger, video):
    """Its verdicts would be taken for the rule's."""
    video("cat", 0.3)
    with pytest.raises(VerdictError, match="the reviewer 'rule' stands for the rule of a set; give another"):
        ledger.verdicts.give("spots", {"cat": Judgement(Verdict.ACCEPTED)}, reviewer="rule")
    with pytest.raises(VerdictError, match="give another name"):
        ledger.verdicts.undo("spots", ["cat"], reviewer="rule")
    assert ledger.verdicts.history("spots", "cat") == []


def test_a_video_that_was_replaced_meanwhile_gets_no_verdict(services, video, ledger):
    """The rule looked at other bytes."""
    old = video("cat", 0.3)
    video("cat", 0.4)
    assert ledger.verdicts.decide("spots", "cat", old.sha256, Verdict.ACCEPTED, "") is None
    assert ledger.verdicts.current("spots") == {}
