"""A database that is replaced by an older copy of itself while a run uses it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from plant_support import Once, make_known, waiting_run

from seedance_dagster.engine.events import Event, Submitted
from seedance_dagster.ledger.errors import LedgerBehindError

pytestmark = pytest.mark.integration


def copy(source: Path, target: Path) -> None:
    """Replace the content of a database, as for a client of a server that failed over."""
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)


def submitted(event: Event) -> bool:
    return isinstance(event, Submitted)


def test_a_run_whose_ledger_went_back_sends_nothing_more(start_engine):
    """Orders that the copy has as queued may have been sent: none is paid for twice, and the run says why."""
    with start_engine({"max_in_flight": 2}) as engine:
        make_known(engine)
        live, backup = engine.folder / "ledger.db", engine.folder / "backup.db"
        steps = Once(
            (submitted, lambda: copy(live, backup)),
            (submitted, lambda: None),
            (submitted, lambda: copy(backup, live)),
        )
        placed = engine.place(*(f"cat {number}" for number in range(12)))
        with pytest.raises(
            LedgerBehindError, match=r"an older copy took its place, .* `seedance-dagster rest"
        ):
            waiting_run(engine, placed, on_event=steps)
        assert steps.done
        assert {entry["tasks"] for entry in engine.books()["prompts"].values()} == {1}
