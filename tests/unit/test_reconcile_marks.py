"""Marks as evidence: whose task it is that the vendor's history shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from factories import NOW, make_order, make_task
from pydantic import SecretStr

from seedance_dagster.api.limits import Limits
from seedance_dagster.api.webhook import Webhook, make_mark
from seedance_dagster.engine.marks import MARKS, MarkEcho
from seedance_dagster.engine.reconcile.clocks import Window
from seedance_dagster.engine.reconcile.manual import ManualResolutionError, adopt_by_hand
from seedance_dagster.engine.reconcile.matching import Lost, Matcher
from seedance_dagster.ledger.order import State

LEDGER, OTHER_LEDGER = "1b4e28ba-2fa1-11d2-883f-0016d3cca427", "2c4e28ba-2fa1-11d2-883f-0016d3cca427"
OTHER = make_mark(OTHER_LEDGER, 1, NOW)
MATCHER = Matcher(Limits.load(), ledger_id=LEDGER)
ECHOING = replace(MATCHER, marks_echoed=True)
URL = "https://hooks.example.com/seedance"


def mark(order_id, *, claim=0):
    return make_mark(LEDGER, order_id, NOW + timedelta(seconds=claim))


def lost_order(order_id=1, *, marked=True, **request) -> Lost:
    order = make_order(order_id, request=request, mark=mark(order_id) if marked else None)
    window = Window(NOW, NOW + timedelta(seconds=30))
    return Lost(order, window, window, NOW - timedelta(minutes=5))


def task_of(number=1, mark=None, *, seconds=5.0, **echoed):
    task = make_task(number, mark=mark, created_at=NOW + timedelta(seconds=seconds))
    return task.model_copy(update={"input": task.input | echoed})


def decide(matcher, lost, tasks):
    """Return the adopted tasks and the tasks in doubt, by order."""
    matches = matcher.match(lost, tasks)
    return (
        {order_id: task.task_id for order_id, task in matches.adopted.items()},
        {order_id: [task.task_id for task in tasks] for order_id, tasks in matches.doubts.items()},
    )


@pytest.mark.parametrize(
    "echoed",
    [{}, {"prompt": "something else", "duration": 9}, {"prompt": None}],
    ids=["equal", "other", "none"],
)
def test_the_mark_of_its_post_makes_a_task_an_order_s(echoed):
    """Whatever the text looks like, whenever it was made, and whatever else is there."""
    tasks = [task_of(1), task_of(2, mark(1), seconds=9999, **echoed), task_of(3)]
    assert decide(ECHOING, [lost_order()], tasks) == ({1: "task-2"}, {})


@pytest.mark.parametrize("marked", [True, False], ids=["marked", "unmarked"])
def test_a_task_with_another_mark_is_never_an_order_s(marked):
    """Equal and of the same moment: it is another order's, or another ledger's, and leaves no doubt."""
    for other in (mark(2), OTHER):
        assert decide(ECHOING, [lost_order(marked=marked)], [task_of(1, other)]) == ({}, {})


@pytest.mark.parametrize("mark", [None, mark(1), mark(2), OTHER], ids=["none", "own", "another", "foreign"])
def test_marks_prove_nothing_before_known_tasks_gave_back_their_own(mark):
    """Text and time decide as without marks: the vendor may give back the last address of the account."""
    lost = [lost_order()]
    assert decide(MATCHER, lost, [task_of(1, mark)]) == ({1: "task-1"}, {})
    assert decide(MATCHER, lost, [task_of(1, mark, prompt="something else")]) == ({}, {})


def test_equal_orders_take_the_tasks_of_their_own_posts():
    """If one echo is missing, that task is in doubt."""
    lost = [lost_order(1), lost_order(2)]
    assert decide(ECHOING, lost, [task_of(1, mark(2)), task_of(2, mark(1))]) == (
        {1: "task-2", 2: "task-1"},
        {},
    )
    assert decide(ECHOING, lost, [task_of(1, mark(2)), task_of(2)]) == ({2: "task-1"}, {1: ["task-2"]})


def test_where_marks_are_echoed_a_task_without_one_is_not_adopted():
    """It is in doubt: probably another program's, but an echo may be missing, and a doubt costs nothing."""
    assert decide(MATCHER, [lost_order()], [task_of()]) == ({1: "task-1"}, {})
    assert decide(ECHOING, [lost_order()], [task_of()]) == ({}, {1: ["task-1"]})
    assert decide(ECHOING, [lost_order(marked=False)], [task_of()]) == ({1: "task-1"}, {})
    mixed = [lost_order(1), lost_order(2, marked=False)]
    assert decide(ECHOING, mixed, [task_of()]) == ({2: "task-1"}, {})


def test_a_task_of_an_earlier_post_of_the_order_is_in_doubt():
    """The order was queued again though its first POST had made a task: a person decides."""
    earlier = task_of(1, mark(1, claim=-3600), seconds=-3600)
    assert decide(ECHOING, [lost_order()], [earlier]) == ({}, {1: ["task-1"]})


def test_two_tasks_with_one_mark_are_in_doubt():
    """One POST makes one task: something is wrong, and a person looks at it."""
    assert decide(ECHOING, [lost_order()], [task_of(1, mark(1)), task_of(2, mark(1))]) == (
        {},
        {1: ["task-1", "task-2"]},
    )


@pytest.fixture
def marking(start_engine, monkeypatch):
    """Starts an engine whose POSTs carry marks."""

    def start(**settings):
        engine = start_engine(**settings)
        plain = engine.open_client

        def open_client():
            client = plain()
            client._webhook = Webhook(URL, SecretStr("sesame-0123456789"))
            return client

        engine.services = replace(engine.services, open_client=open_client)
        return engine

    return start


def echo_of(engine):
    name = f"{MARKS} of account {engine.account_name}"
    observed = engine.ledger.observations.recall(name).get(name)
    return None if observed is None else MarkEcho(observed.value)


def learn(engine, clock):
    """Make a task whose reply arrives, and poll it."""
    known = engine.know()
    clock.forward(seconds=120)
    engine.poll()
    clock.forward(seconds=30)
    return known


@pytest.mark.parametrize(("echo", "learned_echo"), [("empty", None), ("as_sent", MarkEcho.OWN)])
def test_an_echo_is_learned_from_a_known_task(marking, clock, echo, learned_echo):
    """The ledger keeps, by account, whether marks come back; each POST has its own."""
    engine = marking(webhook_echo=echo)
    known = learn(engine, clock)
    assert known.mark == make_mark(engine.ledger.identity.ledger_id, known.order_id, known.claimed_at)
    assert echo_of(engine) is learned_echo
    engine.control("settings", webhook_echo="empty")
    learn(engine, clock)
    assert echo_of(engine) is (learned_echo and MarkEcho.NONE)


def test_posts_without_a_webhook_carry_no_mark(engine, clock):
    """POSTs without a webhook carry no mark, and nothing is learned from them."""
    assert learn(engine, clock).mark is None
    assert echo_of(engine) is None


def test_a_lost_task_that_gives_back_its_mark_is_adopted_beside_equal_ones(marking, clock):
    """Two equal tasks of the same moment would be a person's choice; the mark decides at once."""
    engine = marking(webhook_echo="as_sent")
    learn(engine, clock)
    [order] = engine.lose("a cat")
    engine.create_out_of_band("a cat")
    clock.forward(seconds=5)
    result = engine.reconcile(now=True)
    assert [adopted.order_id for adopted in result.adopted] == [order.order_id]
    made = engine.vendor.tasks[result.adopted[0].task_id]
    assert made.source == "api"


def test_an_equal_task_of_another_program_is_not_adopted_where_marks_are_echoed(marking, clock):
    """It was made during a POST of ours that made nothing; the reason says that it is probably not ours."""
    for echo, adopted in (("empty", 1), ("as_sent", 0)):
        engine = marking(webhook_echo=echo)
        learn(engine, clock)
        [order] = engine.place("a dog")
        engine.control("faults", **{"500-before": 1.0})
        engine.create_out_of_band("a dog")
        engine.submit_only(order)
        engine.control("faults")
        learn(engine, clock)
        assert len(engine.reconcile(now=True).adopted) == adopted
        assert [("other tasks give back the mark" in doubt) for doubt in engine.doubts()] == [True] * (
            1 - adopted
        )
        for known in engine.read(order):
            engine.ledger.tasks.ended(known, State.FAILED, actor="t", error_class="x", reason="over", task={})


def test_a_task_of_another_ledger_leaves_no_doubt(marking, clock):
    """A colleague's ledger on the same account orders the same at the same time: ours is queued again."""
    engine = marking(webhook_echo="as_sent")
    learn(engine, clock)
    [order] = engine.lose("a cat", fault="500-before")
    endpoint = Webhook(URL, SecretStr("another-0123456789")).config(OTHER)
    fields = {"prompt": "a cat", "mode": "text_to_video", "duration": 5}
    engine.control("tasks", model="seedance", task_type="seedance-2-fast", input=fields, config=endpoint)
    result = engine.reconcile_twice()
    assert [requeued.order_id for requeued in result.requeued] == [order.order_id]


def test_marks_that_are_mixed_up_prove_nothing(marking, clock):
    """A vendor that gives back another order's mark once is not believed again on this account."""
    engine = marking(webhook_echo="as_sent")
    known = engine.know()
    record = engine.vendor.tasks[known.task_id]
    record.request["config"]["webhook_config"]["endpoint"] = f"{URL}?order={OTHER}"
    clock.forward(seconds=120)
    engine.poll()
    assert echo_of(engine) is MarkEcho.WRONG
    learn(engine, clock)
    assert echo_of(engine) is MarkEcho.WRONG
    [order] = engine.lose("a cat")
    engine.create_out_of_band("a cat")
    clock.forward(seconds=5)
    engine.reconcile(now=True)
    assert [read.state for read in engine.read(order)] == [State.UNCERTAIN]


def test_one_address_for_the_whole_account_hides_no_lost_task(marking, clock):
    """The vendor gives back the last mark for every task: a lost one is found by its text, and paid once."""
    engine = marking(webhook_echo="as_sent")
    learn(engine, clock)
    [lost] = engine.lose("a cat")
    clock.forward(seconds=60)
    [answered] = engine.place("a dog")
    [answered] = engine.submit_only(answered)
    of_lost, of_answered = list(engine.vendor.tasks.values())[-2:]
    of_lost.request["config"] = of_answered.request["config"]
    clock.forward(seconds=30)
    result = engine.reconcile_twice()
    assert [order.order_id for order in result.requeued] == []
    assert [order.task_id for order in engine.read(lost)] == [of_lost.task_id]


def test_nobody_adopts_a_task_with_another_mark_by_hand(marking, clock):
    """One with the order's own mark needs no equal text."""
    engine = marking(webhook_echo="as_sent")
    learn(engine, clock)
    [first, _] = engine.lose("a cat", "a cat!")
    clock.forward(seconds=5)
    *_, of_first, of_second = engine.vendor.tasks.values()
    of_first.request["input"]["prompt"] = "a vendor's own text"

    with pytest.raises(ManualResolutionError, match="the mark of another order's POST"):
        engine.work(lambda worker: adopt_by_hand(worker, first, of_second.task_id))
    adopted = engine.work(lambda worker: adopt_by_hand(worker, first, of_first.task_id))
    assert adopted.task_id == of_first.task_id
