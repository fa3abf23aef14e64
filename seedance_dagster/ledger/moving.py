"""Moving a ledger to another database, with its id: the copy is compared, and the original is closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.tables.archive import archive_parts, archived_journals
from seedance_dagster.ledger.tables.comparisons import comparisons
from seedance_dagster.ledger.tables.schema import journal, ledger_identity, metadata, orders, verdicts
from seedance_dagster.ledger.tables.views import view_changes

_ROWS_AT_ONCE = 500
_CLOSED_JOURNAL = f"{journal.name}_moved"


class Moving(LedgerPart):
    """The part of the ledger that moves the whole ledger."""

    def move_to(self, target: Moving, *, label: str) -> dict[str, int]:
        """Copy everything into an empty ledger, and close this one; return the number of rows by table.

        All writers wait meanwhile. On failure this ledger is unchanged and the target is empty.

        Args:
            target: The ledger that takes its place.
            label: The URL of the target, without its password; this ledger names it from now on.

        Raises:
            LedgerError: Something was ordered in the target, or the copy differs.
        """
        with self._database.writing() as source:
            with target._database.writing() as other:
                _make_room(other)
                counts = {table.name: _copy(table, source, other) for table in metadata.sorted_tables}
                _continue_numbers(source, other)
            source.execute(ledger_identity.update().values(moved_to=label))
            # Processes that still have it open cannot send anything either: each claim writes an entry.
            source.execute(sa.text(f"ALTER TABLE {journal.name} RENAME TO {_CLOSED_JOURNAL}"))
        return counts


def _make_room(target: sa.Connection) -> None:
    """Delete the initial rows of an unused ledger; raise `LedgerError` for one that was used."""
    if any(target.scalar(sa.select(sa.func.count()).select_from(table)) for table in (orders, journal)):
        raise LedgerError(
            "the database that the ledger was to be moved to holds a ledger with orders: name an empty one. "
            "Nothing was changed"
        )
    for table in metadata.sorted_tables:
        target.execute(table.delete())


def _copy(table: sa.Table, source: sa.Connection, target: sa.Connection) -> int:
    """Copy a table, and compare the copy row by row; return the number of rows."""
    count = 0
    for rows in _rows(table, source):
        target.execute(table.insert(), [dict(row) for row in rows])
        count += len(rows)
    for number, (original, copy) in enumerate(zip(_rows(table, source), _rows(table, target), strict=True)):
        if original != copy:
            raise LedgerError(
                f"the copy of {table.name} differs from the original around row {number * _ROWS_AT_ONCE}: "
                "nothing was moved"
            )
    return count


def _rows(table: sa.Table, connection: sa.Connection) -> Iterator[list[dict[str, Any]]]:
    """Yield all rows of a table in lists, in the order of its primary key."""
    key = [_in_byte_order(column, connection) for column in table.primary_key.columns]
    result = connection.execute(sa.select(table).order_by(*key))
    for rows in result.mappings().partitions(_ROWS_AT_ONCE):
        yield [dict(row) for row in rows]


def _in_byte_order(column: sa.Column[Any], connection: sa.Connection) -> sa.ColumnElement[Any]:
    """Return a column that sorts as in SQLite; PostgreSQL sorts texts by the database's language."""
    is_text = connection.dialect.name == "postgresql" and isinstance(column.type, sa.Text)
    return sa.collate(column, "C") if is_text else column


def _continue_numbers(source: sa.Connection, target: sa.Connection) -> None:
    """Continue the numbers of orders and entries, so that a deleted one's number is never used again."""
    ids = (sa.select(table.c.order_id) for table in (journal, archived_journals))
    numbers = sa.union_all(*ids).subquery()
    newest = {
        orders.c.order_id: sa.select(sa.func.max(numbers.c.order_id)),
        journal.c.entry_id: sa.select(sa.func.max(journal.c.entry_id)),
        verdicts.c.verdict_id: sa.select(sa.func.max(verdicts.c.verdict_id)),
        comparisons.c.comparison_id: sa.select(sa.func.max(comparisons.c.comparison_id)),
        archive_parts.c.part_id: sa.select(sa.func.max(archive_parts.c.part_id)),
        view_changes.c.change_id: sa.select(sa.func.max(view_changes.c.change_id)),
    }
    for column, query in newest.items():
        number, table = source.scalar(query), column.table.name
        if number is None:
            continue
        if target.dialect.name == "postgresql":
            sequence = sa.func.pg_get_serial_sequence(table, column.name)
            target.execute(sa.select(sa.func.setval(sequence, number)))
        elif table == orders.name:
            sequences = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
            target.execute(sequences.update().where(sequences.c.name == table).values(seq=number))
