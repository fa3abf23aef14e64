"""Videos whose watermark a second task removes, over real HTTP: two charges, each once, and no video lost."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from plant_support import make_known, waiting_run
from watermark_support import (
    REMOVAL_POINTS,
    VIDEO_POINTS,
    know_the_price,
    pair_of,
    place_cleaned,
    preview,
    quotes_of,
)

from seedance_dagster.engine.events import Ended, Stored, Submitted
from seedance_dagster.engine.ordering.quote import OrderingError
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.order import WITHDRAWN, State
from seedance_dagster.ledger.orders import Outcome
from seedance_dagster.money import Window

pytestmark = pytest.mark.integration


def removals(engine) -> list[dict]:
    """Return the tasks of the vendor's books that remove a watermark."""
    return [task for task in engine.books()["tasks"] if task["request"]["task_type"] == "remove-watermark"]


def test_a_preview_is_stored_without_its_watermark(start_engine):
    """Both tasks are paid once, the partition shows the clean video, and its manifest names both charges."""
    with start_engine() as engine:
        know_the_price(engine)
        placed = place_cleaned(engine, preview("a cat"))
        events = waiting_run(engine, placed)
        assert [type(event) for event in events].count(Stored) == 2
        source, removal = pair_of(engine)
        assert (source.state, removal.state) == (State.STORED, State.STORED)
        assert removal.source_order_id == source.order_id
        assert placed[0].order.order_id == removal.order_id
        engine.assert_paid_once(2)
        [current] = engine.ledger.videos.current("spots")
        assert current.order.order_id == removal.order_id
        store = engine.services.store
        assert store.get_bytes(source.video_key) != store.get_bytes(removal.video_key)
        manifest = json.loads(store.get_bytes(removal.manifest_key))
        assert manifest["task_id"] == removal.task_id
        assert manifest["points_charged"] == REMOVAL_POINTS
        assert manifest["source"]["task_id"] == source.task_id
        assert manifest["source"]["points_charged"] == VIDEO_POINTS
        assert manifest["request"]["task_type"] == "seedance-2-preview"
        assert "remove_watermark" not in manifest["request"]["input"]
        assert removal.video_points == VIDEO_POINTS + REMOVAL_POINTS


def test_both_are_counted_from_the_beginning(start_engine):
    """A quote is the sum of both prices, and a budget with room for one of the two orders nothing."""
    with start_engine() as engine:
        know_the_price(engine)
        [quoted] = quotes_of(engine, preview("a cat"))
        assert quoted.estimate.points == VIDEO_POINTS + REMOVAL_POINTS
        small = Budget(window=Window.TOTAL, points=VIDEO_POINTS + REMOVAL_POINTS - 1)
        with pytest.raises(OrderingError, match=r"1 new video may cost up to 0\.80 USD"):
            place_cleaned(engine, preview("a cat"), budgets=(small,))
        assert engine.ledger.queries.find() == []
        exact = Budget(window=Window.TOTAL, points=VIDEO_POINTS + REMOVAL_POINTS)
        place_cleaned(engine, preview("a cat"), budgets=(exact,))
        [usage] = engine.ledger.budgets.usage([exact])
        assert (usage.reserved, usage.remaining) == (VIDEO_POINTS + REMOVAL_POINTS, 0)


def test_without_a_price_nothing_is_ordered(start_engine):
    """The error names the prompt and the row to add."""
    with start_engine() as engine:
        row = r"p0: remove_watermark .*\{type: remove-watermark, usd_per_second: 0\.02\}.*SEEDANCE_PRICES"
        with pytest.raises(OrderingError, match=row):
            place_cleaned(engine, preview("a cat"))
        assert engine.ledger.queries.find() == []
        assert engine.books()["summary"]["tasks"] == 0


@pytest.mark.parametrize(
    "fault",
    ["lost-reply", *(pytest.param(fault, marks=pytest.mark.further) for fault in ("500-after", "cut-reply"))],
)
def test_a_lost_reply_of_the_removal_pays_once(start_engine, fault):
    """The task of a lost reply is adopted by its link to the video, and paid once."""
    with start_engine() as engine:
        know_the_price(engine)
        make_known(engine)
        placed = place_cleaned(engine, preview("a cat"))

        def lose(event):
            lost = isinstance(event, Submitted) and event.order.source_order_id is None
            engine.control("faults", **({fault: 1.0} if lost else {}))

        waiting_run(engine, placed, on_event=lose)
        source, removal = pair_of(engine)
        assert (source.state, removal.state) == (State.STORED, State.STORED)
        steps = [entry.to_state for entry in engine.ledger.queries.journal(removal.order_id)]
        assert steps == ["queued", "claimed", "uncertain", "submitted", "succeeded", "stored"]
        assert len(removals(engine)) == 1
        engine.assert_paid_once(3)


@pytest.mark.long
def test_a_removal_that_made_no_task_is_requeued(start_engine):
    """After two complete scans without its task a removal is sent again, with a fresh link."""
    with start_engine({"stale_after_s": 1.0}) as engine:
        know_the_price(engine)
        make_known(engine)
        placed = place_cleaned(engine, preview("a cat"))

        def fail(event):
            sent = isinstance(event, Submitted) and event.order.source_order_id is None
            engine.control("faults", **({"500-before": 1.0} if sent else {}))

        waiting_run(engine, placed, on_event=fail)
        _, removal = pair_of(engine)
        steps = [entry.to_state for entry in engine.ledger.queries.journal(removal.order_id)]
        assert steps[:4] == ["queued", "claimed", "uncertain", "queued"]
        assert removal.state is State.STORED
        assert len(removals(engine)) == 1
        assert engine.books()["summary"]["balanced"]


def test_a_rejected_source_costs_no_removal(start_engine):
    """The removal is withdrawn without a task, and ordering it again is skipped as the source is."""
    with start_engine() as engine:
        know_the_price(engine)
        prompt = preview("bad [fault:moderation]")
        events = waiting_run(engine, place_cleaned(engine, prompt))
        assert [type(event) for event in events].count(Ended) == 2
        source, removal = pair_of(engine)
        assert source.state is State.REJECTED
        assert (removal.state, removal.error_class, removal.task_id) == (State.FAILED, WITHDRAWN, None)
        assert str(source.order_id) in str(removal.error_message)
        [again] = place_cleaned(engine, prompt, key="d")
        assert (again.outcome, again.order.order_id) == (Outcome.SKIPPED, source.order_id)
        [forced] = place_cleaned(engine, prompt, key="e", resubmit_rejected=True)
        assert forced.outcome is Outcome.ORDERED
        assert pair_of(engine)[0].attempt == 2


@pytest.mark.long
def test_a_retry_of_the_source_takes_its_place(start_engine):
    """After vendor trouble the removal waits for the next attempt."""
    with start_engine() as engine:
        know_the_price(engine)
        waiting_run(engine, place_cleaned(engine, preview("a cat [fault:vendor-trouble*1]")))
        source, removal = pair_of(engine)
        assert (source.attempt, source.state) == (2, State.STORED)
        assert (removal.attempt, removal.state) == (1, State.STORED)
        assert removal.source_order_id == source.order_id
        assert removal.source["task_id"] == source.task_id


@pytest.mark.parametrize(
    ("fault", "state"), [("moderation", State.REJECTED), ("vendor-trouble", State.FAILED)]
)
@pytest.mark.long
def test_a_removal_without_a_video_leaves_the_one_with_the_watermark(start_engine, fault, state):
    """The partition shows the source's video, and only the removal is paid for again."""
    with start_engine() as engine:
        know_the_price(engine)
        placed = place_cleaned(engine, preview("a cat"))

        def fail(event):
            if isinstance(event, Submitted) and event.order.source_order_id is None:
                engine.control("faults", **{fault: 1.0})

        waiting_run(engine, placed, on_event=fail)
        engine.control("faults")
        source, removal = pair_of(engine)
        assert (source.state, removal.state) == (State.STORED, state)
        [current] = engine.ledger.videos.current("spots")
        assert current.order.order_id == source.order_id
        retried = {"resubmit_rejected": True} if state is State.REJECTED else {}
        [quoted] = quotes_of(engine, preview("a cat"), key="d", **retried)
        assert quoted.estimate.points == REMOVAL_POINTS
        waiting_run(engine, place_cleaned(engine, preview("a cat"), key="d", **retried))
        renders = [task for task in engine.books()["tasks"] if "prompt" in task["request"]["input"]]
        assert len(renders) == 1
        [current] = engine.ledger.videos.current("spots")
        assert current.order.source_order_id == source.order_id


@pytest.mark.further
def test_a_video_that_exists_is_cleaned_without_rendering_it_again(start_engine):
    """The order of the same prompt without the removal is its source, at no cost, and stays its own."""
    with start_engine() as engine:
        know_the_price(engine)
        plain = preview("a cat", name="plain", remove_watermark=False)
        waiting_run(engine, place_cleaned(engine, plain))
        waiting_run(engine, place_cleaned(engine, plain, preview("a cat", name="clean"), key="d"))
        assert len(engine.books()["tasks"]) == 2
        shown = {video.partition: video.order for video in engine.ledger.videos.current("spots")}
        assert shown["clean"].source_order_id == shown["plain"].order_id
        engine.assert_paid_once(2)


@pytest.mark.further
def test_two_workers_pay_for_a_pair_once(start_engine):
    """Two workers make each of the two tasks once, whoever makes which."""
    with start_engine() as engine:
        know_the_price(engine)
        prompts = [preview(f"cat {number}", name=f"p{number}") for number in range(4)]
        placed = place_cleaned(engine, *prompts)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda name: engine.run(placed, owner=name), ["one", "two"]))
        assert {pair_of(engine, f"p{number}")[1].state for number in range(4)} == {State.STORED}
        engine.assert_paid_once(8)


@pytest.mark.further
def test_a_link_that_is_gone_ends_the_removal_without_a_charge(start_engine):
    """The vendor does not find the video; the one with the watermark is stored already."""
    with start_engine() as engine:
        know_the_price(engine)
        plain = preview("a cat", remove_watermark=False)
        waiting_run(engine, place_cleaned(engine, plain))
        [order] = engine.ledger.queries.find()
        engine.control("faults", **{"missing-url": 1.0})
        engine.emulator.emulator.vendor.tasks[order.task_id].quirks["missing-url"] = None
        for link in engine.emulator.emulator.vendor.tasks[order.task_id].links:
            link.dead = True
        waiting_run(engine, place_cleaned(engine, preview("a cat"), key="d"))
        removal = pair_of(engine)[1]
        assert (removal.state, removal.points_charged) == (State.FAILED, 0)
        assert engine.ledger.videos.current("spots")[0].order.order_id == order.order_id
