"""An older backup: its orders move forward to their present state, and no doubtful one is sent."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factories import NOW, POINTS, make_request, remove_row
from order_factory import OrderFactory
from restore_world import AN_HOUR_AGO, add_task, answer, plan, prompt, restore

from seedance_dagster.api.webhook import make_mark
from seedance_dagster.api.wire import TaskStatus
from seedance_dagster.audit.records import journal_problem
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.orders import Outcome
from seedance_dagster.prompts.identity import fingerprint
from seedance_dagster.storage.manifest import Manifest

UNSENT = (State.QUEUED, State.CLAIMED, State.UNCERTAIN)


@pytest.fixture
def backup(kept, clock):
    """A ledger that was last written two hours ago."""
    clock.forward(hours=-2)
    yield OrderFactory(kept.ledger, clock)
    clock.now = NOW


def placed(backup, clock, state: State) -> Order:
    """Return the order of prompt 3, in a state of two hours ago."""
    request = make_request("cat 3")
    order = backup.make(
        state,
        "p3",
        fingerprint=fingerprint(request),
        request=request.model_dump(mode="json"),
        estimated_points=POINTS,
    )
    backup.ledger.tasks.release("w", possibly_sent=())
    clock.now = NOW
    return backup.ledger.queries.get(order.order_id)


def stored_since(world, order: Order) -> bytes:
    """Put the video of an order into S3, as the ledger that went on did; return its manifest."""
    add_task(world, 3, TaskStatus.COMPLETED, event=False)
    template = next(order for order in world.ledger.queries.find(states={State.STORED}))
    columns = {
        name: getattr(template, name)
        for name in Manifest.model_fields
        if hasattr(order, name) and getattr(order, name) is None
    }
    folder = f"seedance/spots/p3/{order.fingerprint[:12]}-a{order.attempt}"
    keys = {"video_key": "video.mp4", "poster_key": "poster.jpg", "manifest_key": "manifest.json"}
    columns |= {name: f"{folder}/{file}" for name, file in keys.items()} | {"task_id": "task-3"}
    stored = Order(**vars(order) | columns | {"points_charged": POINTS})
    body = Manifest.of(stored).to_json()
    world.store.objects |= dict.fromkeys((str(stored.video_key), str(stored.poster_key)), b"video") | {
        str(stored.manifest_key): body
    }
    return body


@pytest.mark.parametrize("state", [*UNSENT, State.SUBMITTED, State.SUCCEEDED])
def test_what_was_stored_since_is_stored(kept, backup, clock, state):
    """An order of any state whose video is in S3 becomes stored, with the manifest found there (m15)."""
    task = {"task_id": "task-3"} if state in (State.SUBMITTED, State.SUCCEEDED) else {}
    backup._defaults = {"task": task}
    order = placed(backup, clock, state)
    body = stored_since(kept, order)
    done = restore(kept, prompt(1), prompt(2), prompt(3))
    assert [restored.row.order_id for restored in done.orders if restored.row] == [order.order_id]
    now = kept.ledger.queries.get(order.order_id)
    assert (now.state, now.task_id, now.booked_at) == (State.STORED, "task-3", order.booked_at)
    assert Manifest.of(now).to_json() == body
    assert journal_problem(now, kept.ledger.queries.journal(now.order_id)) is None
    assert answer(kept, prompt(3)) is Outcome.REUSED


@pytest.mark.parametrize("state", UNSENT)
def test_what_was_submitted_since_is_followed(kept, backup, clock, state):
    """An order whose task Dagster names is in flight, and starts no further attempt (m15)."""
    order = placed(backup, clock, state)
    add_task(kept, 3)
    restore(kept, prompt(1), prompt(2), prompt(3))
    now = kept.ledger.queries.get(order.order_id)
    assert (now.state, now.task_id, now.account, now.retries) == (State.SUBMITTED, "task-3", "account", 0)
    assert journal_problem(now, kept.ledger.queries.journal(now.order_id)) is None
    assert answer(kept, prompt(3)) is Outcome.JOINED


@pytest.mark.parametrize("state", UNSENT)
def test_what_nothing_names_is_left_to_reconciliation(kept, backup, clock, state):
    """An order that may have been sent since the backup becomes uncertain from the backup until now (m15)."""
    order = placed(backup, clock, state)
    restore(kept, prompt(1), prompt(2), prompt(3))
    now = kept.ledger.queries.get(order.order_id)
    assert (now.state, now.lost_at, now.retries, now.absent_since) == (State.UNCERTAIN, NOW, 0, None)
    assert now.sent_at is not None
    assert now.sent_at <= NOW - timedelta(hours=2)
    assert journal_problem(now, kept.ledger.queries.journal(now.order_id)) is None
    assert kept.ledger.claims.take("w", limit=9, max_in_flight=None) == []


def test_a_task_that_may_be_an_unsent_orders_is_left_to_it(kept, backup, clock):
    """An equal task that no event names is not given to another order of its prompt."""
    order = placed(backup, clock, State.QUEUED)
    add_task(kept, 3, event=False)
    done = restore(kept, prompt(1), prompt(2), prompt(3))
    assert [(restored.row.order_id, restored.state) for restored in done.orders if restored.row] == [
        (order.order_id, State.UNCERTAIN)
    ]
    assert kept.ledger.queries.find(task_id="task-3") == []


@pytest.mark.parametrize("state", UNSENT)
def test_a_mark_says_whose_a_task_is(kept, backup, clock, state):
    """A task that renders an order and returns the mark of any of its POSTs is the order's."""
    order = placed(backup, clock, state)
    mark = make_mark(kept.ledger.identity.ledger_id, order.order_id, NOW)
    add_task(kept, 3, event=False, mark=mark)
    restore(kept, prompt(1), prompt(2), prompt(3))
    now = kept.ledger.queries.get(order.order_id)
    assert (now.state, now.task_id) == (State.SUBMITTED, "task-3")


def test_what_was_ordered_since_is_restored(kept, backup, clock):
    """An order that the backup does not know comes back beside those that it knows."""
    placed(backup, clock, State.SUBMITTED)
    add_task(kept, 4)
    restore(kept, prompt(1), prompt(2), prompt(3), prompt(4))
    [order] = kept.ledger.queries.find(task_id="task-4")
    assert (order.state, order.partition) == (State.SUBMITTED, "p4")


def test_later_attempts_do_not_overwrite_earlier_ones(kept, backup, clock):
    """An attempt made since the backup keeps its number, and the next one continues from it (m15)."""
    kept.add(8, **{"attempt": 2, "fingerprint": fingerprint(make_request("cat 1"))} | same_place(kept))
    remove_row(kept.ledger, 8)
    clock.now = NOW
    restore(kept, prompt(1), prompt(2))
    attempts = [order.attempt for order in kept.ledger.queries.find() if order.partition == "p1"]
    assert attempts == [1, 2]


def same_place(world) -> dict[str, object]:
    first = world.ledger.queries.get(1)
    return {"partition": "p1", "request": first.request}


def test_tasks_of_before_the_backup_stay_unmatched(kept, backup, clock):
    """Tasks that no order owned when the backup was made stay unmatched, for an audit to report."""
    placed(backup, clock, State.SUBMITTED)
    add_task(kept, 1, task_id="older", event=False, created_at=AN_HOUR_AGO - timedelta(days=1))
    done = plan(kept, prompt(1), prompt(2), prompt(3))
    assert "older" not in {restored.task_id for restored in done.orders}
