"""The restore drill: an older backup, or no ledger at all, and nothing is paid again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from code_location import QUIET, running_location
from restore_support import back_up, lose_ledger, objects, restore

from seedance_dagster.ledger.base import utc_now
from seedance_dagster.ledger.order import State

pytestmark = [pytest.mark.integration, QUIET]

ORDERED = ("prompts", "tasks")
BEFORE = {"stored": "a stored one", "flying": "one in flight", "queued": "a queued one"}
SINCE = {"new": "a new one", "rejected": "bad [fault:moderation]", "late": "a late one"}
EVERYTHING = BEFORE | SINCE


@pytest.fixture(scope="module")
def drill(s3_server, tmp_path_factory):
    """A code location, its backup of an hour ago, and what was ordered and stored since."""
    folder = tmp_path_factory.mktemp("restore")
    with running_location(folder, s3_server, EVERYTHING, on_disk=True) as location:
        assert location.run("stored").success
        location.control("settings", render_seconds=3600)
        assert location.run("flying", assets=ORDERED).success
        with location.ledger() as ledger:
            ledger.pauses.start("network", until=utc_now() + timedelta(hours=1), message="a test")
        assert location.run("queued", assets=ORDERED).success
        backup = back_up(location)
        with location.ledger() as ledger:
            ledger.pauses.end("network")
        location.control("settings", render_seconds=0)
        assert location.run("queued").success
        assert location.run("new").success
        assert not location.run("rejected").success
        location.control("settings", render_seconds=3600)
        assert location.run("late", assets=ORDERED).success
        yield location, backup


def test_a_backup_is_brought_up_to_date(drill, s3_server, monkeypatch):
    """m15: what was ordered since is restored as it is, and a run of all prompts pays for nothing."""
    location, backup = drill
    books, there = location.books(), objects(location)
    with location.ledger() as ledger:
        before = {(order.partition, order.state, order.task_id) for order in ledger.queries.find()}
    lose_ledger(location, backup)
    plan = restore(location, s3_server, monkeypatch)
    assert plan["exit_code"] == 1
    document = restore(location, s3_server, monkeypatch, "--apply")
    assert document["not_restored"] == []
    assert document["exit_code"] == 0
    with location.ledger() as ledger:
        after = {(order.partition, order.state, order.task_id) for order in ledger.queries.find()}
    assert after == before
    location.run("stored", "late", assets=ORDERED)
    assert location.books() == books
    assert objects(location) == there


def test_a_lost_ledger_is_restored(drill, s3_server, monkeypatch):
    """m36: a new ledger takes the id of the lost one, and everything in it but what was never sent."""
    location, _ = drill
    books, there = location.books(), objects(location)
    with location.ledger() as ledger:
        identity = ledger.identity
        before = {(order.partition, order.state, order.task_id) for order in ledger.queries.find()}
        spent = sum(order.charge_or_hold for order in ledger.queries.find())
    lose_ledger(location)
    plan = restore(location, s3_server, monkeypatch)
    assert (plan["new_ledger"], plan["ledger_id"]) == (True, identity.ledger_id)
    document = restore(location, s3_server, monkeypatch, "--apply")
    assert document["not_restored"] == []
    assert document["exit_code"] == 0
    with location.ledger() as ledger:
        assert ledger.identity == identity
        after = {(order.partition, order.state, order.task_id) for order in ledger.queries.find()}
        assert sum(order.charge_or_hold for order in ledger.queries.find()) == spent
    assert after == before
    location.run("stored", "late", assets=ORDERED)
    assert location.books() == books
    assert objects(location) == there
    assert State.STORED in {order.state for order in location.orders("new")}
