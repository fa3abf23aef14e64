"""Orders through the engine over real HTTP: paid once, stored once, whatever the vendor answers."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import httpx
import pytest
from plant_support import make_known, one_clock

from seedance_dagster.engine.events import Delayed, Ended, Stored, Submitted
from seedance_dagster.engine.runtime.background import in_background
from seedance_dagster.engine.runtime.pipeline import advance, poll_due
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import Outcome
from seedance_dagster.media.video import probe

pytestmark = pytest.mark.integration


def with_faults(*faults: str) -> list[str]:
    """Return a text for each fault, which strikes once unless it says otherwise."""
    return [f"a cat [fault:{fault if '*' in fault else fault + '*1'}]" for fault in faults]


def how_submitted(engine, order) -> str:
    """Return the way in which an order got its task: by the POST's answer, or by adoption."""
    journal = engine.services.ledger.queries.journal(order.order_id)
    return next(entry.detail["how"] for entry in journal if entry.to_state == State.SUBMITTED)


def test_orders_become_videos_and_the_money_agrees(start_engine, tmp_path):
    """Every order is submitted once and stored with manifest and poster; the money agrees to the point."""
    with start_engine() as engine:
        accepted = engine.place("a cat", "a dog", "a fish")
        events = engine.run(accepted)
        kinds = [type(event) for event in events]
        assert kinds.count(Submitted) == kinds.count(Stored) == 3
        assert set(engine.states().values()) == {State.STORED}
        engine.assert_paid_once(3)
        order = engine.services.ledger.queries.latest("spots")["p1"]
        video = tmp_path / "video.mp4"
        store = engine.services.store
        video.write_bytes(store.get_bytes(order.video_key))
        assert probe(video).duration_s == pytest.approx(4, abs=0.05)
        manifest = json.loads(store.get_bytes(order.manifest_key))
        assert manifest["task_id"] == order.task_id
        assert manifest["sha256"] == order.sha256
        head = store.head(order.video_key)
        assert head.content_type == "video/mp4"
        assert head.metadata["seedance-task-id"] == order.task_id
        assert store.get_bytes(order.poster_key).startswith(b"\xff\xd8")


def test_a_task_whose_reply_is_lost_is_found_and_not_paid_twice(start_engine):
    """After any unclear answer the task in the vendor's history is adopted."""
    needs_verification = ("lost-reply", "cut-reply", "hang", "500-after", "garbage-reply")
    with start_engine() as engine:
        one_clock(engine)
        engine.run(engine.place(*with_faults(*needs_verification), "a cat [fault:500-with-task*1]", "a dog"))
        assert set(engine.states().values()) == {State.STORED}
        engine.assert_paid_once(7)
        orders = engine.services.ledger.queries.latest("spots")
        assert {how_submitted(engine, orders[f"p{number}"]) for number in range(5)} == {"adopted"}


@pytest.mark.further
def test_orders_without_a_task_are_requeued_after_two_complete_scans(start_engine):
    """An order is requeued when two scans have no task for it, and is then sent and paid once."""
    with start_engine({"stale_after_s": 1.0}) as engine:
        make_known(engine)
        engine.run(engine.place(*with_faults("500-before", "reset-before", "hang-before")))
        assert set(engine.states().values()) == {State.STORED}
        engine.assert_paid_once(4)
        for order in engine.services.ledger.queries.find(prompt_set="spots"):
            steps = [entry.to_state for entry in engine.services.ledger.queries.journal(order.order_id)]
            assert steps[:4] == ["queued", "claimed", "uncertain", "queued"]


def test_an_unreadable_history_requeues_nothing(start_engine):
    """While the history cannot be read the order stays uncertain; afterwards it is adopted."""
    with start_engine({"grace_s": 0.0}) as engine:
        one_clock(engine)
        engine.control("faults", **{"history-500": 1.0})
        accepted = engine.place("a cat [fault:lost-reply*1]")
        ids = [placement.order.order_id for placement in accepted]
        with in_background(partial(advance, engine.services, owner="w", only=ids)) as events:
            assert isinstance(next(events), Delayed)
        asyncio.run(poll_due(engine.services, owner="tick", time_box_s=5))
        assert set(engine.states().values()) == {State.UNCERTAIN}
        assert "cannot be read" in engine.services.ledger.queries.latest("spots")["p0"].error_message
        engine.control("faults")
        engine.run(accepted, owner="w2")
        assert set(engine.states().values()) == {State.STORED}
        engine.assert_paid_once(1)


def test_an_unmatched_task_with_the_same_text_is_not_adopted(start_engine):
    """An unmatched task with other parameters leaves the order uncertain: neither adopted nor requeued."""
    with start_engine({"grace_s": 0.0}) as engine:
        text = "a cat [fault:500-before*1]"
        one_clock(engine)
        engine.control(
            "tasks",
            model="seedance",
            task_type="seedance-2-fast",
            input={"prompt": text, "mode": "text_to_video", "duration": 9, "aspect_ratio": "16:9"},
        )
        engine.place(text)
        engine.run()
        asyncio.run(poll_due(engine.services, owner="tick", time_box_s=5))
        order = engine.services.ledger.queries.latest("spots")["p0"]
        assert order.state is State.UNCERTAIN
        assert "it cannot be decided whether one of these tasks" in order.error_message


@pytest.mark.further
def test_an_order_whose_post_is_refused_is_queued_again(start_engine):
    """A POST that made no task is sent again later."""
    with start_engine() as engine:
        engine.run(engine.place(*with_faults("429*2", "429*1"), "a dog"))
        assert set(engine.states().values()) == {State.STORED}
        engine.assert_paid_once(3)


@pytest.mark.long
def test_the_plan_limit_is_respected(start_engine):
    """More orders than the plan allows at once are all sent in turn."""
    with start_engine(plan_limit=2, render_seconds=0.05) as engine:
        engine.run(engine.place(*(f"prompt {number}" for number in range(7))))
        assert set(engine.states().values()) == {State.STORED}
        engine.assert_paid_once(7)


@pytest.mark.further
def test_without_credits_orders_wait(start_engine):
    """Out of credits no order ends; the reason is reported, and submitting goes on automatically."""
    with start_engine(points=0) as engine:
        engine.place("a cat")
        engine.run()
        assert set(engine.states().values()) == {State.QUEUED}
        assert "out of credits" in " ".join(engine.services.throttle().reasons)
        engine.control("settings", points=1_000_000_000)
        engine.run(engine.place("a cat"))
        assert engine.services.throttle().reasons == ()
        engine.assert_paid_once(1)


def test_a_rejected_order_is_not_sent_again_unchanged(start_engine):
    """Moderation and real persons end an order with its reason; the next request skips it by default."""
    with start_engine() as engine:
        texts = ("bad [fault:moderation*1]", "face [fault:real-person*1]", "good")
        events = engine.run(engine.place(*texts))
        ended = {event.order.partition: event.order for event in events if isinstance(event, Ended)}
        assert {name: order.error_class for name, order in ended.items()} == {
            "p0": "moderation",
            "p1": "real_person",
        }
        again = engine.place(*texts, idempotency_key="two")
        assert [placement.outcome for placement in again] == [
            Outcome.SKIPPED,
            Outcome.SKIPPED,
            Outcome.REUSED,
        ]
        more = engine.place(*texts, idempotency_key="three", resubmit_rejected=True)
        assert [placement.outcome for placement in more] == [Outcome.ORDERED, Outcome.ORDERED, Outcome.REUSED]


@pytest.mark.further
def test_vendor_trouble_is_retried_up_to_the_limit(start_engine):
    """A task that failed through the vendor's fault gets another attempt, two in all."""
    with start_engine() as engine:
        events = engine.run(engine.place("once [fault:vendor-trouble*1]", "always [fault:vendor-trouble]"))
        assert engine.states() == {"p0": State.STORED, "p1": State.FAILED}
        assert {
            name: order.attempt for name, order in engine.services.ledger.queries.latest("spots").items()
        } == {
            "p0": 2,
            "p1": 2,
        }
        ended = [event.order.error_class for event in events if isinstance(event, Ended)]
        assert ended == ["vendor"]
        assert engine.books()["summary"]["balanced"]


@pytest.mark.long
def test_troubled_polls_end_well(start_engine):
    """Each task is followed to its end, whatever a GET answers."""
    odd = ("a cat [fault:odd-status]", "a cat [fault:late-url]", "a cat [fault:url-while-pending]")
    with start_engine() as engine:
        engine.run(engine.place(*odd, *with_faults("get-500*2", "get-429", "get-drop*2", "get-hang")))
        assert set(engine.states().values()) == {State.STORED}
        engine.assert_paid_once(7)


def test_an_invalid_request_ends(start_engine):
    """An invalid request ends with the vendor's words and costs nothing."""
    with start_engine() as engine:
        [accepted] = engine.place("a cat [fault:no-such-fault]")
        [event] = engine.run([accepted])
        assert isinstance(event, Ended)
        assert event.order.state is State.FAILED
        assert event.order.error_class == "invalid"
        assert (
            httpx.get(f"{engine.emulator.url}/emulator/books/summary", trust_env=False).json()["tasks"] == 0
        )
