"""An audit of a real run with references and faults: clean, then every plant by hand named, then mended."""

from __future__ import annotations

from datetime import timedelta

import pytest
from audit_support import audit, kinds, prompts, run, stored, vandal_at
from defs_support import QUIET, code_location

from seedance_dagster.engine.runtime import pipeline
from seedance_dagster.engine.stages import collect
from seedance_dagster.ledger.order import State

pytestmark = [pytest.mark.integration, QUIET]

COUNT = 40


@pytest.fixture(scope="module")
def location(s3_server, tmp_path_factory):
    """A code location that has rendered everything that can be."""
    with (
        pytest.MonkeyPatch.context() as patch,
        code_location(tmp_path_factory.mktemp("audit"), s3_server, {}) as it,
    ):
        patch.setattr(pipeline, "_UPKEEP_S", 0.1)
        patch.setattr(collect, "transfer_delay", lambda failures: 0.05)
        it.write(prompts(it.emulator.files_url, COUNT))
        it.reload()
        it.skipped()
        done = it.run("p000", f"p{COUNT - 1:03d}")
        assert len(done.missing) == 2, done.missing
        yield it


def test_a_run_with_references_and_faults_is_clean(location, s3_server, monkeypatch):
    """Whatever went wrong on the way, all four books agree in the end, to the byte."""
    told, done = audit(location, s3_server, monkeypatch, "--deep")
    assert told["findings"] == []
    assert done.exit_code == 0
    assert told["books"] == {
        "orders": COUNT,
        "vendor_tasks": COUNT,
        "materialized_partitions": COUNT - 2,
        "objects": 3 * (COUNT - 2) + 2,
    }


@pytest.fixture(scope="module")
def planted(location):
    """Seven things done by hand, to seven different orders; the order of each kind of finding."""
    return vandal_at(location).plant(stored(location))


@pytest.fixture(scope="module")
def named(location, planted, s3_server):
    """A deep audit of it all."""
    with pytest.MonkeyPatch.context() as patch:
        return audit(location, s3_server, patch, "--deep")


@pytest.fixture(scope="module")
def repaired(location, planted, named, s3_server):
    """A deep audit that repairs, and the run that the sensor starts after it."""
    with pytest.MonkeyPatch.context() as patch:
        told, done = audit(location, s3_server, patch, "--deep", "--repair")
        assert location.advance().ok
        return told, done


def test_everything_planted_is_named_and_nothing_else(planted, named):
    """Seven plants are seven findings, each about the right order, with its cost and what to do."""
    told, done = named
    assert done.exit_code == 1
    by_kind = {each["kind"]: each for each in told["findings"]}
    assert len(told["findings"]) == 7
    assert by_kind.keys() == {*planted, "unmatched_task"}
    for kind, order in planted.items():
        about = by_kind[kind]
        assert (about["partition"], about["task_id"]) == (order.partition, order.task_id), kind
        assert about["order_id"] == order.order_id, kind
        assert about["cost_points"] == order.points_charged, kind
    assert by_kind["unmatched_task"]["cost_usd"] == "0.32"
    assert all(each["advice"] for each in told["findings"])
    left = "objects in S3, its manifest, a materialization, a task at the vendor, its journal"
    assert by_kind["missing_order"]["what"].endswith(left)
    assert by_kind["manifest_altered"]["what"] == "it differs from the ledger in points_charged"


def test_without_deep_a_changed_byte_alone_is_not_seen(location, planted, named, s3_server, monkeypatch):
    """The listing tells everything but a byte that was changed without changing the size."""
    told, _ = audit(location, s3_server, monkeypatch)
    deep, _ = named
    assert set(kinds(told)) == {found for found in kinds(deep) if found[0] != "bytes_changed"}


def test_what_can_be_mended_is_mended_and_the_rest_is_left(location, repaired, s3_server, monkeypatch):
    """After a repair and one run only the stranger's task and the vendor's charge are left."""
    told, done = repaired
    assert done.exit_code == 1
    left = {each["kind"] for each in told["findings"] if not each["repair"]["repaired"]}
    assert left == {"unmatched_task", "charge_differs"}
    again, _ = audit(location, s3_server, monkeypatch, "--deep")
    assert {kind for kind, _ in kinds(again)} == left
    assert len(again["findings"]) == 2


def test_every_repair_is_journalled(location, planted, repaired):
    """The journal of each mended order says what an audit did, and the restored row is the one it was."""
    repaired = ("missing_in_s3", "bytes_changed", "manifest_altered", "missing_order", "not_materialized")
    with location.ledger() as ledger:
        for kind in repaired:
            order = planted[kind]
            entries = [
                each for each in ledger.queries.journal(order.order_id) if each.actor.startswith("audit ")
            ]
            assert len(entries) == 1, kind
        [now] = ledger.queries.find(task_id=planted["missing_order"].task_id)
    before = planted["missing_order"]
    forgotten = {
        *("retries", "booked_at", "claimed_at", "polls", "stored_at", "due_at", "video_url"),
        *("transfer_failures", "absent_since", "error_message", "request"),
    }
    different = {name for name, value in vars(before).items() if vars(now)[name] != value}
    assert different <= forgotten
    assert now.state is State.STORED


def test_repairs_cost_nothing(location, repaired):
    """No task was made by any of it: the orders' and the stranger's are all there are."""
    assert location.books()["tasks"] == COUNT + 1


def test_orders_before_a_day_are_not_audited(location, planted, named, s3_server, monkeypatch):
    """`--since` leaves out what was ordered before; a set that does not exist is no clean audit."""
    with location.ledger() as ledger:
        after = max(order.ordered_at for order in ledger.queries.find()) + timedelta(seconds=1)
    told, _ = audit(location, s3_server, monkeypatch, "--since", f"{after:%Y-%m-%dT%H:%M:%S}")
    assert told["books"]["orders"] == 0
    assert {kind for kind, _ in kinds(told)} <= {"unmatched_task"}
    done = run(location, s3_server, monkeypatch, "sptos")
    assert done.exit_code == 1
    assert "there is nothing of a prompt set sptos; the ledger knows spots" in done.output
