"""Matching of the vendor's tasks to the orders whose reply was lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factories import NOW, make_order, make_task
from hypothesis import given
from hypothesis import strategies as st

from seedance_dagster.engine.reconcile.matching import CLOCK_SKEW, Matches, differences, match, may_answer

IMAGE = ["https://cdn.example.com/a.png"]


def task_of(number=1, *, minutes=0.0, task_type="seedance-2-fast", **given):
    """Return a task that echoes the order's request, with other or further fields; None leaves one out."""
    echoed = {"prompt": "a cat", "mode": "text_to_video", "duration": 4} | given
    return make_task(
        number,
        task_type=task_type,
        created_at=NOW + timedelta(minutes=minutes),
        input={name: value for name, value in echoed.items() if value is not None},
    )


def ids(matches: Matches) -> dict[int, str]:
    return {order_id: task.task_id for order_id, task in matches.adopted.items()}


@pytest.mark.parametrize(
    ("asked", "echoed", "different"),
    [
        ({}, {}, []),
        ({}, {"aspect_ratio": "16:9", "audio": True, "seed": 7}, []),  # the vendor's defaults
        ({}, {"image_urls": [], "video_urls": []}, []),
        ({}, {"prompt": "a dog"}, ["prompt"]),
        ({}, {"mode": "omni_reference"}, ["mode"]),
        ({}, {"duration": 5}, ["duration"]),
        ({}, {"duration": None}, ["duration"]),
        ({"aspect_ratio": "9:16"}, {}, ["aspect_ratio"]),
        ({"aspect_ratio": "9:16"}, {"aspect_ratio": "16:9"}, ["aspect_ratio"]),
        ({"audio": False}, {"audio": False}, []),
        ({"audio": False}, {"audio": True}, ["audio"]),
        ({"image_urls": IMAGE}, {"image_urls": IMAGE}, []),
        ({"image_urls": IMAGE}, {"image_urls": [*IMAGE, *IMAGE]}, ["image_urls"]),
        ({"image_urls": IMAGE}, {}, ["image_urls"]),
        ({}, {"image_urls": IMAGE}, ["image_urls"]),
        ({}, {"task_type": "seedance-2"}, ["task_type"]),
        ({}, {"task_type": ""}, []),  # the vendor did not say
        ({}, {"duration": 5, "mode": None}, ["mode", "duration"]),
    ],
)
def test_a_task_renders_an_order_if_it_echoes_the_request(asked, echoed, different):
    """Requested fields must be echoed; fields left open may be anything but references."""
    order = make_order(request=asked)
    assert sorted(differences(task_of(**echoed), order)) == sorted(different)
    assert may_answer(task_of(**echoed), order) is not bool(different)


@pytest.mark.parametrize(
    ("age", "young"),
    [(timedelta(0), True), (CLOCK_SKEW, True), (CLOCK_SKEW + timedelta(seconds=1), False), (None, True)],
)
def test_a_task_older_than_the_order_is_not_its_own(age, young):
    """A task from before the order, beyond the clocks' difference, is not the order's."""
    order = make_order()
    task = task_of().model_copy(update={"created_at": None if age is None else order.ordered_at - age})
    assert may_answer(task, order) is young


def test_identical_orders_take_identical_tasks_one_each_by_time():
    """The first order claimed takes the oldest task, and so on."""
    first, second, third = (
        make_order(order_id, claimed_at=NOW + timedelta(seconds=seconds))
        for order_id, seconds in ((3, 1), (1, 2), (2, 3))
    )
    tasks = [task_of(30, minutes=3), task_of(10, minutes=1), task_of(20, minutes=2)]
    matches = match([third, first, second], tasks)
    assert ids(matches) == {3: "task-10", 1: "task-20", 2: "task-30"}
    assert matches.ambiguous == frozenset()


def test_an_order_without_a_claim_and_a_task_without_a_time_come_first():
    """Missing times sort as long ago, and never crash."""
    orders = [make_order(1), make_order(2, claimed_at=None)]
    tasks = [task_of(1), task_of(2).model_copy(update={"created_at": None})]
    assert ids(match(orders, tasks)) == {2: "task-2", 1: "task-1"}


def test_an_order_that_left_something_open_does_not_take_another_s_task():
    """The order for an upright video gets the upright task, although the open one was claimed first."""
    open_one = make_order(1, claimed_at=NOW)
    upright = make_order(2, claimed_at=NOW + timedelta(seconds=1), request={"aspect_ratio": "9:16"})
    tasks = [task_of(20, aspect_ratio="9:16"), task_of(10, minutes=1)]
    assert ids(match([open_one, upright], tasks)) == {1: "task-10", 2: "task-20"}
    as_rendered = [task_of(20, aspect_ratio="9:16"), task_of(10, minutes=1, aspect_ratio="16:9")]
    assert ids(match([open_one, upright], as_rendered)) == {1: "task-10", 2: "task-20"}
    assert ids(match([open_one], tasks)) == {1: "task-10"}


def test_an_order_beside_an_unmatched_task_with_its_text_is_ambiguous():
    """A task with the order's text but other parameters is neither adopted nor ignored; other texts are."""
    matches = match([make_order(1), make_order(2, request={"prompt": "a dog"})], [task_of(duration=9)])
    assert matches == Matches({}, frozenset({1}))


def test_without_tasks_nothing_is_ambiguous():
    """An empty history makes no order ambiguous."""
    assert match([make_order(1)], []) == Matches({}, frozenset())
    assert match([], [task_of()]) == Matches({}, frozenset())


@given(
    asked=st.lists(
        st.tuples(st.sampled_from(["a cat", "a dog"]), st.sampled_from([None, "9:16"])), max_size=7
    ),
    lost=st.data(),
)
def test_every_task_that_was_made_for_an_order_finds_one_like_it(asked, lost):
    """As many orders are adopted as POSTs made tasks, one to one, each with a task that renders it."""
    orders = [
        make_order(
            number,
            claimed_at=NOW + timedelta(seconds=number),
            request={"prompt": text} | ({"aspect_ratio": ratio} if ratio else {}),
        )
        for number, (text, ratio) in enumerate(asked)
    ]
    made = [order for order in orders if lost.draw(st.booleans())]
    tasks = [
        task_of(
            order.order_id,
            minutes=order.order_id,
            prompt=order.request["prompt"],
            aspect_ratio=order.request.get("aspect_ratio"),
        )
        for order in made
    ]
    matches = match(lost.draw(st.permutations(orders)), lost.draw(st.permutations(tasks)))
    assert len(matches.adopted) == len(tasks)
    assert len({task.task_id for task in matches.adopted.values()}) == len(tasks)
    by_id = {order.order_id: order for order in orders}
    for order_id, task in matches.adopted.items():
        assert differences(task, by_id[order_id]) == []
    assert matches.ambiguous == frozenset()
