"""Tables of prompts from files of any kind: which columns are fields, tags, or resemble a field."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seedance_dagster.api.wire import REFERENCE_KINDS
from seedance_dagster.prompts.assembly import PROMPT_FIELDS, Row
from seedance_dagster.prompts.formats.json_text import parse_json
from seedance_dagster.prompts.lookalikes import (
    field_meant,
    field_of_value,
    holds_objects,
    is_foreign_setting,
    is_switch,
)
from seedance_dagster.prompts.missing import is_missing
from seedance_dagster.prompts.problems import Problem, UnreadableError, shown
from seedance_dagster.prompts.tags import tag_text

_URL_FIELDS = tuple(f"{kind}_urls" for kind in REFERENCE_KINDS)
WHOLE_FIELDS = ("duration", "takes", "id")
_BOOLEAN_FIELDS = ("audio", "fresh", "remove_watermark")
_BOOLEANS = {"true": True, "false": False}
_RATIO = re.compile(r"0?([0-9]{1,2}):0?([0-9]{1,2})(?::00)?", re.ASCII)  # Excel takes 16:9 for a time
_WHOLE = re.compile(r"([0-9]{1,9})(?:\.0+)?", re.ASCII)
_BETWEEN_URLS = re.compile(r"[\s|]+|[,;](?=\s|$|https?://|s3://)")
_TAG = re.compile("^tags?[.:]")  # a column with this prefix is a tag, whatever it resembles
_SHOWN_COLUMNS = 10
_LIKELY_PROMPTS = ("prompt", "caption", "text", "description", "描述", "beschreibung")
HEADER_ROWS = 10
"""The rows in which a header is looked for, to say where it is."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rows of a file, each with its place and its cells by column.

    Attributes:
        columns: All columns, also those without a value.
        rows: The cells that have a value.
        problems: Rows that cannot be read, and columns that were left out.
        untyped: All cells are texts, so numbers, lists and the like are read from them.
        hidden: The hidden columns.
    """

    columns: Sequence[str]
    rows: Sequence[tuple[str, Mapping[str, Any]]]
    problems: Sequence[Problem] = ()
    untyped: bool = False
    hidden: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of a table, as its set describes them.

    Attributes:
        fields: The column of each field, by the field.
        tags: The columns that become tags; None for all that are not fields.
        needed: The column that is required if `fields` names none for the prompts.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    tags: Sequence[str] | None = None
    needed: str = "prompt"

    @property
    def required(self) -> str:
        """The column that holds the prompts, or that their template needs."""
        return self.fields.get("prompt", self.needed)


def rows_of(table: Table, columns: Columns, source: str) -> tuple[list[Row], list[Problem]]:
    """Return the prompts of a table, and the columns that cannot be used.

    A column `tag:Duration` is always the tag `Duration`.

    Raises:
        UnreadableError: A required column is missing.
    """
    names = dict.fromkeys(table.columns)
    if names:
        _check_columns(names, columns)
    by_column = {column: name for name, column in columns.fields.items()}
    by_column |= {name: name for name in names if name in PROMPT_FIELDS and name not in columns.fields}
    fields = {column: name for column, name in by_column.items() if column in names}
    tags = {
        name: _TAG.sub("", name)
        for name in names
        if name not in fields and (columns.tags is None or name in columns.tags)
    }
    problems = _tag_problems(tags, columns, source)
    if columns.tags is None:
        problems += _value_problems(table, tags, set(fields.values()), source)
    problems += _unused_problems([name for name in names if name not in fields and name not in tags], source)
    problems += _hidden_problems(table, fields, tags, source)
    rows = []
    for place, cells in table.rows:
        if table.untyped and cells.get(columns.required) == columns.required:
            message = "repeats the header, as in files that were joined; remove the line"
            problems.append(Problem(source=source, prompt=place, message=message))
            continue
        values, of_row = dict[str, Any](), dict[str, str]()
        for column, value in cells.items():
            if column in fields:
                name = fields[column]
                if name == "prompt":  # even a missing value: the rules report it
                    values[name] = value
                elif not (table.untyped and isinstance(value, str) and is_missing(value)):
                    values[name] = _read(name, value, untyped=table.untyped)
            elif column in tags:
                of_row[tags[column]] = tag_text(value)
        rows.append(Row(place=place, fields=values, tags=of_row))
    return rows, [*table.problems, *problems]


def has_value(value: Any) -> bool:
    """Return False for the cells of a table that have no value: None and NaN."""
    return value is not None and not (isinstance(value, float) and value != value)  # noqa: PLR0124  NaN


def no_prompt(names: Iterable[str], required: str = "prompt", below: str | None = None) -> UnreadableError:
    """Return the error of a table without a column of prompts, with its columns and what to do.

    Args:
        names: The columns.
        required: The column that is missing.
        below: The place of a later row that has it; None without one.
    """
    names = list(names)
    listed = ", ".join(shown(name, 40) for name in names[:_SHOWN_COLUMNS]) or "none"
    more = f" and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else ""
    likely = next((name for word in _LIKELY_PROMPTS for name in names if word in name.lower()), None)
    likely = likely or next((name for name in names if field_meant(name) == "prompt"), None)
    remedy = ""
    if below is not None:
        remedy = f"; {below} has it: remove what stands above"
    elif likely is not None:
        remedy = f"; rename it, or name the table in a YAML set with columns: {{prompt: {shown(likely, 40)}}}"
    return UnreadableError(f"needs a column named {required}; its columns are {listed}{more}{remedy}")


def _check_columns(names: Mapping[str, None], columns: Columns) -> None:
    if columns.required not in names:
        raise no_prompt(names, columns.required)
    repeated = [column for column, count in Counter(columns.fields.values()).items() if count > 1]
    if repeated:
        same = " and ".join(
            f"columns.{name}" for name, column in columns.fields.items() if column == repeated[0]
        )
        raise UnreadableError(f"has one column {shown(repeated[0])} for {same}; name another one")
    for name, column in columns.fields.items():
        if column not in names:
            raise UnreadableError(f"has no column {shown(column)}, which columns.{name} names")
    for column in columns.tags or ():
        if column not in names:
            raise UnreadableError(f"has no column {shown(column)}, which is listed in tags")


def _tag_problems(tags: Mapping[str, str], columns: Columns, source: str) -> list[Problem]:
    problems = []
    seen: dict[str, str] = {}
    for column, tag in tags.items():
        meant = None if column != tag or columns.tags is not None else field_meant(column)
        if meant is not None:
            message = (
                f"resembles the field {meant} but is not one; rename it to {meant}, or to tag:{column} for a "
                "tag"
            )
            problems.append(Problem(source=source, field=f"column {shown(column)}", message=message))
        if (other := seen.setdefault(tag, column)) != column:
            message = f"is the same tag as column {shown(other)}; rename one of them"
            problems.append(Problem(source=source, field=f"column {shown(column)}", message=message))
    return problems


def _unused_problems(unused: Iterable[str], source: str) -> Iterator[Problem]:
    """Yield a warning for each column that is neither a field nor a tag and resembles a field."""
    for column in unused:
        if (meant := field_meant(column)) is not None:
            remedy = f"write columns: {{{meant}: {shown(column)}}} in the set, or list it in tags"
            message = f"resembles the field {meant} and is left out; {remedy}"
            yield Problem(source=source, field=f"column {shown(column)}", message=message, severity="warning")


def _hidden_problems(
    table: Table, fields: Mapping[str, str], tags: Mapping[str, str], source: str
) -> Iterator[Problem]:
    """Yield an error for each hidden column that would change a video, and a warning for each tag."""
    for column in table.hidden:
        if not any(column in cells for _, cells in table.rows):
            continue
        place = f"column {shown(column)}"
        if column in fields:
            message = f"is hidden and holds the field {fields[column]}; show it, or delete it"
            yield Problem(source=source, field=place, message=message)
        elif column in tags:
            message = "is hidden, and kept as a tag; show it, or delete it"
            yield Problem(source=source, field=place, message=message, severity="warning")


def _value_problems(
    table: Table, tags: Mapping[str, str], fields: set[str], source: str
) -> Iterator[Problem]:
    """Yield an error for each tag whose values all belong to a field that has no column."""
    meant, nested = _fields_of_values(table, {column for column, tag in tags.items() if column == tag})
    for column, name in meant.items():
        if field_meant(column) is not None:
            continue
        if name is not None and name not in fields:
            message = f"holds values of the field {name}; rename it to {name}, or to tag:{column} for a tag"
            if column in nested:
                message = f"holds the field {name}; make that a column of its own, or this one tag:{column}"
            yield Problem(source=source, field=f"column {shown(column)}", message=message)
        elif is_foreign_setting(column):
            message = "is kept as a tag and changes no video: the vendor has no such setting"
            yield Problem(source=source, field=f"column {shown(column)}", message=message, severity="warning")
        elif is_switch(column):
            message = (
                "is kept as a tag: every row is ordered, whatever it says; delete rows that should not be"
            )
            yield Problem(source=source, field=f"column {shown(column)}", message=message, severity="warning")


def _fields_of_values(
    table: Table, columns: Collection[str]
) -> tuple[dict[str, str | None], Collection[str]]:
    """Return by column the field that all its values belong to, or None; and the columns with objects."""
    meant, nested = dict[str, str | None](), set[str]()
    for _, cells in table.rows:  # one pass, however many columns there are
        for column, value in cells.items():
            if column not in columns or (column in meant and meant[column] is None):
                continue
            name = field_of_value(value)
            meant[column] = name if meant.get(column, name) == name else None
            if holds_objects(value):
                nested.add(column)
    return meant, nested


def _read(name: str, value: Any, *, untyped: bool) -> Any:
    """Return the value of a field, repaired where a table has clearly changed it; rules report the rest."""
    if isinstance(value, float) and value.is_integer() and name in WHOLE_FIELDS:
        return int(value)  # pandas writes floats where some rows have no value
    return _typed(name, value) if untyped and isinstance(value, str) else value


def _typed(name: str, text: str) -> Any:
    """Return the value that a text stands for in a field."""
    text = text.strip()
    whole = _WHOLE.fullmatch(text) if name in WHOLE_FIELDS else None
    if whole:
        return whole[1] if name == "id" else int(whole[1])
    if name in _URL_FIELDS:
        return _url_list(text)
    if name in _BOOLEAN_FIELDS:
        return _BOOLEANS.get(text.lower(), text)
    if name == "aspect_ratio":
        ratio = _RATIO.fullmatch(text)
        return text if ratio is None else f"{ratio[1]}:{ratio[2]}"
    return _json(text) if name == "tags" else text


def _url_list(cell: str) -> Any:
    if cell.lstrip().startswith("["):
        return _json(cell)
    return [url for url in _BETWEEN_URLS.split(cell) if url]


def _json(cell: str) -> Any:
    try:
        return parse_json(cell)
    except UnreadableError:
        return cell
