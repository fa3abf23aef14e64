"""An audit of a real run with references and faults: clean, then all damage is found, then repaired."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from audit_support import audit, kinds, prompts, run, stored, vandal_at
from code_location import FAST, QUIET, running_location

from seedance_dagster.ledger.order import State

pytestmark = [pytest.mark.integration, pytest.mark.further, QUIET]

COUNT = 40


@pytest.fixture(scope="module")
def location(s3_server, tmp_path_factory):
    """A code location that has rendered every prompt that can be rendered."""
    pacing = replace(FAST, maintenance_s=0.1, transfer_s=0.05, max_transfer_s=0.05)
    folder = tmp_path_factory.mktemp("audit")
    # Not at once, so that the history is seen to list running tasks.
    with running_location(folder, s3_server, {}, pacing=pacing, render_seconds=2.0, on_disk=True) as location:
        location.write(prompts(location.emulator.files_url, COUNT))
        location.reload()
        location.skipped()
        done = location.run("p000", f"p{COUNT - 1:03d}")
        assert len(done.missing) == 2, done.missing
        yield location


def test_a_run_with_references_and_faults_is_clean(location, s3_server, monkeypatch):
    """After all faults, the four sources agree byte by byte."""
    document, done = audit(location, s3_server, monkeypatch, "--deep")
    assert document["findings"] == []
    assert done.exit_code == 0
    assert document["compared"] == {
        "orders": COUNT,
        "vendor_tasks": COUNT,
        "materialized_partitions": COUNT - 2,
        "objects": 3 * (COUNT - 2) + 3,
        "archived_entries": 0,
        "replaced_objects": 0,
    }


@pytest.fixture(scope="module")
def planted(location):
    """Damage to seven different orders, by kind of finding."""
    return vandal_at(location).plant(stored(location))


@pytest.fixture(scope="module")
def damaged(location, planted, s3_server):
    """The document and result of a deep audit of the damage."""
    with pytest.MonkeyPatch.context() as patch:
        return audit(location, s3_server, patch, "--deep")


@pytest.fixture(scope="module")
def repaired(location, planted, damaged, s3_server):
    """A deep audit that repairs, followed by the run that the sensor starts."""
    with pytest.MonkeyPatch.context() as patch:
        document, done = audit(location, s3_server, patch, "--deep", "--repair")
        assert location.advance().success
        return document, done


def test_all_damage_is_found_and_nothing_else(planted, damaged):
    """Seven kinds of damage give seven findings, each about the right order, with cost and advice."""
    document, done = damaged
    assert done.exit_code == 1
    by_kind = {finding["kind"]: finding for finding in document["findings"]}
    assert len(document["findings"]) == 7
    assert by_kind.keys() == {*planted, "unmatched_task"}
    for kind, order in planted.items():
        finding = by_kind[kind]
        assert (finding["partition"], finding["task_id"]) == (order.partition, order.task_id), kind
        assert finding["order_id"] == order.order_id, kind
        assert finding["cost_points"] == order.points_charged, kind
    assert by_kind["unmatched_task"]["cost_usd"] == "0.4"
    assert all(finding["advice"] for finding in document["findings"])
    left = "objects in S3, its manifest, a materialization, a task at the vendor, its journal"
    assert by_kind["missing_order"]["message"].endswith(left)
    assert by_kind["manifest_altered"]["message"] == "it differs from the ledger in points_charged"


def test_without_deep_a_changed_byte_alone_is_not_seen(location, planted, damaged, s3_server, monkeypatch):
    """A listing shows all damage except a byte that was changed without changing the size."""
    document, _ = audit(location, s3_server, monkeypatch)
    deep, _ = damaged
    assert set(kinds(document)) == {pair for pair in kinds(deep) if pair[0] != "bytes_changed"}


def test_a_repair_leaves_only_what_a_person_must_decide(location, repaired, s3_server, monkeypatch):
    """After a repair and one run only the unmatched task and the vendor's charge are left."""
    document, done = repaired
    assert done.exit_code == 1
    left = {finding["kind"] for finding in document["findings"] if not finding["repair"]["repaired"]}
    assert left == {"unmatched_task", "charge_differs"}
    again, _ = audit(location, s3_server, monkeypatch, "--deep")
    assert {kind for kind, _ in kinds(again)} == left
    assert len(again["findings"]) == 2


def test_every_repair_is_journalled(location, planted, repaired):
    """The journal of each repaired order says what the audit did, and the restored row is as before."""
    repaired = ("missing_in_s3", "bytes_changed", "manifest_altered", "missing_order", "not_materialized")
    with location.ledger() as ledger:
        for kind in repaired:
            order = planted[kind]
            entries = [
                entry for entry in ledger.queries.journal(order.order_id) if entry.actor.startswith("audit ")
            ]
            assert len(entries) == 1, kind
        [now] = ledger.queries.find(task_id=planted["missing_order"].task_id)
    before = planted["missing_order"]
    forgotten = {
        *("retries", "booked_at", "claimed_at", "polls", "stored_at", "due_at", "video_url"),
        *("transfer_failures", "absent_since", "error_message", "request", "sent_at", "lost_at", "account"),
        "reserved_points",  # it is charged already
    }
    different = {name for name, value in vars(before).items() if vars(now)[name] != value}
    assert different <= forgotten
    assert now.state is State.STORED


def test_repairs_cost_nothing(location, repaired):
    """A repair creates no task: the vendor has those of the orders and the unmatched one."""
    assert location.books()["tasks"] == COUNT + 1


def test_orders_before_a_day_are_not_audited(location, planted, damaged, s3_server, monkeypatch):
    """`--since` leaves out older orders; an audit of a set that does not exist fails."""
    with location.ledger() as ledger:
        after = max(order.ordered_at for order in ledger.queries.find()) + timedelta(seconds=1)
    document, _ = audit(location, s3_server, monkeypatch, "--since", f"{after:%Y-%m-%dT%H:%M:%S}")
    assert document["compared"]["orders"] == 0
    assert {kind for kind, _ in kinds(document)} <= {"unmatched_task"}
    done = run(location, s3_server, monkeypatch, "sptos")
    assert done.exit_code == 1
    assert "nothing exists for prompt set sptos; known sets: spots" in done.output
