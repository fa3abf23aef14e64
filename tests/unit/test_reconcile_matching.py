"""Matching of the vendor's tasks to the orders whose reply was lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factories import NOW, make_order, make_task
from hypothesis import given
from hypothesis import strategies as st

from seedance_dagster.api.limits import Limits
from seedance_dagster.engine.reconcile.clocks import Window
from seedance_dagster.engine.reconcile.matching import Lost, Matcher, Matches, may_be

IMAGE = ["https://cdn.example.com/a.png"]
MATCHER = Matcher(Limits.load())
FIVE = timedelta(minutes=5)


def task_of(number=1, *, seconds=0.0, task_type="seedance-2-fast", **fields):
    """Return a task that echoes the order's request, with other or further fields; None leaves one out."""
    echoed = {"prompt": "a cat", "mode": "text_to_video", "duration": 4} | fields
    return make_task(
        number,
        task_type=task_type,
        created_at=NOW + timedelta(seconds=seconds),
        input={name: value for name, value in echoed.items() if value is not None},
    )


def lost_order(order_id=1, *, seconds=0.0, lasts=30.0, **request) -> Lost:
    """Return an order whose POST was under way for a while."""
    order = make_order(order_id, request=request)
    start = NOW + timedelta(seconds=seconds)
    window = Window(start, start + timedelta(seconds=lasts))
    return Lost(order, window, window, start - FIVE)


def ids(matches: Matches) -> dict[int, str]:
    return {order_id: task.task_id for order_id, task in matches.adopted.items()}


def doubts(matches: Matches) -> dict[int, list[str]]:
    return {order_id: [task.task_id for task in tasks] for order_id, tasks in matches.doubts.items()}


@pytest.mark.parametrize(
    ("asked", "echoed", "different"),
    [
        ({}, {}, []),
        ({}, {"aspect_ratio": "16:9", "audio": True, "resolution": "480p", "seed": 7}, []),  # the defaults
        ({}, {"aspect_ratio": "9:16"}, ["aspect_ratio"]),
        ({}, {"resolution": "1080p"}, ["resolution"]),
        ({}, {"audio": False}, ["audio"]),
        ({"resolution": "480p"}, {}, []),
        ({"resolution": "720p"}, {}, ["resolution"]),
        ({}, {"image_urls": [], "video_urls": []}, []),
        ({}, {"prompt": "a dog"}, ["prompt"]),
        ({}, {"prompt": "a  cat"}, ["prompt"]),  # until the account was seen to do that
        ({}, {"mode": "omni_reference"}, ["mode"]),
        ({}, {"duration": 5}, ["duration"]),
        ({}, {"duration": "4"}, []),
        ({}, {"duration": None}, ["duration"]),
        ({"aspect_ratio": "9:16"}, {}, ["aspect_ratio"]),
        ({"aspect_ratio": "16:9"}, {}, []),
        ({"aspect_ratio": "9:16"}, {"aspect_ratio": "16:9"}, ["aspect_ratio"]),
        ({"audio": False}, {"audio": False}, []),
        ({"audio": False}, {"audio": True}, ["audio"]),
        ({"image_urls": IMAGE}, {"image_urls": IMAGE}, []),
        ({"image_urls": IMAGE}, {"image_urls": ["asset://asset-1"]}, []),
        ({"image_urls": IMAGE}, {"image_urls": ["asset://asset-1", "asset://asset-2"]}, ["image_urls"]),
        ({"image_urls": IMAGE}, {"image_urls": ["https://cdn.example.com/b.png"]}, ["image_urls"]),
        ({"image_urls": IMAGE}, {"image_urls": [*IMAGE, *IMAGE]}, ["image_urls"]),
        ({"image_urls": IMAGE}, {}, ["image_urls"]),
        ({}, {"image_urls": IMAGE}, ["image_urls"]),
        ({}, {"task_type": "seedance-2"}, ["task_type"]),
        ({}, {"task_type": ""}, []),  # the vendor did not say
        ({}, {"duration": 5, "mode": None}, ["mode", "duration"]),
    ],
)
def test_a_task_renders_an_order_if_it_echoes_the_request(asked, echoed, different):
    """Sent fields must be echoed, and those left open are the vendor's default on both sides."""
    assert sorted(MATCHER.differences(task_of(**echoed), make_order(request=asked))) == sorted(different)


@pytest.mark.parametrize(
    ("task_type", "resolution"),
    [("seedance-2-mini", "720p"), ("seedance-2.5-less-restriction", "720p"), ("seedance-2", "480p")],
)
def test_the_default_resolution_is_the_type_s(task_type, resolution):
    """A task that names the default renders an order that left it open."""
    order = make_order(request={"task_type": task_type})
    assert MATCHER.differences(task_of(task_type=task_type, resolution=resolution), order) == []


def test_the_ratio_of_frames_is_the_first_image_s():
    """The echo of a ratio shows nothing where the vendor takes it from the image."""
    order = make_order(request={"mode": "first_last_frames", "image_urls": IMAGE})
    task = task_of(mode="first_last_frames", image_urls=IMAGE, aspect_ratio="4:3")
    assert MATCHER.differences(task, order) == []


def test_changes_that_the_account_has_shown_make_no_difference():
    """They are undone on both sides, in texts and in links."""
    order = make_order(request={"prompt": 'a "cat"', "image_urls": ["https://x.example/?a=1&b=2"]})
    task = task_of(prompt="a &quot;cat&quot;", image_urls=["https://x.example/?a=1&amp;b=2"])
    assert MATCHER.differences(task, order) == ["prompt", "image_urls"]
    assert Matcher(Limits.load(), frozenset({"html"})).differences(task, order) == []


@pytest.mark.parametrize(
    ("fields", "possible"),
    [
        ({"seconds": -301}, False),
        ({"seconds": -299}, True),
        ({"seconds": 9999}, True),
        ({"prompt": "a dog"}, False),
        ({"prompt": "A cat!"}, True),
        ({"duration": 9, "task_type": "seedance-2"}, True),
        ({"prompt": None}, True),
        ({"prompt": None, "task_type": "remove-watermark"}, False),
    ],
)
def test_what_may_be_an_order_s_task(fields, possible):
    """Only a time before its POST, and other letters, or another type without a text, exclude a task."""
    assert may_be(task_of(**fields), lost_order()) is possible


@pytest.mark.parametrize("seconds", [-2, 31])
def test_an_equal_task_of_another_time_is_in_doubt(seconds):
    """It was made before our POST left, or after its reply was given up: a person decides whose it is."""
    matches = MATCHER.match([lost_order()], [task_of(seconds=seconds)])
    assert (ids(matches), doubts(matches)) == ({}, {1: ["task-1"]})


def test_the_task_of_the_window_is_adopted_beside_equal_ones_of_other_times():
    """A colleague's equal task of an hour ago, or of later, takes nothing from ours."""
    tasks = [task_of(1, seconds=-3600), task_of(2, seconds=5), task_of(3, seconds=3600)]
    assert ids(MATCHER.match([lost_order()], tasks)) == {1: "task-2"}


def test_two_candidates_are_a_persons_choice():
    """Two tasks in the window of one order, or one whose text was changed in a way that is not known."""
    tasks = [task_of(1, seconds=5), task_of(2, seconds=6)]
    assert doubts(MATCHER.match([lost_order()], tasks)) == {1: ["task-1", "task-2"]}
    tasks = [task_of(1, seconds=5), task_of(2, seconds=6, prompt="a cat.")]
    assert doubts(MATCHER.match([lost_order()], tasks)) == {1: ["task-1", "task-2"]}
    tasks = [task_of(1, seconds=5), task_of(2).model_copy(update={"created_at": None})]
    assert doubts(MATCHER.match([lost_order()], tasks)) == {1: ["task-1", "task-2"]}


def test_identical_orders_take_identical_tasks_one_each_by_time():
    """Each takes a task of its own window, and the one whose window ends first the oldest."""
    orders = [lost_order(3, seconds=20), lost_order(1, seconds=0), lost_order(2, seconds=10)]
    tasks = [task_of(30, seconds=45), task_of(10, seconds=25), task_of(20, seconds=26)]
    assert ids(MATCHER.match(orders, tasks)) == {1: "task-10", 2: "task-20", 3: "task-30"}


def test_more_tasks_than_orders_are_a_persons_choice():
    """One of them is another program's."""
    orders = [lost_order(1), lost_order(2)]
    tasks = [task_of(number, seconds=number) for number in (1, 2, 3)]
    assert set(doubts(MATCHER.match(orders, tasks))) == {1, 2}


def test_orders_of_one_text_and_other_parameters_take_their_own_tasks():
    """The upright order gets the upright task, the open one that of the default ratio."""
    orders = [lost_order(1), lost_order(2, aspect_ratio="9:16")]
    tasks = [task_of(20, aspect_ratio="9:16"), task_of(10, seconds=1)]
    assert ids(MATCHER.match(orders, tasks)) == {1: "task-10", 2: "task-20"}
    matches = MATCHER.match(orders[:1], tasks)
    assert (ids(matches), doubts(matches)) == ({1: "task-10"}, {})
    assert doubts(MATCHER.match(orders[:1], tasks[:1])) == {1: ["task-20"]}


def test_copies_of_references_do_not_say_whose_task_it_is():
    """A task that fits two requests, since it shows copies of their images, is a person's choice."""
    orders = [lost_order(1, image_urls=IMAGE), lost_order(2, image_urls=["https://cdn.example.com/b.png"])]
    task = task_of(1, seconds=1, image_urls=["asset://asset-1"])
    assert doubts(MATCHER.match(orders, [task])) == {1: ["task-1"], 2: ["task-1"]}
    assert ids(MATCHER.match(orders[:1], [task])) == {1: "task-1"}


def test_without_tasks_nothing_is_in_doubt():
    """An empty history leaves no order in doubt."""
    assert MATCHER.match([lost_order()], []) == Matches({}, {})
    assert MATCHER.match([], [task_of()]) == Matches({}, {})


@given(
    asked=st.lists(
        st.tuples(st.sampled_from(["a cat", "a dog"]), st.sampled_from([None, "9:16"])), max_size=7
    ),
    lost=st.data(),
)
def test_every_task_that_was_made_for_an_order_finds_one_like_it(asked, lost):
    """As many orders are adopted as POSTs made tasks, one to one, each with a task that renders it."""
    orders = [
        lost_order(number, seconds=number, **{"prompt": text} | ({"aspect_ratio": ratio} if ratio else {}))
        for number, (text, ratio) in enumerate(asked)
    ]
    made = [candidate.order for candidate in orders if lost.draw(st.booleans())]
    tasks = [
        task_of(
            order.order_id,
            seconds=order.order_id + 1,
            prompt=order.request["prompt"],
            aspect_ratio=order.request.get("aspect_ratio"),
        )
        for order in made
    ]
    matches = MATCHER.match(lost.draw(st.permutations(orders)), lost.draw(st.permutations(tasks)))
    assert len(matches.adopted) == len(tasks)
    assert len({task.task_id for task in matches.adopted.values()}) == len(tasks)
    by_id = {candidate.order_id: candidate.order for candidate in orders}
    for order_id, task in matches.adopted.items():
        assert MATCHER.differences(task, by_id[order_id]) == []
    assert matches.doubts == {}
