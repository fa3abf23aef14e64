"""Steps back from the end of the lifecycle, and missing rows."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from factories import ORDER_REQUEST, columns_of, remove_row

from seedance_dagster.ledger.errors import StaleOrderError, TaskOwnedError
from seedance_dagster.ledger.order import Reported, State
from seedance_dagster.ledger.repairs import MissingOrder
from seedance_dagster.ledger.tables.schema import orders as order_table

pytestmark = pytest.mark.each_database


def test_a_lost_video_is_fetched_again(ledger, orders, clock):
    """A stored order goes back to its transfer, and its video is to be reported again."""
    order = orders.make(State.STORED, "cat")
    ledger.reports.mark_reported(dict.fromkeys(ledger.reports.links(order.order_id), Reported.STORED))
    order = ledger.queries.get(order.order_id)
    clock.forward(hours=1)
    again = ledger.repairs.fetch_again(
        order, actor="audit 1", video_url="https://v.example.com/a", reason="lost"
    )
    assert (again.state, again.video_url) == (State.SUCCEEDED, "https://v.example.com/a")
    [link] = ledger.reports.links(order.order_id)
    assert link.reported == Reported.SUBMITTED
    assert (again.points_charged, again.task_id, again.sha256) == (4_000_000, order.task_id, order.sha256)
    entry = ledger.queries.journal(order.order_id)[-1]
    assert (entry.actor, entry.from_state, entry.to_state) == ("audit 1", "stored", "succeeded")
    assert entry.detail == {"reason": "lost"}
    [leased] = ledger.tasks.lease_due("w", State.SUCCEEDED, limit=9)
    assert ledger.tasks.stored(leased, actor="w", artifacts={"sha256": "f" * 64}).state is State.STORED


def test_an_order_that_moved_on_is_not_fetched_twice(ledger, orders):
    """Two audits at once send one order back once."""
    order = orders.make(State.STORED, "cat")
    ledger.repairs.fetch_again(order, actor="audit 1", video_url="u", reason="lost")
    with pytest.raises(StaleOrderError):
        ledger.repairs.fetch_again(order, actor="audit 2", video_url="u", reason="lost")
    with pytest.raises(StaleOrderError):
        ledger.repairs.note_repair(order, actor="audit 2", repaired="the manifest")


def test_a_repair_beside_a_video_is_journaled(ledger, orders):
    """The order stays as it is, and the journal says what was repaired and by whom."""
    order = orders.make(State.STORED, "cat")
    assert ledger.repairs.note_repair(order, actor="audit 1", repaired="the manifest") == order
    entry = ledger.queries.journal(order.order_id)[-1]
    assert (entry.actor, entry.from_state, entry.to_state) == ("audit 1", "stored", "stored")
    assert entry.detail == {"repaired": "the manifest"}


def test_only_stored_orders_step_back(ledger, new_order):
    """An order without a video cannot be fetched again."""
    [(order, _)] = ledger.orders.place([new_order("cat")], ORDER_REQUEST)
    with pytest.raises(ValueError, match="cannot go from queued to succeeded"):
        ledger.repairs.fetch_again(order, actor="audit 1", video_url="u", reason="lost")


def test_the_journal_knows_orders_whose_row_is_gone(ledger, orders, new_order, clock):
    """An order without a row is known by its number, its time, its task and its video."""
    assert ledger.repairs.missing_orders() == []
    ordered_at = clock()
    first, _, queued = (
        orders.make(State.STORED, "cat"),
        orders.make(State.STORED, "dog"),
        ledger.orders.place([new_order("frog")], ORDER_REQUEST)[0][0],
    )
    remove_row(ledger, first.order_id)
    remove_row(ledger, queued.order_id)
    missing = ledger.repairs.missing_orders()
    assert [MissingOrder.of(ledger.queries.journal(order_id)) for order_id in missing] == [
        MissingOrder(first.order_id, ordered_at, first.task_id, first.video_key, 4_000_000),
        MissingOrder(queued.order_id, ordered_at),
    ]


def test_a_missing_row_is_restored(ledger, orders):
    """It has its number, columns and journal again, and the journal says who restored it from what."""
    before = orders.make(State.STORED, "cat")
    orders.make(State.STORED, "dog")
    remove_row(ledger, before.order_id)
    after = ledger.repairs.restore(
        columns_of(before), order_id=before.order_id, actor="audit 1", source="a/manifest.json"
    )
    assert after == before
    assert ledger.repairs.missing_orders() == []
    entry = ledger.queries.journal(before.order_id)[-1]
    assert (entry.actor, entry.from_state, entry.to_state) == ("audit 1", None, "stored")
    assert entry.detail == {
        "restored_from": "a/manifest.json",
        "task_id": before.task_id,
        "video_key": before.video_key,
        "points_charged": 4_000_000,
    }


def test_a_number_that_is_taken_is_replaced(ledger, orders):
    """When another order has its number by now, the row gets a new one; later orders come after it."""
    before, other = orders.make(State.STORED, "cat"), orders.make(State.STORED, "dog")
    remove_row(ledger, before.order_id)
    after = ledger.repairs.restore(columns_of(before), order_id=other.order_id, actor="audit 1", source="s")
    assert after.order_id not in (before.order_id, other.order_id)
    assert orders.make(State.STORED, "frog").order_id > after.order_id


def test_an_existing_row_is_not_restored(ledger, orders):
    """When another order has its task or its attempt, nothing is changed."""
    order = orders.make(State.STORED, "cat")
    with pytest.raises(TaskOwnedError):
        ledger.repairs.restore(columns_of(order), order_id=None, actor="audit 1", source="s")
    with pytest.raises(StaleOrderError, match="attempt 1 of spots/cat has a row again"):
        ledger.repairs.restore(
            columns_of(order) | {"task_id": "t9"}, order_id=None, actor="audit 1", source="s"
        )
    with ledger._database.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(order_table)) == 1


def test_the_number_of_a_deleted_row_is_never_reused(ledger, orders):
    """Otherwise the journal of another order would hide that a row was deleted."""
    newest = orders.make(State.STORED, "cat")
    remove_row(ledger, newest.order_id)
    assert orders.make(State.STORED, "dog").order_id > newest.order_id
    assert ledger.repairs.missing_orders() == [newest.order_id]
