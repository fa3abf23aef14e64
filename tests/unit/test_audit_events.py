"""The ledger against Dagster's events."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from audit_snapshots import POINTS, event_of, expected, findings, kinds, make_snapshots, stored_order
from factories import NOW

from seedance_dagster.audit.events import partitions_to_verify, with_events
from seedance_dagster.audit.snapshots import DagsterSnapshot, Scope
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.partitions import Link

ORDER = stored_order(1)
EMPTY = DagsterSnapshot()


def dagster(*materializations, observed=()) -> DagsterSnapshot:
    return with_events(EMPTY, materializations, observed)


@pytest.mark.parametrize(
    ("reported", "ago", "is_finding"),
    [
        ("stored", timedelta(seconds=1), True),
        ("stored", timedelta(days=1), True),
        ("submitted", timedelta(minutes=5), False),
        (None, timedelta(minutes=5), False),
        (None, timedelta(hours=1), True),
    ],
)
def test_a_stored_video_without_a_materialization_is_a_finding(reported, ago, is_finding):
    """A reported video must be there; one that was not reported yet has half an hour."""
    order = stored_order(1, stored_at=NOW - ago)
    snapshots = make_snapshots([order], dagster=EMPTY)
    links = {1: [Link("spots", "p1", 1, reported)]}
    result = findings(replace(snapshots, ledger=replace(snapshots.ledger, links=links)))
    assert [finding.kind.value for finding in result] == ["not_materialized"] * is_finding
    assert all(
        finding.location == "Dagster spots/videos p1" and finding.cost_points == POINTS for finding in result
    )


def test_an_observation_is_enough_for_a_video_that_another_one_replaced():
    """A superseded video is observed, not materialized, and that is not a difference."""
    old, new = stored_order(1), stored_order(2, partition="p1", attempt=2)
    snapshots = make_snapshots([old, new], dagster=dagster(event_of(new)))
    assert kinds(snapshots) == ["not_materialized"]
    snapshots = make_snapshots([old, new], dagster=dagster(event_of(new), observed=[event_of(old)]))
    assert findings(snapshots) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, None),
        ({"metadata": {"seedance/task_id": "task-1"}}, None),
        (
            {"metadata": {"seedance/task_id": "task-1", "seedance/points_consumed": 1}},
            "it differs from the ledger in seedance/points_consumed",
        ),
        ({"data_version": "0"}, "it differs from the ledger in data version"),
        ({"data_version": None}, "it differs from the ledger in data version"),
        ({"metadata": {}}, "the newest materialization names no task: another program reported it"),
    ],
)
def test_a_materialization_agrees_with_the_ledger(fields, message):
    """Every reported value is the ledger's; a value that an older version did not report is not compared."""
    result = findings(make_snapshots([ORDER], dagster=dagster(event_of(ORDER, **fields), event_of(ORDER))))
    assert [finding.message for finding in result] == ([] if message is None else [message])
    assert all(finding.kind.value == "materialization_differs" for finding in result)


def test_a_materialization_of_an_order_without_a_video_is_a_finding():
    """Dagster shows no video of a rejected order; a video that is fetched again was reported before."""
    rejected = replace(ORDER, state=State.REJECTED)
    [finding] = findings(make_snapshots([rejected], dagster=dagster(event_of(rejected))))
    assert finding.message == "it shows a video of order 1, which is rejected"
    assert (
        findings(make_snapshots([replace(ORDER, state=State.SUCCEEDED)], dagster=dagster(event_of(ORDER))))
        == []
    )


def test_a_materialization_at_another_partition_is_a_finding():
    """A video shown at another partition disagrees with the ledger."""
    [finding] = findings(
        make_snapshots([ORDER], dagster=dagster(event_of(ORDER, partition="p9"), event_of(ORDER)))
    )
    assert finding.message == "it differs from the ledger in partition"


def test_the_partition_that_has_a_wrong_event_is_read_again():
    """It may not be the partition of the order that the event names."""
    snapshots = make_snapshots([ORDER], dagster=dagster(event_of(ORDER, partition="p9"), event_of(ORDER)))
    assert partitions_to_verify(snapshots, Scope(), expected) == {"spots": {"p9"}}


def test_the_newest_materialization_of_a_partition_counts():
    """Events are read newest first, so a correction hides an older mistake."""
    wrong = event_of(ORDER, data_version="0")
    assert findings(make_snapshots([ORDER], dagster=dagster(event_of(ORDER), wrong))) == []
    assert kinds(make_snapshots([ORDER], dagster=dagster(wrong, event_of(ORDER)))) == [
        "materialization_differs"
    ]


def test_partitions_that_differ_are_read_again():
    """An event that was recorded during the audit is found when its partition is read again."""
    wrong, silent = stored_order(1), stored_order(2)
    snapshots = make_snapshots([wrong, silent, stored_order(3)])
    newest = {("spots", "p1"): event_of(wrong, data_version="0"), ("spots", "p3"): event_of(stored_order(3))}
    stale = replace(
        snapshots.dagster,
        newest=newest,
        reported={"task-1": event_of(wrong), "task-3": event_of(stored_order(3))},
    )
    snapshots = replace(snapshots, dagster=stale)
    assert partitions_to_verify(snapshots, Scope(), expected) == {"spots": {"p1", "p2"}}
    fresh = with_events(stale, [event_of(wrong), event_of(silent)])
    assert findings(replace(snapshots, dagster=fresh)) == []


def test_a_video_that_was_only_observed_is_a_finding_when_no_newer_one_is_coming():
    """A partition without a materialization is right only while a newer order is under way."""
    old, rejected = stored_order(1), stored_order(2, partition="p1", fingerprint="b", state=State.REJECTED)
    rejected = replace(rejected, stored_at=None)
    snapshots = make_snapshots([old, rejected], dagster=dagster(observed=[event_of(old)]))
    [finding] = findings(snapshots)
    assert (finding.kind.value, finding.order_id) == ("not_materialized", 1)
    assert finding.message == "it is stored and its partition has no materialization"
    assert partitions_to_verify(snapshots, Scope(), expected) == {"spots": {"p1"}}
    for under_way in (
        replace(rejected, state=State.SUBMITTED),
        replace(rejected, vendor_ended_at=NOW - timedelta(minutes=5)),
    ):
        assert findings(make_snapshots([old, under_way], dagster=dagster(observed=[event_of(old)]))) == []


def test_an_older_attempt_that_hides_the_current_video_is_a_finding():
    """A partition shows the newest video of its request; a newer video of another request is fine."""
    old = stored_order(1)
    new = stored_order(2, partition="p1", fingerprint=old.fingerprint, attempt=2)
    shown_old = dagster(event_of(old), observed=[event_of(new)])
    [finding] = findings(make_snapshots([old, new], dagster=shown_old))
    assert (finding.kind.value, finding.order_id) == ("materialization_differs", 2)
    assert finding.message == "it shows order 1; order 2 of the same request is newer"
    edited = replace(new, fingerprint="b")
    assert findings(make_snapshots([old, edited], dagster=shown_old)) == []


def test_a_materialization_without_a_stored_video_is_a_finding():
    """This package never reports a video for a partition without one, ordered or not."""
    rejected = stored_order(1, state=State.REJECTED)
    blank = event_of(rejected, metadata={})
    for orders in ([rejected], []):
        snapshots = make_snapshots(orders, dagster=dagster(blank))
        [finding] = findings(snapshots)
        assert (finding.kind.value, finding.partition, finding.order_id) == (
            "materialization_differs",
            "p1",
            None,
        )
        assert finding.message.endswith("and no video is stored for the partition")
    assert findings(make_snapshots([], dagster=dagster(blank)), since=NOW + timedelta(hours=1)) == []
    assert findings(make_snapshots([], dagster=dagster(blank)), prompt_set="other") == []


def test_a_foreign_materialization_is_a_finding_about_the_current_video():
    """After an edit was reverted that is not the newest order."""
    first, edited = stored_order(1), stored_order(2, partition="p1", fingerprint="b")
    snapshots = make_snapshots(
        [first, edited], dagster=dagster(event_of(first, metadata={}), event_of(first), event_of(edited))
    )
    snapshots = replace(snapshots, ledger=replace(snapshots.ledger, current_videos={("spots", "p1"): 1}))
    assert [finding.order_id for finding in findings(snapshots)] == [1]


def test_an_order_outside_the_scope_is_not_compared():
    """`since` also leaves out the events of older orders."""
    assert kinds(make_snapshots([ORDER], dagster=EMPTY), since=NOW - timedelta(hours=1)) == []
    foreign = dagster(event_of(ORDER, metadata={}))
    assert kinds(make_snapshots([ORDER], dagster=foreign), since=NOW - timedelta(hours=1)) == []
