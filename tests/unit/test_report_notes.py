"""Notes of what was reported are written together, and never hide what was reported since."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from seedance_dagster.defs.steps.report_notes import ReportNotes
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.order import Reported, State


@pytest.fixture
def noted(ledger, orders):
    """Notes of an order's link, with a clock that stands still."""
    order = orders.make(State.STORED)
    now = SimpleNamespace(s=0.0)
    notes = ReportNotes(ledger.reports, monotonic=lambda: now.s)
    [link] = ledger.reports.links(order.order_id)

    def in_ledger() -> str | None:
        return ledger.reports.links(order.order_id)[0].reported

    return SimpleNamespace(notes=notes, link=link, in_ledger=in_ledger, now=now, ledger=ledger)


def test_a_note_is_written_at_once_outside_of_a_block(noted):
    """A single report is noted before anything else happens."""
    noted.notes.add(noted.link, Reported.SUBMITTED)
    assert noted.in_ledger() == "submitted"


def test_notes_of_two_seconds_are_one_write(noted, monkeypatch):
    """Inside a block notes wait for others, two seconds at most; its end writes the rest."""
    writes = []
    write = noted.ledger.reports.mark_reported
    monkeypatch.setattr(
        noted.ledger.reports, "mark_reported", lambda rows: (writes.append(dict(rows)), write(rows))
    )
    with noted.notes.together():
        noted.notes.add(noted.link, Reported.SUBMITTED)
        noted.now.s = 1.0
        noted.notes.add(noted.link, Reported.STORED)
        assert (writes, noted.in_ledger()) == ([], None)
        assert noted.notes.up_to_date(noted.link).reported is Reported.STORED
        noted.now.s = 2.0
        noted.notes.add(noted.link, Reported.STORED)
        assert noted.in_ledger() == "stored"
        noted.notes.add(noted.link, Reported.ENDED)
    assert [list(rows.values()) for rows in writes] == [[Reported.STORED], [Reported.ENDED]]
    assert noted.in_ledger() == "ended"


def test_a_note_that_could_not_be_written_waits(noted, monkeypatch):
    """A ledger that is not available for a while loses no note, and ends no run."""
    with monkeypatch.context() as patch:
        patch.setattr(noted.ledger.reports, "mark_reported", _unavailable)
        noted.notes.add(noted.link, Reported.STORED)
    assert noted.in_ledger() is None
    noted.notes.write()
    assert noted.in_ledger() == "stored"


def _unavailable(_rows):
    raise LedgerUnavailableError("locked")


@pytest.mark.each_database
def test_a_late_note_of_a_submission_hides_no_later_report(noted):
    """Another worker reported the video meanwhile: that stays."""
    noted.ledger.reports.mark_reported({noted.link: Reported.STORED})
    noted.notes.add(noted.link, Reported.SUBMITTED)
    assert noted.in_ledger() == "stored"
