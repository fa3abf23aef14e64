"""Conditions on the scores of a video, as part of a query on `orders`."""

from __future__ import annotations

import operator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from seedance_dagster.ledger.tables.schema import orders
from seedance_dagster.ledger.tables.scores import scores
from seedance_dagster.prompts.thresholds import Threshold

_NUMBERS, _TEXTS = ("integer", "real", "number"), ("text", "string")
_COMPARE = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}


class _Kind(FunctionElement[Any]):
    """The kind of a value in a JSON object; "true" or "false" for a boolean, NULL where it is missing."""

    name = "json_kind"
    inherit_cache = True
    type = sa.Text()


@compiles(_Kind, "sqlite")
def _on_sqlite(element: _Kind, compiler: SQLCompiler, **options: Any) -> str:
    column, name = (compiler.process(clause, **options) for clause in element.clauses)
    return f"json_type({column}, '$.' || {name})"


@compiles(_Kind, "postgresql")
def _on_postgresql(element: _Kind, compiler: SQLCompiler, **options: Any) -> str:
    column, name = (compiler.process(clause, **options) for clause in element.clauses)
    kind = f"json_typeof({column} -> {name})"
    return f"CASE WHEN {kind} = 'boolean' THEN {column} ->> {name} ELSE {kind} END"


def meets(name: str, threshold: Threshold) -> sa.ColumnElement[bool]:
    """Select orders whose video has a value that meets a threshold; one without the value does not."""
    value = scores.c.measured[name]
    kind = _Kind(scores.c.measured, sa.literal(name, sa.Text))
    limit = threshold.limit
    if isinstance(limit, bool):
        is_kind, is_met = kind.in_(("true", "false")), kind == str(limit).lower()
        is_met = is_met if threshold.sign == "==" else ~is_met
    elif isinstance(limit, str):
        is_kind, is_met = kind.in_(_TEXTS), _COMPARE[threshold.sign](value.as_string(), limit)
    else:
        is_kind, is_met = kind.in_(_NUMBERS), _COMPARE[threshold.sign](value.as_float(), float(limit))
    unequal = sa.true() if threshold.sign == "!=" else sa.false()
    # A CASE, since PostgreSQL cannot cast every text to a number.
    met = sa.case((kind.is_(None), sa.false()), (is_kind, is_met), else_=unequal)
    return sa.exists().where(scores.c.sha256 == orders.c.sha256, met).correlate(orders)
