"""Orders through the engine over real HTTP: paid once, stored once, whatever the vendor answers."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from engine_support import assert_paid_once, states

from seedance_dagster.engine.events import Delayed, Ended, Outcome, Stored, Submitted
from seedance_dagster.engine.runtime.pipeline import advance, poll_due
from seedance_dagster.ledger.order import State
from seedance_dagster.media.video import probe

pytestmark = pytest.mark.integration


def with_faults(*faults: str) -> list[str]:
    """A text for each fault, which strikes once unless it says otherwise."""
    return [f"a cat [fault:{fault if '*' in fault else fault + '*1'}]" for fault in faults]


def how_submitted(it, order) -> str:
    """How an order came by its task: by the POST's answer, or adopted."""
    journal = it.services.ledger.queries.journal(order.order_id)
    return next(entry.detail["how"] for entry in journal if entry.to_state == State.SUBMITTED)


def test_orders_become_videos_and_the_books_agree(plant, tmp_path):
    """Every order is submitted once and stored with manifest and poster; the books agree to the point."""
    with plant() as it:
        accepted = it.accept("a cat", "a dog", "a fish")
        events = it.run(accepted)
        kinds = [type(event) for event in events]
        assert kinds.count(Submitted) == kinds.count(Stored) == 3
        assert set(states(it).values()) == {State.STORED}
        assert_paid_once(it, 3)
        order = it.services.ledger.queries.latest("spots")["p1"]
        video = tmp_path / "video.mp4"
        store = it.services.store
        video.write_bytes(store.get_bytes(order.video_key))
        assert probe(video).duration_s == pytest.approx(4, abs=0.05)
        manifest = json.loads(store.get_bytes(order.manifest_key))
        assert manifest["task_id"] == order.task_id
        assert manifest["sha256"] == order.sha256
        head = store.head(order.video_key)
        assert head.content_type == "video/mp4"
        assert head.metadata["seedance-task-id"] == order.task_id
        assert store.get_bytes(order.poster_key).startswith(b"\xff\xd8")


def test_a_task_whose_reply_is_lost_is_found_and_not_paid_twice(plant):
    """After any unclear answer the task is adopted from the vendor's history."""
    needs_verification = ("lost-reply", "cut-reply", "hang", "500-after", "garbage-reply")
    with plant() as it:
        it.run(it.accept(*with_faults(*needs_verification), "a cat [fault:500-with-task*1]", "a dog"))
        assert set(states(it).values()) == {State.STORED}
        assert_paid_once(it, 7)
        orders = it.services.ledger.queries.latest("spots")
        assert {how_submitted(it, orders[f"p{number}"]) for number in range(5)} == {"adopted"}


def test_the_same_text_twice_is_adopted_one_to_one(plant):
    """Two lost replies of one text settle as two tasks of two orders."""
    with plant() as it:
        text = "a cat [fault:lost-reply*2]"
        it.run(it.accept(text, text))
        orders = it.services.ledger.queries.find()
        assert {order.state for order in orders} == {State.STORED}
        assert len({order.task_id for order in orders}) == 2
        assert it.books()["summary"]["tasks"] == 2


def test_orders_that_never_arrived_are_freed_after_two_clean_readings(plant):
    """No task in the history, read twice, frees an order, which is then sent and paid once."""
    with plant() as it:
        it.run(it.accept(*with_faults("500-before", "reset-before", "hang-before")))
        assert set(states(it).values()) == {State.STORED}
        assert_paid_once(it, 3)
        for order in it.services.ledger.queries.find():
            steps = [entry.to_state for entry in it.services.ledger.queries.journal(order.order_id)]
            assert steps[:4] == ["queued", "claimed", "uncertain", "queued"]


def test_an_unreadable_history_frees_nothing(plant):
    """While the history cannot be read the order stays uncertain; afterwards it is adopted."""
    with plant({"grace_s": 0.0}) as it:
        it.tell("faults", **{"history-500": 1.0})
        accepted = it.accept("a cat [fault:lost-reply*1]")
        seen: list[Delayed] = []

        async def some() -> None:
            events = advance(it.services, owner="w", only=[each.order.order_id for each in accepted])
            async for event in events:
                seen.append(event)
                break
            await events.aclose()
            await poll_due(it.services, owner="tick", time_box_s=5)

        asyncio.run(some())
        assert isinstance(seen[0], Delayed)
        assert set(states(it).values()) == {State.UNCERTAIN}
        assert "cannot be read" in it.services.ledger.queries.latest("spots")["p0"].error_message
        it.tell("faults")
        it.run(accepted, owner="w2")
        assert set(states(it).values()) == {State.STORED}
        assert_paid_once(it, 1)


def test_a_task_of_the_same_text_that_somebody_else_made_is_not_taken(plant):
    """A stranger's task with other parameters leaves the order uncertain: neither adopted nor freed."""
    with plant({"grace_s": 0.0}) as it:
        text = "a cat [fault:500-before*1]"
        it.tell(
            "tasks",
            model="seedance",
            task_type="seedance-2-fast",
            input={"prompt": text, "mode": "text_to_video", "duration": 9, "aspect_ratio": "16:9"},
        )
        it.accept(text)
        it.run()
        asyncio.run(poll_due(it.services, owner="tick", time_box_s=5))
        order = it.services.ledger.queries.latest("spots")["p0"]
        assert order.state is State.UNCERTAIN
        assert "same text but other parameters" in order.error_message


def test_a_refused_post_goes_back_to_the_queue(plant):
    """A POST that made no task is sent again later."""
    with plant() as it:
        it.run(it.accept(*with_faults("429*2", "429*1"), "a dog"))
        assert set(states(it).values()) == {State.STORED}
        assert_paid_once(it, 3)


def test_the_plan_limit_is_respected(plant):
    """More orders than the plan allows at once all get their turn."""
    with plant(plan_limit=2, render_seconds=0.05) as it:
        it.run(it.accept(*(f"prompt {number}" for number in range(7))))
        assert set(states(it).values()) == {State.STORED}
        assert_paid_once(it, 7)


def test_without_credits_orders_wait(plant):
    """Out of credits nothing is lost and nothing ends; it is said why, and it goes on by itself."""
    with plant(points=0) as it:
        it.accept("a cat")
        it.run()
        assert set(states(it).values()) == {State.QUEUED}
        assert "out of credits" in " ".join(it.services.throttle().reasons)
        it.tell("settings", points=1_000_000_000)
        it.run(it.accept("a cat"))
        assert it.services.throttle().reasons == ()
        assert_paid_once(it, 1)


def test_refused_content_ends_and_is_not_sent_again_unchanged(plant):
    """Moderation and real persons end an order with its reason; another asking is declined unless told."""
    with plant() as it:
        texts = ("bad [fault:moderation*1]", "face [fault:real-person*1]", "good")
        events = it.run(it.accept(*texts))
        ended = {event.order.partition: event.order for event in events if isinstance(event, Ended)}
        assert {name: order.error_class for name, order in ended.items()} == {
            "p0": "moderation",
            "p1": "real_person",
        }
        again = it.accept(*texts, idempotency_key="two")
        assert [each.outcome for each in again] == [Outcome.SKIPPED, Outcome.SKIPPED, Outcome.REUSED]
        more = it.accept(*texts, idempotency_key="three", resubmit_rejected=True)
        assert [each.outcome for each in more] == [Outcome.ORDERED, Outcome.ORDERED, Outcome.REUSED]


def test_vendor_trouble_is_tried_again_up_to_the_limit(plant):
    """A task that failed by the vendor's fault comes back as another attempt, twice in all."""
    with plant() as it:
        events = it.run(it.accept("once [fault:vendor-trouble*1]", "always [fault:vendor-trouble]"))
        assert states(it) == {"p0": State.STORED, "p1": State.FAILED}
        assert {
            name: order.attempt for name, order in it.services.ledger.queries.latest("spots").items()
        } == {
            "p0": 2,
            "p1": 2,
        }
        ended = [event.order.error_class for event in events if isinstance(event, Ended)]
        assert ended == ["vendor"]
        assert it.books()["summary"]["balanced"]


def test_troubled_polls_end_well(plant):
    """Whatever a GET answers, each task is followed to its end."""
    odd = ("a cat [fault:odd-status]", "a cat [fault:late-url]", "a cat [fault:url-while-pending]")
    with plant() as it:
        it.run(it.accept(*odd, *with_faults("get-500*2", "get-429", "get-drop*2", "get-hang")))
        assert set(states(it).values()) == {State.STORED}
        assert_paid_once(it, 7)


def test_a_request_that_the_vendor_refuses_ends(plant):
    """A request refused as invalid ends with the vendor's words and costs nothing."""
    with plant() as it:
        [accepted] = it.accept("a cat [fault:no-such-fault]")
        [event] = it.run([accepted])
        assert isinstance(event, Ended)
        assert event.order.state is State.FAILED
        assert event.order.error_class == "invalid"
        assert httpx.get(f"{it.emulator.url}/emulator/books/summary", trust_env=False).json()["tasks"] == 0
