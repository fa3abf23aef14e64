"""A lost ledger, by what Dagster's events name."""

from __future__ import annotations

from dataclasses import replace

from restore_world import add_task, forget, only_order, plan, prompt, restore, submission

from seedance_dagster.audit.snapshots import NOT_SUBMITTED


def test_a_second_restoration_changes_nothing(world):
    """A second restoration restores nothing, and names again only what did not come back."""
    restore(world, prompt(1), prompt(2))
    again = plan(world, prompt(1), prompt(2))
    assert (again.orders, again.not_restored) == ((), ())


def test_a_reused_video_comes_back_where_it_was_made(world):
    """An event at a partition that reused a video names the one that it was made for."""
    add_task(world, 3, event=False)
    event = submission(3, "task-3", **{"seedance/made_for": "spots/p3"})
    world.dagster.task_events.append(replace(event, partition="p8"))
    restore(world, prompt(1), prompt(2), prompt(3))
    [order] = world.ledger.queries.find(task_id="task-3")
    assert order.partition == "p3"


def test_a_set_without_anything_in_s3_is_searched(world):
    """The events of a set whose videos are all in flight are found by its file alone."""
    for source in (world.dagster.events, world.dagster.task_events):
        source.clear()
    for task_id in ("task-1", "task-2"):
        forget(world, task_id)
    world.store.objects = {key: body for key, body in world.store.objects.items() if "/p" not in key}
    add_task(world, 3)
    restore(world, prompt(3))
    assert only_order(world).task_id == "task-3"


def test_a_task_that_only_an_observation_names_comes_back(world):
    """Its order was materialized before it had a task, so the task is named by the observation alone."""
    add_task(world, 3, event=False)
    submitted = submission(3, "task-3")
    queued = {"seedance/task_id": NOT_SUBMITTED, "seedance/points_held": 0}
    world.dagster.task_events.append(replace(submitted, metadata={**submitted.metadata, **queued}))
    world.dagster.task_observations.append(submitted)
    forget(world, "task-3")
    restore(world, prompt(1), prompt(2), prompt(3))
    [order] = world.ledger.queries.find(task_id="task-3")
    assert (order.partition, order.attempt) == ("p3", 1)
