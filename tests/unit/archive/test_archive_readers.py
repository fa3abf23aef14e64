"""Everything that reads the journal reads its archive too, or does not need it."""

from __future__ import annotations

import sys
from dataclasses import replace

import dagster as dg
import pytest
from archive_support import AGE, FOLDER, archive, in_ledger, journals, make_old_orders, services_of, traced
from audit_world import agreeing_world
from factories import open_ledger, remove_row
from order_factory import OrderFactory

from seedance_dagster.defs.steps.binding import check_known, remember_progress
from seedance_dagster.engine.archiving import archive_journal
from seedance_dagster.ledger.order import State


@pytest.fixture
def world(tmp_path, clock):
    """Three stored orders about which all sources agree; the journals of two are archived."""
    with agreeing_world(tmp_path, clock, orders=3) as world:
        later = replace(world.services, clock=clock)
        clock.forward(days=91)
        list(archive_journal(later, clock() - AGE, owner="test"))
        assert in_ledger(later) == {3}
        yield world


def key_of(world) -> str:
    """Return the key of the one part."""
    [part] = world.ledger.archive.parts()
    return str(part.key)


def test_an_audit_reads_the_archive(world):
    """The audit finds no difference, and says how many entries it read from the archive."""
    audit = world.audit()
    assert audit.findings == ()
    assert audit.compared.archived_entries == 2


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (lambda objects, key: objects.pop(key), "archive_lost", "it is missing"),
        (
            lambda objects, key: objects.update({key: objects[key][:-1]}),
            "archive_lost",
            "its bytes differ from those that were written",
        ),
    ],
)
def test_an_audit_names_a_part_that_is_lost(world, damage, kind, words):
    """A lost part is one finding, with none about its orders, which may be right."""
    key = key_of(world)
    damage(world.store.objects, key)
    [finding] = world.audit().findings
    assert (finding.kind, finding.location) == (kind, f"s3://videos/{key}")
    assert finding.message == f"a part of the journal's archive: {words}"


def test_an_audit_without_pyarrow_says_so(world, monkeypatch):
    """A part that cannot be read is named, with what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    kinds = {finding.kind: finding.message for finding in world.audit().findings}
    assert "pip install 'seedance-dagster[parquet]'" in kinds["source_unavailable"]
    assert "archive_lost" not in kinds


def test_an_audit_knows_archived_orders_whose_row_is_gone(world):
    """The archive names the task of an order that a person deleted."""
    remove_row(world.ledger, 1)
    [finding] = [finding for finding in world.audit().findings if finding.kind == "missing_order"]
    assert (finding.order_id, finding.task_id) == (1, "task-1")
    assert "its journal" in finding.message


def test_a_trace_says_where_its_journal_is_from(services, store, orders, clock):
    """The whole journal is shown with the file of the archive, or why that could not be read."""
    make_old_orders(orders, clock)
    before = traced(services, "spots/a").splitlines()
    [part] = archive(services)
    after = traced(services, "spots/a").splitlines()
    [line] = [line for line in after if line not in before]
    assert f"With 5 entries in the archive s3://videos/{part.key}" in line
    assert [line for line in after if line in before] == before
    del store.objects[part.key]
    lost = traced(services, "spots/a")
    assert f"Without 5 entries in the archive s3://videos/{part.key}: it is missing" in lost


def test_an_instance_knows_a_ledger_whose_entry_is_archived(services, ledger, orders, clock):
    """A ledger whose remembered entry was archived is not taken for an older copy."""
    old = make_old_orders(orders, clock)
    with dg.DagsterInstance.ephemeral() as instance:
        remember_progress(instance, ledger)
        clock.forward(days=91)
        orders.make(State.STORED, "much later", reported=True)
        [today] = [order for order in ledger.queries.find() if order.partition == "today"]
        ledger.tasks.release("w")
        orders.advance(today, State.STORED, reported=True)
        position = ledger.journal.position()
        remember_progress(instance, ledger)
        clock.forward(days=91)
        orders.make(State.QUEUED, "last")
        archive(services)
        assert today.order_id not in in_ledger(services)
        assert ledger.journal.contains(position)
        check_known(instance, ledger)
    assert not ledger.journal.contains(replace(position, entry_id=position.entry_id + 100))
    assert in_ledger(services).isdisjoint(order.order_id for order in old)


@pytest.mark.each_database
def test_a_moved_ledger_has_its_archive(ledger_url, store, clock, tmp_path):
    """A moved ledger knows where entries are archived, and numbers continue after them."""
    with open_ledger(ledger_url, clock) as ledger, open_ledger(f"sqlite:///{tmp_path}/new.db", clock) as new:
        make_old_orders(OrderFactory(ledger, clock), clock)
        services = services_of(ledger, store, clock)
        archive(services)
        before = journals(services)
        remove_row(ledger, 3)
        ledger.moving.move_to(new.moving, label="new")
        del before[3]
        assert journals(services_of(new, store, clock)) == before
        assert new.repairs.missing_orders() == [3]
        assert OrderFactory(new, clock).make(State.QUEUED, "another").order_id == max(before) + 1


def test_a_restoration_knows_when_a_ledger_was_written(services, ledger, orders, clock):
    """The newest entry that no restoration wrote stays, so the time of a backup's last write is known."""
    make_old_orders(orders, clock)
    [queued] = [order for order in ledger.queries.find() if order.state is State.QUEUED]
    ended = orders.advance(queued, State.STORED, reported=True)
    written = ledger.restoration.last_written()
    again = ledger.repairs.note_repair(ended, actor="restore 1", repaired="x")
    assert again.state is State.STORED
    clock.forward(days=91)
    ledger.repairs.note_repair(ledger.queries.get(1), actor="restore 1", repaired="x")
    clock.forward(days=91)
    archive(services)
    assert ledger.restoration.last_written() == written
    assert not ledger.restoration.is_empty()


def test_the_folder_is_the_programs_own(world):
    """An audit does not report the archive's files as unmatched objects."""
    assert any(key.startswith(FOLDER) for key in world.store.objects)
    assert world.kinds() == []
