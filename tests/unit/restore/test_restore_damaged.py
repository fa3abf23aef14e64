"""Backups that are damaged before they are restored."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest
from binding_support import copy, place
from factories import open_ledger

from seedance_dagster.ledger.errors import LedgerError


def test_a_backup_beside_the_wal_of_a_lost_file_is_refused(ledger, tmp_path, clock):
    """SQLite mixes both without a word, and what it gives is no ledger."""
    place(ledger, "cat")
    restored = tmp_path / "restored"
    restored.mkdir()
    copy(ledger, f"{restored}/ledger.db")
    place(ledger, *(f"p{number}" for number in range(200)))
    file = ledger.label.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file)) as other:
        other.execute("PRAGMA wal_checkpoint(RESTART)")
    place(ledger, "dog")
    shutil.copy(f"{file}-wal", restored / "ledger.db-wal")
    words = r"is damaged \(.+\): .* Move the ledger, its -wal and its -shm away together"
    with open_ledger(restored, clock) as mixed, pytest.raises(LedgerError, match=words):
        mixed.restoration.check_intact()


@pytest.mark.each_database
def test_an_intact_ledger_may_be_restored(ledger):
    """PostgreSQL has checks of its own."""
    place(ledger, "cat")
    ledger.restoration.check_intact()
