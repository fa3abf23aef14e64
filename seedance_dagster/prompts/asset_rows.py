"""Rows of an asset, turned into a prompt set document that later ticks and runs read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from seedance_dagster.prompts.assembly import PROMPT_FIELDS
from seedance_dagster.prompts.formats.lines import table_of_objects
from seedance_dagster.prompts.formats.tables import Columns, Table, has_value, rows_of
from seedance_dagster.prompts.problems import Problem, PromptSetError, UnreadableError, shown

_MISSING = ("NAType", "NaTType")  # of pandas, which need not be installed
_BYTES = (bytes, bytearray, memoryview)


def table_of_value(value: Any, source: str) -> Table:
    """Return a Python value as a table.

    Args:
        value: A pandas or Polars DataFrame, an Arrow table, or a list of dicts or of texts.
        source: The origin of the value, for messages.

    Raises:
        UnreadableError: The value is of another type, or has two columns with the same name.
    """
    names = Counter(map(str, getattr(value, "column_names", getattr(value, "columns", ()))))
    if repeated := [name for name, count in names.items() if count > 1]:
        raise UnreadableError(f"has two columns named {shown(repeated[0])}; rename one of them")
    if hasattr(value, "to_pylist"):
        entries = value.to_pylist()
    elif hasattr(value, "to_dicts"):
        entries = value.to_dicts()
    elif hasattr(value, "to_dict") and hasattr(value, "columns"):
        entries = value.to_dict("records")
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        entries = list(value)
    else:
        raise UnreadableError(
            f"has a value of the type {type(value).__name__}; allowed are a pandas or Polars DataFrame, an "
            "Arrow table and a list of dicts, or a path in its metadata (path_metadata)"
        )
    if entries and all(isinstance(entry, str) for entry in entries):
        entries = [{"prompt": entry} for entry in entries]
    elif entries and not any(isinstance(entry, Mapping) for entry in entries):
        raise UnreadableError(
            f"is a list of values of the type {type(entries[0]).__name__}; allowed are dicts, such as "
            '{"prompt": "..."}, and texts'
        )
    with_bytes = dict.fromkeys(
        str(name)
        for entry in entries
        if isinstance(entry, Mapping)
        for name, cell in entry.items()
        if isinstance(cell, _BYTES)
    )
    problems = [_bytes_problem(name, source) for name in with_bytes]
    return table_of_objects(
        [(f"row {n}", plain(entry)) for n, entry in enumerate(entries, 1)], source, problems
    )


def _bytes_problem(name: str, source: str) -> Problem:
    column = f"column {shown(name)}"
    if name in PROMPT_FIELDS and name != "prompt":  # a row without a prompt has its own problem
        return Problem(
            source=source, field=column, message="holds bytes, which the field does not take; write texts"
        )
    message = "holds bytes, which cannot be a tag; it is left out"
    return Problem(source=source, field=column, message=message, severity="warning")


def plain(value: Any) -> Any:
    """Return a value in the form of JSON: NumPy's numbers as numbers, times as text, NaN, bytes as None."""
    if type(value).__name__ in _MISSING or not has_value(value) or isinstance(value, _BYTES):
        return None
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if hasattr(value, "tolist"):  # a NumPy array or number
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        items = [plain(item) for item in value]
        # A set has another order in each process.
        return sorted(items, key=str) if isinstance(value, set | frozenset) else items
    if isinstance(value, Decimal) and value.is_finite() and value == int(value):
        value = int(value)  # databases have decimals where other tables have whole numbers
    if isinstance(value, str | int | float):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def set_document(
    name: str, table: Table, columns: Columns, settings: Mapping[str, Any], source: str
) -> dict[str, Any]:
    """Return a prompt set document with a table's rows; an unusable row is replaced by null, in its place.

    Args:
        name: The set's name.
        table: The rows.
        columns: The columns that hold fields and tags.
        settings: Further fields of the document, such as defaults.
        source: The origin of the rows, for messages.

    Raises:
        UnreadableError: A required column is missing.
        PromptSetError: A column cannot be used.
    """
    rows, problems = rows_of(table, columns, source)
    column_problems = [
        problem for problem in problems if problem.prompt is None and problem.severity == "error"
    ]
    if column_problems:
        raise PromptSetError(column_problems)
    errors = (problem for problem in table.problems if problem.severity == "error")
    by_place: dict[str, Any] = {problem.prompt: None for problem in errors if problem.prompt is not None}
    for row in rows:
        own_tags = row.fields.get("tags")
        tags = {**(own_tags if isinstance(own_tags, Mapping) else {}), **row.tags}
        by_place[row.place] = {**row.fields, **({"tags": tags} if tags else {})}
    prompts = [by_place[place] for place in sorted(by_place, key=_number)]
    return {"name": name, **settings, "on_bad_rows": "skip", "prompts": prompts}


def _number(place: str) -> int:
    """Return the number of a row, such as that of "row 7" or "line 7"."""
    return int(place.rpartition(" ")[2])
