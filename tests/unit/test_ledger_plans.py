"""No everyday query reads all orders: the plans of the database say so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from filled_ledger import everyday_queries, fill

from seedance_dagster.ledger.ledger import Ledger

_SCANNED = {
    "sqlite": re.compile(r"SCAN (\w+)(?! USING COVERING INDEX)"),
    "postgresql": re.compile(r"Seq Scan on (\w+)"),
}
_LARGE = ("seedance_orders", "seedance_journal", "seedance_links")
_SUMS = "sum: "  # of all orders, from an index alone


@contextmanager
def statements(ledger: Ledger) -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements that a ledger executes, with their parameters."""
    executed: list[tuple[str, Any]] = []

    def note(_connection, _cursor, statement, parameters, _context, _many) -> None:
        executed.append((statement, parameters))

    sa.event.listen(ledger._database._engine, "before_cursor_execute", note)
    yield executed
    sa.event.remove(ledger._database._engine, "before_cursor_execute", note)


def plan_of(connection: sa.Connection, statement: str, parameters: Any) -> str:
    """Return the database's plan of a statement, a step in each line."""
    sqlite = connection.dialect.name == "sqlite"
    explain = "EXPLAIN QUERY PLAN" if sqlite else "EXPLAIN"
    rows = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
    return "\n".join(str(row[-1]) for row in rows)


def scanned_by(ledger: Ledger, query: Callable[[], object]) -> dict[str, str]:
    """Return the large tables that a query reads as a whole, with the plans."""
    with statements(ledger) as executed:
        query()
    scanned = {}
    with ledger._database.reading() as connection:
        for statement, parameters in executed:
            if statement.split()[0] in ("SELECT", "UPDATE", "DELETE", "WITH"):
                plan = plan_of(connection, statement, parameters)
                if "ORDER BY" in statement and "LIMIT" in statement and "TEMP B-TREE" not in plan:
                    continue  # it reads the newest, one by one, until there are enough
                tables = _SCANNED[connection.dialect.name].findall(plan)
                scanned |= dict.fromkeys(set(tables) & {*_LARGE}, f"{statement}\n{plan}")
    return scanned


def test_no_everyday_query_reads_all_orders(ledger, clock):
    """On SQLite, whose plans depend on indexes alone, no everyday query reads all orders."""
    fill(ledger, 1000)
    problems = {
        name: scanned
        for name, query in everyday_queries(ledger, clock, 1000).items()
        if (scanned := scanned_by(ledger, query))
    }
    assert not problems, "\n\n".join(f"{name}: {problem}" for name, problem in problems.items())


@pytest.mark.long
@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_no_everyday_query_reads_all_orders_on_postgresql(ledger, clock):
    """On PostgreSQL, whose plans depend on the rows, no everyday query reads all of many orders."""
    fill(ledger, 100_000)
    problems = {
        name: scanned
        for name, query in everyday_queries(ledger, clock, 100_000).items()
        if not name.startswith(_SUMS) and (scanned := scanned_by(ledger, query))
    }
    assert not problems, "\n\n".join(f"{name}: {problem}" for name, problem in problems.items())
