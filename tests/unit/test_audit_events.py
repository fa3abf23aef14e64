"""The ledger against what Dagster was told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from audit_snapshots import POINTS, books, expected, found, kinds, stored_order, telling
from ledger_states_support import NOW

from seedance_dagster.audit.events import needs_verification, with_tellings
from seedance_dagster.audit.snapshots import DagsterSnapshot, Scope
from seedance_dagster.ledger.order import State

ORDER = stored_order(1)
NOTHING = DagsterSnapshot()


def told(*tellings, observed=()) -> DagsterSnapshot:
    return with_tellings(NOTHING, tellings, observed)


@pytest.mark.parametrize(
    ("reported", "ago", "named"),
    [
        ("stored", timedelta(seconds=1), True),
        ("stored", timedelta(days=1), True),
        ("submitted", timedelta(minutes=5), False),
        (None, timedelta(minutes=5), False),
        (None, timedelta(hours=1), True),
    ],
)
def test_a_stored_video_that_dagster_does_not_show_is_named(reported, ago, named):
    """What Dagster was told must be there; what it was not told yet has half an hour."""
    order = stored_order(1, reported=reported, stored_at=NOW - ago)
    given = found(books([order], dagster=NOTHING))
    assert [each.kind.value for each in given] == ["not_materialized"] * named
    assert all(each.where == "Dagster spots/videos p1" and each.cost_points == POINTS for each in given)


def test_an_observation_is_enough_for_a_video_that_another_one_replaced():
    """A superseded video is observed, not materialized, and that is no difference."""
    old, new = stored_order(1), stored_order(2, partition="p1", attempt=2)
    given = books([old, new], dagster=told(telling(new)))
    assert kinds(given) == ["not_materialized"]
    given = books([old, new], dagster=told(telling(new), observed=[telling(old)]))
    assert found(given) == []


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({}, None),
        ({"metadata": {"seedance/task_id": "task-1"}}, None),
        (
            {"metadata": {"seedance/task_id": "task-1", "seedance/points_consumed": 1}},
            "it differs from the ledger in seedance/points_consumed",
        ),
        ({"data_version": "0"}, "it differs from the ledger in data version"),
        ({"data_version": None}, "it differs from the ledger in data version"),
        ({"metadata": {}}, "the newest materialization names no task; somebody else made it"),
    ],
)
def test_a_materialization_says_what_the_ledger_says(fields, what):
    """Each value that was told is the ledger's; what an older version did not tell is no difference."""
    given = found(books([ORDER], dagster=told(telling(ORDER, **fields), telling(ORDER))))
    assert [each.what for each in given] == ([] if what is None else [what])
    assert all(each.kind.value == "materialization_differs" for each in given)


def test_a_materialization_of_an_order_without_a_video_is_named():
    """Dagster shows no video of an order that the ledger calls refused; one fetched again was told before."""
    refused = replace(ORDER, state=State.REJECTED)
    [each] = found(books([refused], dagster=told(telling(refused))))
    assert each.what == "it shows a video of order 1, which is rejected"
    assert found(books([replace(ORDER, state=State.SUCCEEDED)], dagster=told(telling(ORDER)))) == []


def test_a_materialization_at_another_partition_is_named():
    """A video shown at somebody else's partition disagrees with the ledger."""
    [each] = found(books([ORDER], dagster=told(telling(ORDER, partition="p9"), telling(ORDER))))
    assert each.what == "it differs from the ledger in partition"


def test_the_partition_at_which_a_wrong_event_stands_is_read_again():
    """It is not the partition of the order that the event is about."""
    given = books([ORDER], dagster=told(telling(ORDER, partition="p9"), telling(ORDER)))
    assert needs_verification(given, Scope(), expected) == {"spots": {"p9"}}


def test_the_newest_materialization_of_a_partition_counts():
    """Events come the newest first; a correction hides what was wrong before."""
    wrong = telling(ORDER, data_version="0")
    assert found(books([ORDER], dagster=told(telling(ORDER), wrong))) == []
    assert kinds(books([ORDER], dagster=told(wrong, telling(ORDER)))) == ["materialization_differs"]


def test_partitions_that_differ_are_read_again_first():
    """An event that came while the others were read is found by a second look at its partition."""
    wrong, silent = stored_order(1), stored_order(2)
    given = books([wrong, silent, stored_order(3)])
    newest = {("spots", "p1"): telling(wrong, data_version="0"), ("spots", "p3"): telling(stored_order(3))}
    stale = DagsterSnapshot(
        newest=newest, told={"task-1": telling(wrong), "task-3": telling(stored_order(3))}
    )
    given = replace(given, dagster=stale)
    assert needs_verification(given, Scope(), expected) == {"spots": {"p1", "p2"}}
    fresh = with_tellings(stale, [telling(wrong), telling(silent)])
    assert found(replace(given, dagster=fresh)) == []


def test_a_video_that_was_only_observed_is_named_once_nothing_better_is_coming():
    """Dagster shows nothing where the better order came to nothing; while that is at work that is right."""
    old, refused = stored_order(1), stored_order(2, partition="p1", fingerprint="b", state=State.REJECTED)
    refused = replace(refused, stored_at=None)
    given = books([old, refused], dagster=told(observed=[telling(old)]))
    [each] = found(given)
    assert (each.kind.value, each.order_id) == ("not_materialized", 1)
    assert each.what == "stored, and its partition has no materialization"
    assert needs_verification(given, Scope(), expected) == {"spots": {"p1"}}
    for at_work in (
        replace(refused, state=State.SUBMITTED),
        replace(refused, vendor_ended_at=NOW - timedelta(minutes=5)),
    ):
        assert found(books([old, at_work], dagster=told(observed=[telling(old)]))) == []


def test_an_older_attempt_that_is_shown_is_named():
    """The newest video of a request is what its partition shows; another request's may be the newest yet."""
    old = stored_order(1)
    new = stored_order(2, partition="p1", fingerprint=old.fingerprint, attempt=2)
    shown_old = told(telling(old), observed=[telling(new)])
    [each] = found(books([old, new], dagster=shown_old))
    assert (each.kind.value, each.order_id) == ("materialization_differs", 2)
    assert each.what == "it shows order 1, order 2 of the same request is newer"
    edited = replace(new, fingerprint="b")
    assert found(books([old, edited], dagster=shown_old)) == []


def test_a_materialization_over_nothing_is_named():
    """Where nothing is stored nobody of ours tells of a video, whether something was ordered or not."""
    refused = stored_order(1, state=State.REJECTED)
    blank = telling(refused, metadata={})
    for orders in ([refused], []):
        given = books(orders, dagster=told(blank))
        [each] = found(given)
        assert (each.kind.value, each.partition, each.order_id) == ("materialization_differs", "p1", None)
        assert each.what.endswith("and nothing is stored for it")
    assert found(books([], dagster=told(blank)), since=NOW + timedelta(hours=1)) == []
    assert found(books([], dagster=told(blank)), prompt_set="other") == []


def test_a_foreign_materialization_is_about_the_video_that_should_be_shown():
    """After an edit was taken back that is not the newest order."""
    first, edited = stored_order(1), stored_order(2, partition="p1", fingerprint="b")
    given = books([first, edited], dagster=told(telling(first, metadata={}), telling(first), telling(edited)))
    given = replace(given, ledger=replace(given.ledger, current_videos=frozenset({1})))
    assert [each.order_id for each in found(given)] == [1]


def test_an_order_outside_of_the_scope_is_not_compared():
    """`since` leaves Dagster's side of older orders alone, too."""
    assert kinds(books([ORDER], dagster=NOTHING), since=NOW - timedelta(hours=1)) == []
    foreign = told(telling(ORDER, metadata={}))
    assert kinds(books([ORDER], dagster=foreign), since=NOW - timedelta(hours=1)) == []
