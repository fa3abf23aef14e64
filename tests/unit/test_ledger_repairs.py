"""Steps back from the lifecycle's end, and rows that are gone."""

from __future__ import annotations

import dataclasses

import pytest
import sqlalchemy as sa

from seedance_dagster.ledger.errors import StaleOrderError, TaskOwnedError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.repairs import MissingOrder
from seedance_dagster.ledger.schema import orders as order_table

pytestmark = pytest.mark.each_database


def remove(ledger: Ledger, order_id: int) -> None:
    """Take a row out, as somebody with a database client would."""
    with ledger._database.writing() as connection:
        connection.execute(order_table.delete().where(order_table.c.order_id == order_id))


def columns(order) -> dict[str, object]:
    """An order's row without its number and state."""
    values = {each.name: getattr(order, each.name) for each in dataclasses.fields(order)}
    return {name: value for name, value in values.items() if name not in ("order_id", "state")}


def test_a_lost_video_is_fetched_again(ledger, orders, clock):
    """A stored order goes back to where its video is to be collected, and Dagster is to be told again."""
    order = orders.make(State.STORED, "cat")
    ledger.reports.mark_reported({order.order_id: "stored"})
    order = ledger.queries.get(order.order_id)
    clock.forward(hours=1)
    again = ledger.repairs.fetch_again(
        order, actor="audit 1", video_url="https://v.example.com/a", reason="lost"
    )
    assert (again.state, again.video_url, again.reported) == (
        State.SUCCEEDED,
        "https://v.example.com/a",
        "submitted",
    )
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


def test_what_was_mended_beside_a_video_is_journalled(ledger, orders):
    """The order stays as it is, the journal says what was done and by whom."""
    order = orders.make(State.STORED, "cat")
    assert ledger.repairs.note_repair(order, actor="audit 1", repaired="the manifest") == order
    entry = ledger.queries.journal(order.order_id)[-1]
    assert (entry.actor, entry.from_state, entry.to_state) == ("audit 1", "stored", "stored")
    assert entry.detail == {"repaired": "the manifest"}


def test_only_stored_orders_step_back(ledger, new_order):
    """What never had a video cannot lose it."""
    [(order, _)] = ledger.orders.place([new_order("cat")], _asking())
    with pytest.raises(ValueError, match="cannot go from queued to succeeded"):
        ledger.repairs.fetch_again(order, actor="audit 1", video_url="u", reason="lost")


def test_the_journal_tells_of_rows_that_are_gone(ledger, orders, new_order, clock):
    """An order without a row is known by its number, its time, its task and its video."""
    assert ledger.repairs.missing_orders() == []
    ordered_at = clock()
    first, _, queued = (
        orders.make(State.STORED, "cat"),
        orders.make(State.STORED, "dog"),
        ledger.orders.place([new_order("frog")], _asking())[0][0],
    )
    remove(ledger, first.order_id)
    remove(ledger, queued.order_id)
    assert ledger.repairs.missing_orders() == [
        MissingOrder(first.order_id, ordered_at, first.task_id, first.video_key, 4_000_000),
        MissingOrder(queued.order_id, ordered_at),
    ]


def test_a_removed_row_is_written_again(ledger, orders):
    """It has its number, its columns and its journal again, which says who restored it and from what."""
    before = orders.make(State.STORED, "cat")
    orders.make(State.STORED, "dog")
    remove(ledger, before.order_id)
    after = ledger.repairs.restore(
        columns(before), order_id=before.order_id, actor="audit 1", source="a/manifest.json"
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


def test_a_number_that_is_taken_or_unknown_is_replaced(ledger, orders):
    """Where its number is somebody else's by now, the row gets a new one; later orders go on after it."""
    before, other = orders.make(State.STORED, "cat"), orders.make(State.STORED, "dog")
    remove(ledger, before.order_id)
    after = ledger.repairs.restore(columns(before), order_id=other.order_id, actor="audit 1", source="s")
    assert after.order_id not in (before.order_id, other.order_id)
    assert orders.make(State.STORED, "frog").order_id > after.order_id


def test_a_row_that_is_there_is_not_written_again(ledger, orders):
    """Neither its task nor its attempt may be anybody's already; nothing is changed then."""
    order = orders.make(State.STORED, "cat")
    with pytest.raises(TaskOwnedError):
        ledger.repairs.restore(columns(order), order_id=None, actor="audit 1", source="s")
    with pytest.raises(StaleOrderError, match="attempt 1 of spots/cat has a row again"):
        ledger.repairs.restore(columns(order) | {"task_id": "t9"}, order_id=None, actor="audit 1", source="s")
    with ledger._database.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(order_table)) == 1


def _asking():
    from seedance_dagster.ledger.orders import OrderRequest

    return OrderRequest(idempotency_key="c", run_id="r")


def test_the_number_of_a_removed_row_is_never_given_again(ledger, orders):
    """Else the journal of another order would hide that a row was taken out."""
    newest = orders.make(State.STORED, "cat")
    remove(ledger, newest.order_id)
    assert orders.make(State.STORED, "dog").order_id > newest.order_id
    assert [each.order_id for each in ledger.repairs.missing_orders()] == [newest.order_id]
