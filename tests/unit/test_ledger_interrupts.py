"""Interrupts (by Ctrl-C, or by Dagster when it terminates a run) at any point of a transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from seedance_dagster.ledger import engines
from seedance_dagster.ledger.ledger import Ledger


@contextmanager
def interrupt_after(number: int) -> Iterator[list[str]]:
    """Raise an interrupt as a signal handler would, when the driver returns from one of its calls."""
    statements: list[str] = []

    def call(method: Any, statement: str, parameters: Any) -> bool:
        statements.append(statement)
        method(statement, parameters)
        if len(statements) == number:
            raise KeyboardInterrupt
        return True

    def execute(cursor: Any, statement: str, parameters: Any, _context: Any) -> bool:
        return call(cursor.execute, statement, parameters)

    def execute_many(cursor: Any, statement: str, parameters: Any, _context: Any) -> bool:
        return call(cursor.executemany, statement, parameters)

    sa.event.listen(sa.Engine, "do_execute", execute)
    sa.event.listen(sa.Engine, "do_executemany", execute_many)
    try:
        yield statements
    finally:
        sa.event.remove(sa.Engine, "do_execute", execute)
        sa.event.remove(sa.Engine, "do_executemany", execute_many)


@pytest.mark.each_database
def test_an_interrupted_statement_keeps_no_other_from_writing(ledger, ledger_url, monkeypatch):
    """Nothing of an interrupted transaction is written, and others can write at once."""
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_MS", 2_000)
    other, number = Ledger.open(ledger_url), 0
    try:
        while True:
            number += 1
            with interrupt_after(number) as statements:
                try:
                    ledger.reports.mark_prompts("set", {"a": "1", "b": "2"})
                except KeyboardInterrupt:  # whose traceback holds the cursor of the statement
                    assert other.leases.acquire(f"lease {number}", "another worker", seconds=60)
                else:
                    break
        assert 0 < len(statements) < number, "each statement was interrupted once"
    finally:
        other.close()


def test_an_interrupt_at_the_beginning_keeps_no_other_from_writing(tmp_path, monkeypatch):
    """A writer that is interrupted as it gets the file's lock releases it."""
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_MS", 2_000)
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger, other = Ledger.open(url), Ledger.open(url)
    wait = engines._wait_for_turn

    def interrupted(driver: Any) -> None:
        wait(driver)
        assert driver.in_transaction
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(engines, "_wait_for_turn", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ledger.leases.acquire("w", "w", seconds=1)
    assert other.leases.acquire("w", "another worker", seconds=60)
    for opened in (ledger, other):
        opened.close()


def test_an_interrupt_within_a_commit_is_an_interrupt(tmp_path, monkeypatch):
    """Ctrl-C while SQLAlchemy ends a transaction is not an error of SQLAlchemy (chaos seed 1166)."""
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")

    def interrupt(_transaction):
        raise KeyboardInterrupt

    monkeypatch.setattr(sa.engine.RootTransaction, "_deactivate_from_connection", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ledger.leases.acquire("w", "w", seconds=1)
