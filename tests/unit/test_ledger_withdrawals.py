"""Withdrawals: an order is sent exactly if a prompt still asks for it."""

from __future__ import annotations

import pytest
from factories import POINTS, read_prompts

from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest, Outcome
from seedance_dagster.money import Window

pytestmark = pytest.mark.each_database


def read(ledger, prompt_set: str = "spots", **fingerprints: str) -> None:
    """Read a prompt set as a run or a tick does."""
    wanted = {key: PartitionRequest(fingerprint) for key, fingerprint in fingerprints.items()}
    ledger.partitions.update(prompt_set, wanted)
    ledger.withdrawals.unwanted([prompt_set], actor="sync")


def take(ledger, limit: int = 9) -> list[str]:
    """Claim what may be sent; return its partitions."""
    return [order.partition for order in ledger.claims.take("w", limit=limit, max_in_flight=None)]


def state(ledger, order) -> tuple[str, str | None]:
    now = ledger.queries.get(order.order_id)
    return now.state, now.error_class


def test_an_edited_prompts_queued_order_is_withdrawn(ledger, orders, new_order):
    """The old request is never sent, its reservation is freed, and it may be ordered again."""
    read(ledger, cat="f-cat", dog="f-dog")
    cat, dog = orders.place("cat", "dog")
    read(ledger, cat="edited", dog="f-dog")
    assert (state(ledger, cat), state(ledger, dog)[0]) == (("failed", "withdrawn"), "queued")
    [usage] = ledger.budgets.usage([Budget(window=Window.TOTAL, points=10 * POINTS)])
    assert (usage.reserved, usage.spent) == (POINTS, 0)
    assert take(ledger) == ["dog"]
    assert ledger.queries.latest("spots").keys() == {"dog"}
    read(ledger, cat="f-cat", dog="f-dog")
    [(again, outcome)] = ledger.orders.place([new_order()], OrderRequest(idempotency_key="c", run_id="r"))
    assert (again.attempt, outcome) == (2, Outcome.ORDERED)


def test_a_removed_prompts_queued_order_is_withdrawn_after_a_minute(ledger, orders, clock):
    """For a minute, a removed prompt is neither withdrawn nor sent, since its file may be half written."""
    read(ledger, cat="f-cat", dog="f-dog")
    cat, _ = orders.place("cat", "dog")
    read(ledger, dog="f-dog")
    assert take(ledger, limit=1) == ["dog"]
    assert (take(ledger), state(ledger, cat)[0]) == ([], "queued")
    clock.forward(seconds=61)
    read(ledger, dog="f-dog")
    assert state(ledger, cat) == ("failed", "withdrawn")


def test_a_prompt_that_comes_back_at_once_is_sent(ledger, orders, clock):
    """An undone edit of a file costs a minute at most."""
    read(ledger, cat="f-cat")
    [cat] = orders.place("cat")
    read(ledger)
    assert take(ledger) == []
    read(ledger, cat="f-cat")
    clock.forward(seconds=61)
    assert (take(ledger), state(ledger, cat)[0]) == (["cat"], "claimed")


def test_what_another_partition_asks_for_is_sent(ledger, orders):
    """A prompt that got another id, or that another set has as well, is still wanted."""
    read(ledger, cat="f-cat", dog="f-dog")
    read(ledger, "other", fox="f-dog")
    orders.place("cat", "dog")
    read(ledger, kitty="f-cat", dog="edited")
    assert sorted(take(ledger)) == ["cat", "dog"]


def test_what_no_file_was_read_for_is_sent(ledger, orders):
    """Sets that the ledger knows nothing about, and sets whose file is broken, lose nothing."""
    orders.place("cat")
    read(ledger, "other", cat="edited")
    assert take(ledger) == ["cat"]


def test_a_retry_after_vendor_trouble_asks_again_whether_it_is_wanted(ledger, orders, clock):
    """The next attempt of an edited prompt is withdrawn when its turn comes."""
    read(ledger, cat="f-cat")
    order = orders.make(State.SUBMITTED)
    read(ledger, cat="edited")
    orders.advance(order, State.FAILED, retry_at=clock())
    again = ledger.queries.next_attempt(order)
    assert take(ledger) == []
    assert state(ledger, again) == ("failed", "withdrawn")
    assert "edited or removed" in ledger.queries.journal(again.order_id)[-1].detail["reason"]


def test_what_is_at_the_vendor_is_not_withdrawn(ledger, orders):
    """Only what was not sent can be taken back."""
    read_prompts(ledger, "spots", {"cat": "f-cat"})
    order = orders.make(State.SUBMITTED)
    read(ledger, cat="edited")
    assert state(ledger, order)[0] == "submitted"


def test_queued_orders_are_cancelled_by_hand(ledger, orders):
    """A partition, a set or everything; what is sent stays, and what is asked for may be ordered again."""
    orders.place("cat", "dog")
    orders.place("elk", prompt_set="other")
    sent = orders.make(State.SUBMITTED, "fox")
    cancel = ledger.withdrawals.cancel
    assert [order.partition for order in cancel("spots", "cat", actor="ann")] == ["cat"]
    assert [order.partition for order in cancel("spots", None, actor="ann")] == ["dog"]
    assert [order.partition for order in cancel(None, None, actor="ann")] == ["elk"]
    assert cancel(None, None, actor="ann") == []
    assert state(ledger, sent)[0] == "submitted"
