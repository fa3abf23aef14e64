"""Running scores: what is missing is measured, and a bad score harms nothing but itself."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import signal
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from factories import PREFIX
from order_factory import OrderFactory
from stores import MemoryStore

from seedance_dagster.datasets.video import Video
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import State
from seedance_dagster.prompts.thresholds import Threshold
from seedance_dagster.scores import child
from seedance_dagster.scores.child import CAN_FORK
from seedance_dagster.scores.plan import ScorePlan
from seedance_dagster.scores.run import ScoringRun
from seedance_dagster.scores.score import Score
from seedance_dagster.storage.errors import StoreError

LOG = logging.getLogger("tests")
CONTENT = b"bytes of a video"


class Measured:
    """A score that counts in a file how often it was called, in whatever process."""

    def __init__(self, folder) -> None:
        self.path = folder / "calls"

    def __call__(self, video: Video) -> dict[str, float]:
        with self.path.open("a") as file:
            file.write(video.partition + "\n")
        return {"size": len(video.read_bytes())}

    @property
    def calls(self) -> list[str]:
        return self.path.read_text().split() if self.path.exists() else []


@pytest.fixture
def measured(tmp_path) -> Measured:
    return Measured(tmp_path)


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.client = SimpleNamespace(close=lambda: None)
    return store


@pytest.fixture
def orders(ledger, clock) -> OrderFactory:
    return OrderFactory(ledger, clock, prefix=PREFIX)


@pytest.fixture
def services(ledger, store, clock) -> Services:
    return Services(ledger=ledger, open_client=lambda: None, store=store, clock=clock)


@pytest.fixture
def stored(orders, store):
    """Stores videos with some bytes, and returns their orders."""

    def stored(*partitions: str, content: bytes = CONTENT):
        made = []
        for number, key in enumerate(partitions):
            own = content + b"%d" % number
            digest = hashlib.sha256(own).hexdigest()
            order = orders.make(State.STORED, key, artifacts={"sha256": digest})
            store.objects[order.video_key] = own
            made.append(order)
        return made

    return stored


def score(measure, name: str = "size", version: str = "1", **more) -> Score:
    return Score(name, version, measure, **{"values": (name,)} | more)


def plan(*scores: Score, **more) -> ScorePlan:
    return ScorePlan(prompt_set="spots", scores=scores, **more)


def changed(services, wanted: ScorePlan, **more) -> dict[str, dict]:
    """Run a pass over what changed; return the values of each video that was scored."""
    done = list(ScoringRun(services, wanted, LOG, **more).of_changes())
    return {
        scored.video.partition: {
            name: result.problem or dict(result.values) for name, result in scored.results.items()
        }
        for scored in done
    }


def test_videos_are_scored_once(services, stored, measured):
    """Then again only for new bytes, or by another version; equal bytes are measured once."""
    stored("cat", "dog")
    assert changed(services, plan(score(measured))) == {key: {"size": {"size": 17}} for key in ("cat", "dog")}
    assert changed(services, plan(score(measured))) == {}
    assert measured.calls == ["cat", "dog"]
    stored("cow")  # has the bytes of the first
    assert list(changed(services, plan(score(measured)))) == ["cow"]
    stored("cat", content=b"another")
    assert list(changed(services, plan(score(measured)))) == ["cat"]
    assert measured.calls == ["cat", "dog", "cat"]
    assert sorted(changed(services, plan(score(measured, version="2")))) == ["cat", "cow", "dog"]
    assert measured.calls[3:] == ["cat", "dog", "cow"]


def test_a_set_without_videos_is_finished(services, ledger, measured):
    """A set without videos is finished, and its plan remembered."""
    assert changed(services, plan(score(measured))) == {}
    assert ledger.scored.due_sets({"spots": plan(score(measured)).digest}) == {}


def raises(video):
    raise ZeroDivisionError(f"of {video.partition} at https://me:pw@host/x?sig=1")


def hangs(_video):
    time.sleep(60)


def kills_itself(_video):
    os.kill(os.getpid(), 9)


def exits(_video):
    sys.exit(3)


@pytest.mark.parametrize(
    ("measure", "problem"),
    [
        (raises, "ZeroDivisionError: of cat at https://host/x (test_scores_run.py, line "),
        (lambda _: {"bad": math.nan}, "returned nan as bad, which is not a finite number"),
        (lambda _: {"bad": math.inf}, "returned inf as bad, which is not a finite number"),
        (lambda _: {"bad": 10**400}, "returned 1000"),
        (lambda _: {"bad": [1]}, "returned [1] as bad, which is not a number, a text, or true or false"),
        (lambda _: {"bad": None}, "returned None as bad, which is not a number"),
        (lambda _: {"bad": "x" * 20_000}, "returned 'xxx"),
        (lambda _: {"bad": "\0"}, "returned '\\x00' as bad, a text that cannot be stored"),
        (lambda _: {"other": 1.0}, "returned a value 'other', which is not among its values: bad"),
        (lambda _: 0.5, "returned 0.5; it must return a mapping of names to values"),
        (hangs, "took longer than 0.3 s"),
        *(
            [
                (kills_itself, "made its process crash (SIGKILL)"),
                (exits, "ended its process (status 3)"),
            ]
            if CAN_FORK
            else []
        ),
    ],
)
def test_a_bad_score_is_named_and_the_others_go_on(
    services, stored, measured, ledger, measure, problem, caplog
):
    """It is recorded with its reason, and not tried again until it is asked for."""
    cat, _ = stored("cat", "dog")
    wanted = plan(score(measure, "bad", timeout_s=0.3), score(measured))
    results = changed(services, wanted)
    assert results["cat"]["bad"].startswith(problem)
    assert results["cat"]["size"] == results["dog"]["size"] == {"size": 17}
    assert f"spots/cat: score 'bad' {problem}" in caplog.text
    assert ledger.scored.problems("spots")["cat"]["scores_measured"].startswith(f"bad {problem}")
    assert ledger.scores.results([cat.sha256])[cat.sha256]["bad"].problem.startswith(problem)
    assert changed(services, wanted) == {}
    assert measured.calls == ["cat", "dog"]


def test_a_score_that_failed_is_measured_again_when_asked_for(services, stored, measured):
    """On request a failed score is measured again, but not those with values."""
    stored("cat", "dog")
    changed(services, plan(score(raises, "bad"), score(measured)))
    repaired = plan(score(lambda _: {"bad": 1.0}, "bad"), score(measured))
    [again] = ScoringRun(services, repaired, LOG).of_partitions(["cat"])
    assert again.results["bad"].values == {"bad": 1.0}
    assert again.scored.problems is None
    assert measured.calls == ["cat", "dog"]


def test_values_of_numpy_are_plain_numbers(services, stored):
    """And whole numbers stay so; a score may leave a value out."""
    stored("cat")
    values = {"a": np.float32(0.5), "b": np.int64(2), "c": np.bool_(True), "d": "calm", "e": True, "f": 3}
    wanted = plan(Score("many", "1", lambda _: values, (*"abcdefg",)))
    assert changed(services, wanted)["cat"]["many"] == {**values, "a": 0.5, "b": 2, "c": True}


def test_a_thread_takes_the_place_of_a_process(services, stored, monkeypatch):
    """Scores run in a thread if forking is not safe, and one that hangs is abandoned."""
    monkeypatch.setattr(child.ScoreRunner.__init__, "__kwdefaults__", {"can_fork": False})
    stored("cat")
    wanted = plan(score(hangs, "slow", timeout_s=0.1), score(lambda _: {"pid": os.getpid()}, "pid"))
    results = changed(services, wanted)
    assert results == {"cat": {"slow": "took longer than 0.1 s", "pid": {"pid": os.getpid()}}}


@pytest.mark.skipif(not CAN_FORK, reason="a thread takes its place")
def test_one_process_scores_all_videos(services, stored):
    """It lives on from video to video, so that a model is loaded once."""
    stored("cat", "dog")
    results = changed(services, plan(score(lambda _: {"pid": os.getpid()}, "pid")))
    assert results["cat"] == results["dog"]
    assert results["cat"]["pid"] != {"pid": os.getpid()}


def test_a_video_that_cannot_be_read_is_scored_later(services, stored, store, measured, caplog):
    """Nothing is recorded of it, the others are scored, and the next pass tries again."""
    cat, dog = stored("cat", "dog")
    kept = store.objects.pop(cat.video_key)
    assert list(changed(services, plan(score(measured)))) == ["dog"]
    assert "spots/cat was not scored: " in caplog.text
    before = services.ledger.scored.due_sets({"spots": plan(score(measured)).digest})
    assert services.ledger.scored.changes("spots", "")[0].partitions == {"cat"}, "the other one is done"
    store.objects[cat.video_key] = b"other bytes"
    assert changed(services, plan(score(measured))) == {}
    assert "is not the video that was stored" in caplog.text
    after = services.ledger.scored.due_sets({"spots": plan(score(measured)).digest})
    assert after == before, "so that no further run is asked for at once"
    store.objects[cat.video_key] = kept
    assert list(changed(services, plan(score(measured)))) == ["cat"]
    assert dog.sha256 != cat.sha256


def test_a_pass_that_is_stopped_goes_on_later(services, stored, measured, ledger):
    """Results that are there are kept, and the other videos stay due."""
    stored("cat", "dog")
    left = iter([False, True, True, True])
    wanted = plan(score(measured))
    assert list(changed(services, wanted, is_over=lambda: next(left))) == ["cat"]
    assert ledger.scored.due_sets({"spots": wanted.digest})
    assert list(changed(services, wanted)) == ["dog"]
    assert measured.calls == ["cat", "dog"]


def test_what_was_not_reported_is_reported_again(services, stored, measured):
    """A run that was killed between measuring and reporting loses no event."""
    stored("cat")
    next(ScoringRun(services, plan(score(measured)), LOG).of_changes())
    assert list(changed(services, plan(score(measured)))) == ["cat"]
    assert measured.calls == ["cat"]


def test_thresholds_say_which_videos_fall_short(services, stored, measured, ledger):
    """Other thresholds look at all videos again, and measure nothing."""
    stored("cat", "dog")
    strict = plan(score(measured), thresholds={"size": Threshold.parse(">17")})
    changed(services, strict)
    reason = {"score_size": "size is 17; required is >17"}
    assert ledger.scored.problems("spots") == {"cat": reason, "dog": reason}
    changed(services, plan(score(measured), thresholds={"size": Threshold.parse(">=17")}))
    assert ledger.scored.problems("spots") == {}
    assert measured.calls == ["cat", "dog"]


def test_no_secret_of_a_score_is_kept(services, stored, ledger, monkeypatch):
    """A text keeps its words; what a link or the environment has as a secret is left out, in errors too."""
    monkeypatch.setenv("GOAPI_API_KEY", "key-3f9a1c77")
    [cat] = stored("cat")
    text = "a cat, see https://cdn.example.com/a.png?token=abc by key-3f9a1c77"

    def says(_video):
        raise StoreError("the key is key-3f9a1c77")

    results = changed(services, plan(score(lambda _: {"caption": text}, "caption"), score(says, "bad")))
    assert results["cat"]["caption"] == {"caption": "a cat, see https://cdn.example.com/a.png by ***"}
    assert "3f9a1c77" not in ledger.scores.results([cat.sha256])[cat.sha256]["bad"].problem


@pytest.mark.skipif(not CAN_FORK, reason="a thread takes its place")
def test_a_process_ends_itself_where_nobody_else_does(services, stored, monkeypatch, tmp_path):
    """Its parent may have been killed while a score hangs."""
    monkeypatch.setattr(child, "_GRACE_S", 0.1)
    monkeypatch.setattr(child._Process, "close", lambda _self: None)
    stored("cat")

    def hangs(_video):
        (tmp_path / "pid").write_text(str(os.getpid()))
        time.sleep(60)

    results = changed(services, plan(score(hangs, "slow", timeout_s=0.2)))
    assert results["cat"]["slow"] == "took longer than 0.2 s"
    _, status = os.waitpid(int((tmp_path / "pid").read_text()), 0)
    assert os.WTERMSIG(status) == signal.SIGALRM
