"""The partitions of orders that ended without a video, and of prompts without an order."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from seedance_dagster.defs.steps.reporter import Reporter
from seedance_dagster.engine.services import Services
from seedance_dagster.health import NoVideoReason
from seedance_dagster.ledger.order import Order, Reported, State

TASKS, VIDEOS = dg.AssetKey(["spots", "tasks"]), dg.AssetKey(["spots", "videos"])


@pytest.fixture
def reporter(ledger) -> Iterator[Reporter]:
    """The reporter of the set `spots`."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Reporter(instance, Services(ledger=ledger, open_client=lambda: None, store=None), "spots")


def shown(event: dg.AssetMaterialization | dg.AssetObservation) -> dict[str, object]:
    return {name: value.value for name, value in event.metadata.items()}


def marks(ledger, order: Order) -> list[str | None]:
    return [link.reported for link in ledger.reports.links(order.order_id)]


def test_the_partition_of_a_rejected_order_says_what_happened(ledger, orders, reporter):
    """Both assets show state, reason, the vendor's log, the charge and what to do; no data version."""
    order = orders.make(State.REJECTED, reason="violence", outcome={"vendor_logs": ["first", "second"]})
    before, events = [], []
    for event in reporter.ended(order):
        events.append(event)
        before += marks(ledger, order)
    task, *observations = events
    assert isinstance(task, dg.AssetMaterialization)
    assert shown(task)["seedance/state"] == "rejected"
    assert [(event.asset_key, event.partition) for event in observations] == [(TASKS, "cat"), (VIDEOS, "cat")]
    for event in observations:
        assert isinstance(event, dg.AssetObservation)
        assert event.tags == {}
        assert shown(event) == {
            "seedance/state": "rejected",
            "seedance/reason": "rejected by moderation: violence",
            "seedance/what_to_do": "edit the prompt, or set resubmit_rejected in a run's config",
            "seedance/charged_usd": 0.005,
            "seedance/task_id": "t-1",
            "seedance/fingerprint": order.fingerprint,
            "seedance/attempt": 1,
            "seedance/vendor_log": "first; second",
        }
        assert (
            event.description
            == f"cat: {shown(event)['seedance/reason']}; {shown(event)['seedance/what_to_do']}"
        )
    # Noted last: a process that is killed before reports it again.
    assert (set(before), marks(ledger, order)) == ({None, Reported.SUBMITTED}, [Reported.ENDED])


def test_an_unknown_charge_is_not_shown_as_free(ledger, orders, reporter):
    """An unknown charge is not shown as free; the observation says what it counts as until it is booked."""
    order = orders.make(State.FAILED, charged=None)
    observation = shown(list(reporter.ended(order))[-1])
    assert "seedance/charged_usd" not in observation
    assert "counts as 0.40 USD" in str(observation["seedance/charge_unknown"])
    assert "it was paid for" in str(observation["seedance/what_to_do"])


def test_a_withdrawn_order_cost_nothing(ledger, orders, reporter):
    """The partition of a withdrawn order says that it cost nothing, and no task is materialized."""
    [order] = orders.place("cat")
    [withdrawn] = ledger.withdrawals.cancel("spots", "cat", actor="ann")
    tasks, videos = map(shown, reporter.again(withdrawn))
    assert tasks == videos
    assert (tasks["seedance/state"], tasks["seedance/charged_usd"]) == ("withdrawn", 0.0)
    assert tasks["seedance/reason"] == "withdrawn: cancelled by ann; it cost nothing"
    assert marks(ledger, order) == [Reported.ENDED]


def test_an_end_behind_another_order_is_not_shown(ledger, orders, reporter):
    """The partition continues to show the order that stands for it."""
    order = orders.make(State.REJECTED)
    orders.place("cat", fingerprint="edited")
    assert not [event for event in reporter.ended(order) if "seedance/reason" in event.metadata]
    assert marks(ledger, order) == [Reported.ENDED]


def test_a_partition_without_an_order_says_why(reporter):
    """A prompt that a budget declined, or whose reference is invalid, is observed as not ordered."""
    tasks, videos = reporter.not_ordered({"cat": NoVideoReason("the budget has no room", "wait")})
    assert (tasks.asset_key, videos.asset_key) == (TASKS, VIDEOS)
    assert shown(videos) == {
        "seedance/state": "not ordered",
        "seedance/reason": "the budget has no room",
        "seedance/what_to_do": "wait",
    }
