"""Manual resolution: what a person may do to an uncertain order."""

from __future__ import annotations

import pytest
from factories import POINTS

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.engine.reconcile.manual import ManualResolutionError, adopt_by_hand, requeue_by_hand
from seedance_dagster.ledger.order import State


def adopt(engine, order, task_id):
    return engine.work(lambda worker: adopt_by_hand(worker, order, task_id), "operator ada")


def requeue(engine, order):
    return engine.work(lambda worker: requeue_by_hand(worker, order), "operator ada")


def snapshot(engine):
    orders = engine.ledger.queries.find()
    return orders, [engine.ledger.queries.journal(order.order_id) for order in orders]


def test_a_task_can_be_given_to_an_uncertain_order(engine, clock):
    """It is followed from then on with the vendor's time, and the journal names the person and the way."""
    [order] = engine.lose("a cat", fault="500-before")
    made_at = clock()
    task_id = engine.create_out_of_band("a cat")
    clock.forward(seconds=60)
    adopted = adopt(engine, order, task_id)
    assert (adopted.state, adopted.task_id, adopted.points_held) == (State.SUBMITTED, task_id, POINTS)
    assert adopted.vendor_created_at == made_at
    last = engine.ledger.queries.journal(order.order_id)[-1]
    assert (last.actor, last.detail) == ("operator ada", {"task_id": task_id, "how": "adopted by hand"})
    clock.forward(seconds=660)
    engine.poll()
    assert engine.read(order)[0].state is State.SUCCEEDED


def test_an_uncertain_order_can_be_requeued(engine):
    """It may be sent again, and the journal names the person who vouched that no task was made."""
    [order] = engine.lose("a cat", fault="500-before")
    requeued = requeue(engine, order)
    assert (requeued.state, requeued.attempt) == (State.QUEUED, 1)
    last = engine.ledger.queries.journal(order.order_id)[-1]
    assert last.actor == "operator ada"
    assert last.detail == {"reason": "requeued by hand: no task was made"}
    [again] = engine.submit()
    assert again.state is State.SUBMITTED


def test_a_task_that_another_order_owns_is_not_adopted(engine):
    """The error names the owner; nothing is changed."""
    engine.place("a cat")
    [owner] = engine.submit()
    [order] = engine.lose("a cat", fault="500-before")
    before = snapshot(engine)
    with pytest.raises(ManualResolutionError) as caught:
        adopt(engine, order, owner.task_id)
    assert str(caught.value) == f"task {owner.task_id} belongs to order 1 (spots/p0) already"
    assert snapshot(engine) == before


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"text": "a dog"}, "prompt"),
        ({"text": "a cat", "duration": 9}, "duration"),
        ({"text": "a cat", "task_type": "seedance-2"}, "task_type"),
        ({"text": "a dog", "task_type": "seedance-2", "duration": 4}, "task_type, prompt, duration"),
        (
            {
                "text": "a cat",
                "mode": "omni_reference",
                "image_urls": ["https://cdn.example.com/a.png"],
            },
            "image_urls, mode",
        ),
    ],
)
def test_a_task_that_renders_another_request_is_not_adopted(engine, changes, differs):
    """The error names the differences; nothing is changed."""
    [order] = engine.lose("a cat", fault="500-before")
    task_id = engine.create_out_of_band(changes.pop("text"), **changes)
    before = snapshot(engine)
    with pytest.raises(ManualResolutionError) as caught:
        adopt(engine, order, task_id)
    head, _, fields = str(caught.value).partition(": it differs in ")
    assert head == f"task {task_id} renders another request than order 1 (spots/p0)"
    assert set(fields.split(", ")) == set(differs.split(", "))
    assert snapshot(engine) == before


@pytest.mark.parametrize(
    ("reported", "differs"), [({}, None), ({"prompt": ["a"]}, None), ({"duration": 9}, "duration")]
)
def test_a_task_that_reports_no_text_is_adopted_on_a_person_s_word(engine, monkeypatch, reported, differs):
    """The task's other fields must still be those of the order's request."""
    [order] = engine.lose("a cat", fault="500-before")
    task_id = engine.create_out_of_band("a cat")
    get_task = SeedanceClient.get_task

    async def silent(self, asked):
        return (await get_task(self, asked)).model_copy(update={"input": reported})

    monkeypatch.setattr(SeedanceClient, "get_task", silent)
    if differs is None:
        assert adopt(engine, order, task_id).state is State.SUBMITTED
    else:
        with pytest.raises(ManualResolutionError, match=f"it differs in {differs}$"):
            adopt(engine, order, task_id)


def test_an_unknown_task_is_not_adopted(engine):
    """The vendor has no task with that id; nothing is changed."""
    [order] = engine.lose("a cat")
    before = snapshot(engine)
    with pytest.raises(ManualResolutionError, match=r"^the vendor knows no task none-such$"):
        adopt(engine, order, "none-such")
    assert snapshot(engine) == before


def test_a_task_that_cannot_be_read_is_not_adopted(engine):
    """Nothing is adopted unseen."""
    [order] = engine.lose("a cat")
    [task_id] = engine.vendor.tasks
    engine.control("outage", seconds=60, scope="get")
    before = snapshot(engine)
    with pytest.raises(ManualResolutionError, match=f"^task {task_id} cannot be read: "):
        adopt(engine, order, task_id)
    assert snapshot(engine) == before


@pytest.mark.parametrize("state", ["queued", "submitted"])
@pytest.mark.parametrize("deed", ["adopt", "requeue"])
def test_only_uncertain_orders_can_be_resolved(engine, state, deed):
    """An order that is not uncertain is not touched; a submitted one is not sent again."""
    [order] = engine.place("a cat")
    if state == "submitted":
        [order] = engine.submit()
    task_id = engine.create_out_of_band("a cat")
    before = snapshot(engine)
    with pytest.raises(ManualResolutionError) as caught:
        adopt(engine, order, task_id) if deed == "adopt" else requeue(engine, order)
    assert str(caught.value) == f"order 1 (spots/p0) is {state}; only uncertain orders can be resolved"
    assert snapshot(engine) == before


@pytest.mark.parametrize("deed", ["adopt", "requeue"])
def test_an_order_that_was_resolved_meanwhile_is_left_alone(engine, deed):
    """The sensor was quicker: the error says so, and nothing is undone."""
    [stale] = engine.lose("a cat")
    engine.reconcile()
    task_id = engine.create_out_of_band("a cat")
    before = snapshot(engine)
    with pytest.raises(
        ManualResolutionError, match="is no longer uncertain, or another process works on it now: look at"
    ):
        adopt(engine, stale, task_id) if deed == "adopt" else requeue(engine, stale)
    assert snapshot(engine) == before


def test_a_task_that_was_adopted_meanwhile_is_not_adopted_again(engine, monkeypatch):
    """When two people adopt one task for two orders, the second gets an error."""
    first, second = engine.lose("a cat", "a cat", fault="500-before")
    task_id = engine.create_out_of_band("a cat")
    monkeypatch.setattr(engine.ledger.queries, "find", lambda **_: [])  # as it was when the second looked
    adopt(engine, first, task_id)
    with pytest.raises(ManualResolutionError, match=f"task {task_id} belongs to order 1 already"):
        adopt(engine, second, task_id)
    assert engine.read(second)[0].state is State.UNCERTAIN
