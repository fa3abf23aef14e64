"""The types of the ledger's columns, the same for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from enum import StrEnum
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from seedance_dagster.ledger.order import Order


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware UTC time in Python, a naive UTC timestamp in both databases."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002  SQLAlchemy's signature
        """Refuse naive times: they would be read back as UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"the ledger takes aware times only, not {value}"
            raise ValueError(msg)
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002  SQLAlchemy's signature
        """Add the UTC zone again."""
        return None if value is None else value.replace(tzinfo=UTC)


class EnumText(sa.types.TypeDecorator[StrEnum]):
    """A member of an enumeration in Python, its text in both databases."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, members: type[StrEnum]) -> None:
        super().__init__()
        self.members = members

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> StrEnum | None:  # noqa: ARG002  SQLAlchemy's signature
        """Return the member that a text names."""
        return None if value is None else self.members(value)


_TYPES: dict[type, sa.types.TypeEngine[Any]] = {
    str: sa.Text(),
    int: sa.BigInteger(),
    float: sa.Float(),
    bool: sa.Boolean(),
    datetime: UtcDateTime(),
    dict: sa.JSON(),
    list: sa.JSON(),
}


def columns_of(row: type[Order], *, without: str) -> Iterator[sa.Column[Any]]:
    """Yield a column for each field of the orders' dataclass, NULL where the field may be None."""
    hints = get_type_hints(row)
    for field in fields(row):
        hint = hints[field.name]
        nullable = isinstance(hint, UnionType)
        value_type = get_args(hint)[0] if nullable else hint
        plain = get_origin(value_type) or value_type
        column_type = EnumText(plain) if issubclass(plain, StrEnum) else _TYPES[plain]
        default = None if field.default is MISSING else field.default
        if field.name != without:
            yield sa.Column(field.name, column_type, nullable=nullable, default=default)


def total(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """Return the sum of a column; 0 without rows."""
    return sa.func.coalesce(sa.func.sum(column), 0)


class Unindexed(FunctionElement[Any]):
    """A text column whose index SQLite does not use, since it would prefer it to a better one.

    PostgreSQL, which has statistics of its rows, sees the plain column.
    """

    name = "unindexed"
    inherit_cache = True
    type = sa.Text()


@compiles(Unindexed)
def _plain(element: Unindexed, compiler: SQLCompiler, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(Unindexed, "sqlite")
def _for_sqlite(element: Unindexed, compiler: SQLCompiler, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"
