"""Prompt sets as YAML and JSON documents: fields of the set, and its prompts or the table that holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from seedance_dagster.prompts.assembly import PROMPT_FIELDS, Row
from seedance_dagster.prompts.bounds import check_rows
from seedance_dagster.prompts.budgets import read_budgets
from seedance_dagster.prompts.finals import FINAL_FIELDS, DraftAndFinal, read_finals
from seedance_dagster.prompts.formats.tables import Columns
from seedance_dagster.prompts.lookalikes import field_meant
from seedance_dagster.prompts.matrix import MATRIX_FIELDS, Matrix, read_matrix
from seedance_dagster.prompts.problems import Problem, kind_of, shown
from seedance_dagster.prompts.rights import (
    SET_RIGHTS,
    AllRights,
    Rights,
    read_reference_rights,
    read_rights,
)
from seedance_dagster.prompts.scores import SCORE_FIELDS, read_rule, read_scores
from seedance_dagster.prompts.thresholds import AcceptRule, WantedScore

SET_FIELDS = (
    "name",
    "budget_usd",
    "defaults",
    "prompts",
    "source",
    "columns",
    "tags",
    "on_bad_rows",
    *MATRIX_FIELDS,
    *FINAL_FIELDS,
    *SCORE_FIELDS,
    *SET_RIGHTS,
)
BAD_ROWS = ("skip", "refuse")
_SHOWN_FIELDS = 5
_TABLE_FIELDS = ("columns", "tags")
Report = Callable[..., None]
"""`report(field, message, place=None)`."""


@dataclass(frozen=True, kw_only=True)
class SetDocument:
    """The content of a document that describes a set.

    Attributes:
        name: The set's name; None where it is missing or not a text.
        rows: Its prompts.
        table: The file that holds its prompts instead, as written; None without one.
        columns: The columns of that file that hold fields and tags.
        on_bad_rows: "skip" or "refuse"; None where the document does not say.
        matrix: The values that its prompts vary in; None where they do not vary.
        finals: The fields in which its drafts and finals differ; None without them.
        scores: The scores that it asks for.
        accept: The rule by which it accepts videos; None without one.
        rights: The rights of its prompts.
        reference_rights: The rights of its references, by each reference as it is written.
        problems: Everything that is wrong.
    """

    name: str | None = None
    rows: list[Row] = field(default_factory=list)
    table: str | None = None
    columns: Columns = field(default_factory=Columns)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    budgets: Mapping[str, int] = field(default_factory=dict)
    on_bad_rows: str | None = None
    matrix: Matrix | None = None
    finals: DraftAndFinal | None = None
    scores: tuple[WantedScore, ...] = ()
    accept: AcceptRule | None = None
    rights: Rights = field(default_factory=dict)
    reference_rights: AllRights = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_document(document: Any, source: str) -> SetDocument:
    """Read a set from a parsed document; problems are returned, never raised."""
    problems: list[Problem] = []

    def report(name: str | None, message: str, place: str | None = None) -> None:
        problems.append(Problem(source=source, field=name, message=message, prompt=place))

    if not isinstance(document, Mapping):
        report(None, f"must be a mapping with name and prompts, not {kind_of(document)}")
        return SetDocument(problems=problems)
    if not {"name", "prompts", "source"} & document.keys():
        names = ", ".join(shown(name, 40) for name in list(document)[:_SHOWN_FIELDS]) or "none"
        report(
            None,
            f"is not a prompt set, which has name and prompts; its fields are {names}. A table is a list of "
            'objects, such as [{"prompt": "..."}], in a .json file',
        )
        return SetDocument(problems=problems)
    for name in document:
        if name not in SET_FIELDS:
            report(str(name), f"is not a field of a prompt set; fields are {', '.join(SET_FIELDS)}")
    name = document.get("name")
    if not isinstance(name, str):
        report("name", f"must be a text, not {kind_of(name)}")
        name = None
    budgets: Mapping[str, int] = {}
    if "budget_usd" in document:
        budgets = read_budgets(document["budget_usd"], report)
    table = _table(document, report)
    matrix = read_matrix(document, report)
    columns = _columns(document, report)
    if matrix is not None and matrix.column is not None and "prompt" not in columns.fields:
        columns = replace(columns, needed=matrix.column)
    return SetDocument(
        name=name,
        rows=[] if table is not None else _rows(document.get("prompts"), report),
        table=table,
        columns=columns,
        defaults=_mapping(document, "defaults", report),
        budgets=budgets,
        on_bad_rows=_on_bad_rows(document.get("on_bad_rows"), report),
        matrix=matrix,
        finals=read_finals(document, report),
        scores=read_scores(document.get("scores"), report),
        accept=read_rule(document.get("accept"), report),
        rights=read_rights(document.get("rights"), "rights", report),
        reference_rights=read_reference_rights(document.get("reference_rights"), report),
        problems=problems,
    )


def _table(document: Mapping[str, Any], report: Report) -> str | None:
    table = document.get("source")
    if table is None:
        for name in _TABLE_FIELDS:
            if document.get(name) is not None:
                report(
                    name,
                    "applies to the columns of a table: set source to its path, such as shots.csv",
                )
        return None
    if not isinstance(table, str) or not table.strip():
        report("source", "must be the path of a table, relative to this file's folder, such as shots.csv")
        table = ""
    if document.get("prompts") is not None:
        report("source", "cannot be set together with prompts: a set has one or the other")
    return table


def _columns(document: Mapping[str, Any], report: Report) -> Columns:
    fields = {}
    for name, column in _mapping(document, "columns", report).items():
        if name not in PROMPT_FIELDS:
            meant = field_meant(name)
            hint = f" (did you mean {meant}?)" if meant else ""
            report(f"columns.{name}", f"is not a field{hint}; fields are {', '.join(PROMPT_FIELDS)}")
        elif not isinstance(column, str):
            report(f"columns.{name}", f"is {shown(column)}; it must be the name of a column")
        else:
            fields[name] = column
    tags = document.get("tags")
    if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        report("tags", "must be a list of columns, such as [campaign, shot]")
        tags = None
    return Columns(fields=fields, tags=tags)


def _mapping(document: Mapping[str, Any], name: str, report: Report) -> dict[str, Any]:
    value = document.get(name)
    if value is not None and not isinstance(value, Mapping):
        report(name, f"must be a mapping, not {kind_of(value)}")
        value = None
    return {str(key): item for key, item in (value or {}).items() if item is not None}


def _on_bad_rows(value: Any, report: Report) -> str | None:
    if value is None or (isinstance(value, str) and value in BAD_ROWS):
        return value
    report("on_bad_rows", f"is {shown(value)}; allowed are {' and '.join(BAD_ROWS)}")
    return None


def _rows(prompts: Any, report: Report) -> list[Row]:
    if not isinstance(prompts, list):
        report("prompts", f"must be a list of prompts, not {kind_of(prompts)}")
        return []
    check_rows(len(prompts))
    rows = []
    for number, entry in enumerate(prompts, 1):
        place = f"prompt {number}"
        if not isinstance(entry, Mapping):
            hint = '; write "- prompt: ..."' if isinstance(entry, str) else ""
            report(None, f"must be a mapping, not {kind_of(entry)}{hint}", place)
            continue
        unknown = tuple(str(key) for key in entry if key not in PROMPT_FIELDS)
        known = {key: value for key, value in entry.items() if key in PROMPT_FIELDS and value is not None}
        rows.append(Row(place=place, fields=known, unknown=unknown))
    return rows
