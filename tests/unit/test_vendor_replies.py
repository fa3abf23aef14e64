"""The vendor's odd replies on the whole way: emulator, client, engine, ledger (cases v1 to v13)."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stamina

from seedance_dagster.health import stuck_reason
from seedance_dagster.ledger.order import State

REFUSED = {  # by fault: the state afterwards, the pause or the error's class, and words of the reason
    "credits-400": (State.QUEUED, "credits", "failed to create task (HTTP 400, code 10002)"),  # v3
    "credits-in-200": (State.QUEUED, "credits", "insufficient credits"),
    "credits-in-500": (State.QUEUED, "credits", "insufficient credits"),
    "rate-limit-in-200": (State.QUEUED, "rate limit", "rate limit exceeded"),
    "rate-limit-10001": (State.QUEUED, "rate limit", "rate limit exceeded"),
    "429": (State.QUEUED, "rate limit", "too many requests"),
    "no-slot-400": (State.QUEUED, "plan limit", "active task count 1000 has reached the plan limit"),
    "no-slot-429": (State.QUEUED, "plan limit", "active task count 1000 has reached the plan limit"),
    "page-401": (State.QUEUED, "gateway", "the API key is not the reason"),
    "page-403": (State.QUEUED, "gateway", "the API key is not the reason"),
    "page-503": (State.QUEUED, "gateway", "the API key is not the reason"),
    "post-401": (State.QUEUED, None, "this order alone is refused"),
    "post-403": (State.QUEUED, None, "this order alone is refused"),
    "invalid-10000": (State.FAILED, "invalid", "invalid request (HTTP 400, code 10000)"),  # v4
    "invalid-10003": (State.FAILED, "invalid", "task input too large (HTTP 400, code 10003)"),
    "invalid-500": (State.FAILED, "invalid", "invalid task_type (HTTP 400, code 500)"),
    "invalid-422": (State.FAILED, "invalid", "unsupported image format"),
}
UNCLEAR = ("500-before", "408-before", "error-in-200", "page-502")
WITH_TASK = ("500-with-task", "400-with-task")
BEHIND = ("500-after", "error-in-200-after", "page-502-after", "garbage-reply")


@pytest.fixture
def quick(start_engine):
    """An engine whose tasks end a minute after they were made."""
    return start_engine(queue_seconds=1, render_seconds=10)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("fault", REFUSED)
def test_a_refusal_makes_no_task_and_says_why(engine, fault):
    """HTTP status and code decide; the order waits, or fails, with the vendor's words (v3, v4, v5)."""
    state, kind, words = REFUSED[fault]
    [order] = engine.place(f"a cat [fault:{fault}*1]")
    engine.submit()
    [refused] = engine.read(order)
    assert refused.state is state
    assert words in refused.error_message
    assert "GOAPI_API_KEY" not in refused.error_message
    pauses = engine.ledger.pauses.active()
    if state is State.QUEUED:
        assert list(pauses) == ([] if kind is None else [kind])
    else:
        assert (refused.error_class, pauses) == (kind, {})
    assert engine.vendor.tasks == {}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("fault", [name for name, row in REFUSED.items() if row[0] is State.QUEUED])
def test_what_waits_is_sent_when_its_time_has_come(engine, clock, fault):
    """One task is made, and nothing was reconciled."""
    [order] = engine.place(f"a cat [fault:{fault}*1]")
    engine.submit()
    clock.forward(minutes=3)
    [sent] = engine.submit()
    assert (sent.order_id, sent.state) == (order.order_id, State.SUBMITTED)
    assert State.UNCERTAIN not in engine.steps_of(order)
    assert len(engine.vendor.tasks) == 1


def test_a_refusal_for_lack_of_a_slot_waits_for_a_slot(start_engine, clock):
    """As many orders are in flight as the vendor counts, until a task has ended; not for some seconds."""
    engine = start_engine(plan_limit=1)
    first = engine.place("a cat")
    engine.submit()
    engine.place("a dog")
    engine.services.ledger.observations.remember({"plan_limit": 5})  # as an older account page said
    engine.control("settings", plan_limit_status=400)
    engine.vendor.settings.plan_limit = 1
    worker_posts = engine.vendor.posts.total()
    engine.submit_only(*engine.ledger.queries.find(states={State.QUEUED}))
    assert engine.states() == [State.SUBMITTED, State.QUEUED]
    assert engine.vendor.posts.total() == worker_posts + 1
    clock.forward(seconds=60)
    engine.submit()
    assert engine.vendor.posts.total() == worker_posts + 1  # one is in flight: nothing is sent
    clock.forward(seconds=700)
    engine.poll()
    assert engine.read(*first)[0].state is State.SUCCEEDED
    engine.submit()
    assert engine.states() == [State.SUCCEEDED, State.SUBMITTED]


@pytest.mark.parametrize("fault", UNCLEAR)
def test_a_reply_that_proves_nothing_leaves_the_order_uncertain(engine, fault):
    """No word of it counts, and nothing is sent again without proof."""
    engine.place(f"a cat [fault:{fault}]")
    engine.submit()
    assert engine.states() == [State.UNCERTAIN]


@pytest.mark.parametrize("fault", WITH_TASK)
def test_a_task_inside_an_error_is_a_task(engine, fault):
    """Its id is recorded at once, whatever status and code say."""
    [order] = engine.place(f"a cat [fault:{fault}]")
    engine.submit()
    assert engine.read(order)[0].task_id in engine.vendor.tasks


@pytest.mark.parametrize("fault", BEHIND)
def test_a_task_behind_an_unclear_answer_is_adopted(engine, clock, fault):
    """It is found in the history, and never paid for twice."""
    [order] = engine.place(f"a cat [fault:{fault}]")
    engine.submit()
    clock.forward(seconds=90)
    engine.reconcile(now=True)
    assert engine.read(order)[0].task_id in engine.vendor.tasks
    assert len(engine.vendor.tasks) == 1


@pytest.mark.parametrize("number", [0, 1])
def test_a_task_without_meta_is_adopted_by_the_time_in_the_history(engine, clock, number):
    """`meta` may be null or empty for all the time that the task takes (v9)."""
    for before in range(number):
        engine.create_out_of_band(f"before {before}")
    clock.forward(minutes=5)
    engine.know()
    [order] = engine.place("a cat [fault:no-meta][fault:500-after]")
    engine.submit()
    clock.forward(seconds=90)
    engine.reconcile(now=True)
    assert engine.read(order)[0].task_id in engine.vendor.tasks


LESS = {
    "images": {"image_urls": ["https://x.example/1.png", "https://x.example/2.png"]},
    "an image": {"image_urls": ["https://x.example/1.png"]},
    "an image and a video": {
        "image_urls": ["https://x.example/1.png"],
        "video_urls": ["https://x.example/1.mp4?seconds=4"],
    },
}


@pytest.mark.parametrize("references", LESS)
@pytest.mark.parametrize("task_type", ["seedance-2-less-restriction", "seedance-2-fast-less-restriction"])
def test_copies_of_references_are_counted(engine, clock, references, task_type):
    """A lost reply of a type that echoes `asset://` is adopted (v2)."""
    [order] = engine.place("a cat", task_type=task_type, mode="omni_reference", **LESS[references])
    engine.control("faults", **{"500-after": 1.0})
    engine.submit()
    engine.control("faults")
    clock.forward(seconds=90)
    engine.reconcile(now=True)
    assert engine.read(order)[0].task_id in engine.vendor.tasks


def test_a_copy_too_many_is_another_order_s(engine, clock):
    """Two references were sent, one is echoed: a person decides (v2)."""
    engine.place("a cat", task_type="seedance-2-less-restriction", mode="omni_reference", **LESS["images"])
    engine.control("faults", **{"500-before": 1.0})
    engine.submit()
    engine.control("faults")
    engine.create_out_of_band(
        "a cat", task_type="seedance-2-less-restriction", **LESS["an image"], mode="omni_reference"
    )
    clock.forward(seconds=90)
    assert engine.reconcile(now=True).adopted == ()
    assert engine.states() == [State.UNCERTAIN]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("answer", ["401", "403", "404", "error-in-200", "page-403", "page-503", "500"])
def test_one_order_whose_get_is_refused_for_ever_stops_no_other(quick, clock, answer):
    """It is reported, and the others are polled, collected and sent (v13)."""
    engine = quick
    stuck, *others = engine.place(f"a cat [fault:get-{answer}]", "a dog", "a bird")
    engine.submit()
    for _ in range(4):
        clock.forward(minutes=2)
        engine.poll()
    [after, *rest] = engine.read(stuck, *others)
    assert (after.state, after.polls) == (State.SUBMITTED, 4)
    assert after.error_message
    assert {order.state for order in rest} == {State.SUCCEEDED}
    assert engine.ledger.pauses.active() == {}
    engine.place("a fish")
    [sent] = engine.submit()
    assert sent.state is State.SUBMITTED
    reported = stuck_reason(after, now=clock(), stale_after=timedelta(hours=12))
    assert bool(reported) is (answer in ("401", "403", "404"))


def test_a_key_that_the_account_refuses_too_stops_all(engine, clock):
    """Then nothing is sent until it works, and the message names the key."""
    engine.place("a cat", "a dog")
    engine.control("faults", **{"post-401": 1.0})
    engine.control("outage", seconds=300, kind="500", scope="account")
    with stamina.set_testing(True, attempts=1):
        engine.submit()
    [paused] = engine.ledger.pauses.active().values()
    assert "check GOAPI_API_KEY" in paused
    assert engine.states() == [State.QUEUED] * 2
    assert engine.vendor.posts.total() < 3


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("fault", "state", "kind", "words"),
    [
        ("copyright", State.REJECTED, "moderation", "copyright restrictions"),  # v1
        ("moderation", State.REJECTED, "moderation", "content policy"),
        ("moderation-early", State.REJECTED, "moderation", "flagged before submission"),
        ("real-person", State.REJECTED, "real_person", "may contain a real person"),
        ("task-cancelled", State.FAILED, "unknown", "the vendor reports it as canceled"),  # v7
        ("task-expired", State.FAILED, "unknown", "the vendor reports it as expired"),
    ],
)
@pytest.mark.parametrize("shape", ["", "[fault:odd-texts]", "[fault:status-spelling]"])
def test_an_end_without_a_video_has_its_class_and_its_words(quick, clock, fault, state, kind, words, shape):
    """In whatever shape logs and error come, and however the status is spelled (v1, v7, v9)."""
    orders = quick.place(*(f"{n} [fault:{fault}]{shape}" for n in range(4)))
    quick.submit()
    clock.forward(minutes=2)
    quick.poll()
    for order in quick.read(*orders):
        assert (order.state, order.error_class) == (state, kind)
        assert words in order.error_message


@pytest.mark.parametrize("settling", ["", "[fault:late-charge]"])
@pytest.mark.parametrize("fault", ["vendor-trouble", "upload-failed", "reference-lost"])
def test_trouble_of_the_vendor_s_is_tried_again(quick, clock, fault, settling):
    """Its points came back, and the next attempt takes their place."""
    [order] = quick.place(f"a cat [fault:{fault}*1]{settling}")
    quick.submit()
    for _ in range(2):
        clock.forward(minutes=2)
        quick.poll()
    assert (quick.read(order)[0].state, quick.read(order)[0].error_class) == (State.FAILED, "vendor")
    clock.forward(minutes=2)
    quick.submit()
    assert quick.states() == [State.FAILED, State.SUBMITTED]


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "fault",
    [
        *("odd-status", "status-spelling", "late-url", "url-while-pending", "link-elsewhere", "odd-texts"),
        *("no-meta", "no-start", "early-charge", "late-charge", "unknown-word", "quotes-key"),
    ],
)
def test_a_task_of_another_shape_is_completed_and_charged(quick, clock, fault):
    """Status, link, charge and texts are read wherever they stand (v6, v8, v9, v12)."""
    orders = quick.place(*(f"{n} [fault:{fault}]" for n in range(9)))
    quick.submit()
    for _ in range(5):
        clock.forward(minutes=3)
        quick.poll()
    for order in quick.read(*orders):
        assert (order.state, order.points_charged) == (State.SUCCEEDED, 4_000_000)
        assert order.video_url.startswith("http://")
        assert order.video_url.endswith(".mp4")


def test_an_unknown_word_is_said_once_and_waited_for(quick, clock):
    """An unknown word is in the order and in one event until the vendor sends a known one (v12)."""
    [order] = quick.place("a cat [fault:unknown-word*3]")
    quick.submit()
    for _ in range(3):
        clock.forward(minutes=3)
        quick.poll()
        assert "'finalizing', an unknown word" in quick.read(order)[0].error_message
    finalizing = [event for event in quick.events if "finalizing" in str(getattr(event, "reason", ""))]
    assert len(finalizing) == 1
    clock.forward(minutes=3)
    quick.poll()
    assert (quick.read(order)[0].state, quick.read(order)[0].error_message) == (State.SUCCEEDED, None)


@pytest.mark.parametrize("shape", ["wallet", "credit_pack", "both", "quota"])
def test_each_shape_of_the_account_gives_the_balance(start_engine, shape):
    """Each shape of the account gives the balance, to the credit (v10, v11)."""
    engine = start_engine(account_shape=shape, points=200_000_000)
    engine.read_account()
    [balance] = engine.ledger.observations.recall(f"balance of account {engine.account_name}").values()
    assert balance.value == 200_000_000
