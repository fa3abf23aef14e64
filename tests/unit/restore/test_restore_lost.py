"""A lost ledger: each kind of order comes back from what vendor, S3 and Dagster know."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from factories import NOW, PENALTY, POINTS, make_request, open_ledger
from order_factory import OrderFactory
from restore_world import (
    AN_HOUR_AGO,
    add_task,
    answer,
    forget,
    lose,
    plan,
    prompt,
    restore,
    submission,
)

from seedance_dagster.api.errors import SeedanceError
from seedance_dagster.api.wire import TaskStatus
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.orders import Outcome
from seedance_dagster.money import Window
from seedance_dagster.prompts.identity import fingerprint
from seedance_dagster.restore.restore import RestoreError, find_place
from seedance_dagster.storage.manifest import Manifest
from seedance_dagster.storage.owner import owner_key

# What no other system knows, and what only the row's way through this ledger says.
LOCAL = ("order_id", "account", "stored_at", "claimed_at", "retries", "due_at", "reserved_points")


def facts(order: Order) -> dict[str, object]:
    """Return what a restored order must have as before."""
    return {name: value for name, value in vars(order).items() if name not in LOCAL}


def test_stored_videos_come_back_from_their_manifests(kept, tmp_path, clock):
    """Each row is as before, so its manifest is the same, and nothing is ordered again (m36)."""
    before = {order.task_id: order for order in kept.ledger.queries.find()}
    identity = kept.ledger.identity
    lose(kept, tmp_path, clock)
    done = restore(kept, prompt(1), prompt(2))
    assert done.not_restored == ()
    after = {order.task_id: order for order in kept.ledger.queries.find()}
    assert {key: facts(order) for key, order in after.items()} == {
        key: facts(order) for key, order in before.items()
    }
    assert [Manifest.of(order) for order in after.values()] == [Manifest.of(before[key]) for key in after]
    assert kept.ledger.identity == identity
    assert answer(kept, prompt(1)) is Outcome.REUSED
    assert kept.audit().findings == ()


def test_a_preview_comes_back_with_its_video(kept, tmp_path, clock):
    """The manifest names it; without that the gallery would play what browsers do not show."""
    key = kept.add(3, preview_key="seedance/spots/p3/preview.mp4").preview_key
    lose(kept, tmp_path, clock)
    restore(kept, prompt(1), prompt(2), prompt(3))
    previews = {order.partition: order.preview_key for order in kept.ledger.queries.find()}
    assert previews == {"p1": None, "p2": None, "p3": key}


def test_nothing_is_written_by_a_plan(world):
    """Without --apply the ledger stays empty, with its own id."""
    identity = world.ledger.identity
    objects = dict(world.store.objects)
    assert len(plan(world, prompt(1), prompt(2)).orders) == 2
    assert world.ledger.queries.find() == []
    assert world.ledger.identity == identity
    assert world.store.objects == objects


def test_dagster_vouches_for_what_the_vendor_forgot(world):
    """A manifest whose task is too old for the vendor comes back where the event of its video agrees."""
    forget(world, "task-1")
    done = restore(world, prompt(1), prompt(2))
    assert done.not_restored == ()
    assert {order.source for order in done.orders} == {
        "its manifest and Dagster's event agree",
        "its manifest and the vendor's task agree",
    }


def test_a_manifest_alone_is_no_evidence(world):
    """A video that neither vendor nor Dagster confirms is named, and not paid for again on its own."""
    forget(world, "task-1")
    world.dagster.events = [event for event in world.dagster.events if event.task_id != "task-1"]
    world.dagster.task_events = [event for event in world.dagster.task_events if event.task_id != "task-1"]
    done = restore(world, prompt(1), prompt(2))
    assert "neither the vendor nor Dagster knows its task" in done.not_restored[0].message
    assert done.not_restored[0].location.startswith("s3://videos/seedance/spots/p1/")
    assert answer(world, prompt(1)) is Outcome.SKIPPED
    assert answer(world, prompt(2)) is Outcome.REUSED


@pytest.mark.parametrize("status", [TaskStatus.FAILED, TaskStatus.PROCESSING])
def test_a_manifest_that_the_vendor_contradicts_is_not_believed(world, status):
    """A manifest of a task that made no video gives no stored order."""
    world.vendor.tasks["task-1"] = world.vendor.tasks["task-1"].model_copy(
        update={"status": status, "raw_status": status.value, "video_url": None}
    )
    world.dagster.events = []
    done = plan(world, prompt(1), prompt(2))
    assert f"the vendor has its task as {status.value}" in done.not_restored[0].message
    assert {order.state for order in done.orders if order.task_id == "task-1"} & {State.STORED} == set()


def test_an_altered_manifest_is_not_believed(world):
    """A manifest that asks for something else than the vendor rendered gives no stored order."""
    key = next(key for key in world.store.objects if "/p1/" in key and key.endswith("manifest.json"))
    altered = json.loads(world.store.objects[key])
    altered["request"]["input"]["prompt"] = "another one"
    world.store.objects[key] = json.dumps(altered).encode()
    world.dagster.events = []
    done = plan(world, prompt(1), prompt(2))
    assert "the vendor's task does not confirm its manifest: prompt" in done.not_restored[0].message


@pytest.mark.sampled(2)
@pytest.mark.parametrize("event", [True, False], ids=["with its event", "by its content"])
@pytest.mark.parametrize(
    ("status", "state"),
    [
        (TaskStatus.PROCESSING, State.SUBMITTED),
        (TaskStatus.UNKNOWN, State.SUBMITTED),
        (TaskStatus.COMPLETED, State.SUCCEEDED),
        (TaskStatus.FAILED, State.FAILED),
    ],
)
def test_tasks_without_a_manifest_come_back_as_they_are(world, status, state, event):
    """A task in flight is followed, a finished one fetched, and a failed one has ended (m36)."""
    add_task(world, 3, status, event=event)
    restore(world, prompt(1), prompt(2), prompt(3))
    [order] = world.ledger.queries.find(task_id="task-3")
    assert (order.state, order.partition, order.attempt, order.retries) == (state, "p3", 1, 0)
    assert order.fingerprint == fingerprint(make_request("cat 3"))
    assert order.booked_at == AN_HOUR_AGO
    again = {State.FAILED: None}.get(state, Outcome.JOINED)
    assert answer(world, prompt(3)) is again


def test_a_rejection_comes_back_with_its_penalty(world):
    """A rejected prompt is not sent again, counts as spent, and as a rejection of its own day."""
    add_task(world, 3, TaskStatus.FAILED, points_charged=PENALTY, logs=("output flagged by content policy",))
    restore(world, prompt(1), prompt(2), prompt(3))
    [order] = world.ledger.queries.find(task_id="task-3")
    assert (order.state, order.points_charged, order.ended_at) == (State.REJECTED, PENALTY, NOW)
    assert answer(world, prompt(3)) is Outcome.SKIPPED


def test_a_forgotten_task_is_not_paid_again(world):
    """A task that only Dagster knows is named, and its prompt is ordered again only on request."""
    world.dagster.task_events.append(submission(3, "task-3"))
    done = restore(world, prompt(1), prompt(2), prompt(3))
    [left] = done.not_restored
    assert left.location == "task task-3"
    assert "the vendor no longer knows its task" in left.message
    assert answer(world, prompt(3)) is Outcome.SKIPPED


def test_tasks_of_nobody_are_named_and_cost_nothing(world):
    """A task that no prompt asks for and no event names is another program's: it has no order."""
    add_task(world, 9, event=False)
    done = restore(world, prompt(1), prompt(2))
    [left] = done.not_restored
    assert (left.location, left.points) == ("task task-9", POINTS)
    assert "no prompt asks for it" in left.message
    assert world.ledger.queries.find(task_id="task-9") == []


def test_equal_tasks_go_to_the_takes_one_by_one(world):
    """Two tasks of one prompt with two takes are the two takes; a third is a further attempt."""
    for number in (1, 2, 3):
        add_task(world, 3, task_id=f"t{number}", event=False, created_at=NOW.replace(minute=number))
    restore(world, prompt(1), prompt(2), prompt(3, takes=2))
    orders = world.ledger.queries.find()
    assert {(order.task_id, order.partition, order.take, order.attempt) for order in orders[2:]} == {
        ("t1", "p3", 1, 1),
        ("t2", "p3.t2", 2, 1),
        ("t3", "p3", 1, 2),
    }


def test_attempts_count_on_after_what_lies_in_s3(world):
    """No later order is given the place of an object whose order is not known."""
    digest = fingerprint(make_request("cat 3"))
    world.store.objects[f"seedance/spots/p3/{digest[:12]}-a4/video.mp4"] = b"video"
    add_task(world, 3, event=False)
    restore(world, prompt(1), prompt(2), prompt(3))
    [order] = world.ledger.queries.find(task_id="task-3")
    assert order.attempt == 5


def test_an_edited_prompt_comes_back_by_the_echo(world):
    """An order whose prompt is no longer in any file is restored from the vendor's task."""
    add_task(world, 3)
    restore(world, prompt(1), prompt(2))
    [order] = world.ledger.queries.find(task_id="task-3")
    assert (order.state, order.request["prompt"]) == (State.SUBMITTED, "cat 3")


def test_the_newest_order_of_a_partition_stays_the_newest(world):
    """An earlier failed attempt that is found after the stored one does not become the newest."""
    add_task(world, 1, TaskStatus.FAILED, task_id="older", attempt=7, created_at=AN_HOUR_AGO.replace(day=1))
    restore(world, prompt(1), prompt(2))
    assert world.ledger.queries.find(prompt_set="spots", limit=1)[0].task_id == "older"
    assert world.ledger.queries.latest("spots")["p1"].state is State.STORED


def test_the_removal_of_a_watermark_comes_back_with_its_source(kept, tmp_path, clock):
    """A video without its watermark is restored together with the order that rendered it."""
    asked = make_request("cat 5", remove_watermark=True)
    source = kept.add(5, request=asked.with_watermark.model_dump(mode="json"))
    facts_of_source = {
        name: getattr(source, name)
        for name in ("order_id", "task_id", "task_type", "points_charged", "estimated_points")
    } | {"price_table": source.price_table, "price_formula": source.price_formula}
    kept.add(
        6,
        partition="p5",
        fingerprint=fingerprint(asked),
        request=asked.model_dump(mode="json"),
        source=facts_of_source,
        source_order_id=source.order_id,
    )
    lose(kept, tmp_path, clock)
    forget(kept, "task-6")  # the event alone vouches for it
    done = restore(kept, prompt(1), prompt(2))
    assert done.not_restored == ()
    [removal] = kept.ledger.queries.find(task_id="task-6")
    [rendered] = kept.ledger.queries.find(task_id="task-5")
    assert (removal.source_order_id, removal.task_type) == (rendered.order_id, "remove-watermark")
    assert removal.request["remove_watermark"] is True


def test_budgets_show_what_was_spent_and_when(world):
    """A charge counts in the window in which its video was ordered."""
    spent = world.ledger.budgets.usage
    budget = Budget(window=Window.TOTAL, points=10 * POINTS)
    assert spent([budget])[0].spent == 0
    add_task(world, 3)
    restore(world, prompt(1), prompt(2), prompt(3))
    [usage] = spent([budget])
    assert (usage.spent, usage.reserved >= POINTS) == (2 * POINTS, True)


def test_an_incomplete_history_is_said(world):
    """A plan says so if the vendor does not show everything: the ledger is not declared up to date."""
    world.vendor.fails["task"] = SeedanceError("down")
    assert "tasks cannot be read: down" in str(plan(world, prompt(1), prompt(2)).problem)


def test_a_ledger_with_orders_takes_no_other_place(world, tmp_path, clock):
    """Only an empty ledger takes the id of the prefix's owner (m14)."""
    with open_ledger(f"sqlite:///{tmp_path}/third.db", clock) as third:
        OrderFactory(third, clock).make(State.QUEUED)
        with pytest.raises(RestoreError, match="orders of its own: set SEEDANCE_LEDGER_URL to a backup"):
            find_place(replace(world.services, ledger=third))
        with pytest.raises(LedgerError, match="only a ledger in which nothing was ordered"):
            third.take_identity(world.ledger.identity)


def test_nothing_is_restored_beside_a_worker(kept, orders, clock):
    """A ledger in which a worker holds an order is in use: it is refused, and the worker named."""
    orders.make(State.CLAIMED, worker="run 7")
    busy = replace(kept.services, ledger=orders.ledger)
    with pytest.raises(RestoreError, match=r"run 7 works with the ledger .* switch off seedance_sensor"):
        find_place(busy)


def test_a_prefix_without_an_owner_leaves_the_id(world):
    """A new ledger keeps its own id if no ledger claimed the prefix."""
    del world.store.objects[owner_key("seedance")]
    place = find_place(world.services)
    assert (place.identity, place.is_new) == (world.ledger.identity, False)
