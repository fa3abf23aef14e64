"""Prompt set files that hold a whole set: YAML and JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from seedance_dagster.prompts.assembly import PROMPT_FIELDS, RawSet, Row
from seedance_dagster.prompts.budgets import read_budgets
from seedance_dagster.prompts.problems import Problem, UnreadableError, first_line, shown
from seedance_dagster.prompts.safe_yaml import load_yaml

_SET_FIELDS = ("name", "budget_usd", "defaults", "prompts")


def read_yaml(text: str, source: str) -> tuple[RawSet | None, list[Problem]]:
    """A set from YAML; see `read_document`."""
    return read_document(load_yaml(text), source)


def read_json(text: str, source: str) -> tuple[RawSet | None, list[Problem]]:
    """A set from JSON; see `read_document`."""
    return read_document(parse_json(text), source)


def parse_json(text: str, line: int = 1) -> Any:
    """JSON in which no name stands twice; raises `UnreadableError`, counting lines from `line` on."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise UnreadableError(
            f"is no valid JSON: {error.msg} (line {line + error.lineno - 1}, column {error.colno})"
        ) from None
    except RecursionError:
        raise UnreadableError("is nested too deeply") from None
    except ValueError as error:
        raise UnreadableError(f"is no valid JSON: {first_line(error)}") from None


def read_document(document: Any, source: str) -> tuple[RawSet | None, list[Problem]]:
    """A set from a parsed document, with the problems of its outer form."""

    def problem(name: str | None, message: str, prompt: str | None = None) -> Problem:
        return Problem(source=source, field=name, message=message, prompt=prompt)

    if not isinstance(document, Mapping):
        return None, [problem(None, f"must hold {', '.join(_SET_FIELDS)}, not {_kind(document)}")]
    problems = [
        problem(str(name), f"is no field of a prompt set; fields are {', '.join(_SET_FIELDS)}")
        for name in document
        if name not in _SET_FIELDS
    ]
    name, defaults, prompts = (document.get(each) for each in ("name", "defaults", "prompts"))
    defaults = {} if defaults is None else defaults
    if not isinstance(name, str):
        problems.append(problem("name", "a prompt set needs a name"))
        name = "unnamed"  # goes on to tell what else is wrong
    budgets: Mapping[str, int] = {}
    if "budget_usd" in document:
        budgets = read_budgets(
            document["budget_usd"], lambda field, message: problems.append(problem(field, message))
        )
    if not isinstance(defaults, Mapping):
        problems.append(problem("defaults", f"must be names with values, not {_kind(defaults)}"))
        defaults = {}
    if not isinstance(prompts, list):
        problems.append(problem("prompts", f"must be a list of prompts, not {_kind(prompts)}"))
        prompts = []
    rows = []
    for number, entry in enumerate(prompts, 1):
        place = f"prompt {number}"
        if not isinstance(entry, Mapping):
            problems.append(problem(None, f"must be names with values, not {_kind(entry)}", place))
            continue
        fields = {str(key): value for key, value in entry.items()}
        unknown = tuple(key for key in fields if key not in PROMPT_FIELDS)
        known = {key: value for key, value in fields.items() if key in PROMPT_FIELDS and value is not None}
        rows.append(Row(place=place, fields=known, unknown=unknown))
    if problems and not rows:
        return None, problems
    clean = {str(key): value for key, value in defaults.items() if value is not None}
    return RawSet(name=name, source=source, rows=rows, defaults=clean, budgets=budgets), problems


def _kind(value: Any) -> str:
    words = {type(None): "nothing", list: "a list", dict: "names with values", str: "a text"}
    return words.get(type(value), f"a {type(value).__name__}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name, count in Counter(names).items() if count > 1)
        msg = f"{shown(twice)} stands twice in one object"
        raise ValueError(msg)
    return found
