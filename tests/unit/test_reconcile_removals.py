"""Lost replies of POSTs that remove a watermark: the video that was sent decides whose a task is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factories import NOW, make_order, make_task

from seedance_dagster.api.limits import Limits
from seedance_dagster.engine.reconcile.clocks import Window
from seedance_dagster.engine.reconcile.matching import Lost, Matcher, may_be

LINK = "https://files.example.com/a.mp4"
MATCHER = Matcher(Limits.load())


def lost_removal(order_id=1, link=LINK) -> Lost:
    """Return the removal of a watermark whose POST was under way for half a minute."""
    order = make_order(order_id, source_order_id=100 + order_id, source_url=link)
    window = Window(NOW, NOW + timedelta(seconds=30))
    return Lost(order, window, window, NOW - timedelta(minutes=5))


def removal_task(number=1, *, task_type="remove-watermark", seconds=1, **echoed):
    """Return a task as the vendor shows it."""
    at = NOW + timedelta(seconds=seconds)
    return make_task(number, task_type=task_type, created_at=at, input=echoed)


@pytest.mark.parametrize(
    ("task", "different", "possible"),
    [
        ({"video_url": LINK}, [], True),
        ({"video_url": f"{LINK}?X-Amz-Date=1&X-Amz-Signature=abc"}, [], True),
        ({"video_url": "asset://asset-1"}, [], True),
        ({"video_url": LINK, "task_type": ""}, [], True),
        ({"video_url": "https://files.example.com/b.mp4"}, ["video_url"], False),
        ({}, ["video_url"], True),
        ({"video_url": ["x"]}, ["video_url"], False),
        ({"video_url": LINK, "task_type": "seedance-2"}, ["task_type"], False),
        ({"prompt": "a cat", "task_type": ""}, ["video_url"], False),
    ],
)
def test_the_video_decides(task, different, possible):
    """An echo of the link that was sent is compared as a reference is."""
    lost = lost_removal()
    assert MATCHER.differences(removal_task(**task), lost.order) == different
    assert may_be(removal_task(**task), lost) is possible


def test_each_removal_takes_the_task_of_its_video():
    """Two lost at once differ in their links, and others' removals are not in doubt."""
    other = "https://files.example.com/b.mp4"
    tasks = [
        removal_task(1, video_url=other),
        removal_task(2, video_url=LINK),
        removal_task(3, video_url="https://elsewhere.example.com/c.mp4"),
    ]
    matches = MATCHER.match([lost_removal(1), lost_removal(2, other)], tasks)
    assert {order_id: task.task_id for order_id, task in matches.adopted.items()} == {
        1: "task-2",
        2: "task-1",
    }
    assert matches.doubts == {}


def test_two_tasks_of_one_video_leave_a_doubt():
    """A person decides which of them is the order's."""
    tasks = [removal_task(1, video_url=LINK), removal_task(2, video_url=LINK)]
    matches = MATCHER.match([lost_removal()], tasks)
    assert matches.adopted == {}
    assert {task.task_id for task in matches.doubts[1]} == {"task-1", "task-2"}


def test_a_task_that_shows_no_video_leaves_a_doubt():
    """It may be the order's, so nothing is sent again."""
    matches = MATCHER.match([lost_removal()], [removal_task()])
    assert (matches.adopted, set(matches.doubts)) == ({}, {1})


def test_a_removal_is_never_taken_for_the_task_of_another_order():
    """An order that renders a video is neither given one nor kept waiting by one."""
    order = make_order(1)
    window = Window(NOW, NOW + timedelta(seconds=30))
    matches = MATCHER.match([Lost(order, window, window, NOW)], [removal_task(video_url=LINK)])
    assert (matches.adopted, matches.doubts) == ({}, {})
