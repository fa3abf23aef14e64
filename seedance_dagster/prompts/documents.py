"""Prompt set files that hold a whole set: YAML and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping
from typing import Any

import yaml

from seedance_dagster.prompts.assembly import PROMPT_FIELDS, RawSet, Row
from seedance_dagster.prompts.budgets import read_budgets
from seedance_dagster.prompts.problems import Problem

_SET_FIELDS = ("name", "budget_usd", "defaults", "prompts")


class UnreadableError(Exception):
    """The file's content cannot be read as what its name says; the message says where and why."""


def read_yaml(text: str, source: str) -> tuple[RawSet | None, list[Problem]]:
    """A set from YAML; see `read_document`."""
    try:
        return read_document(yaml.load(text, _Loader), source)  # noqa: S506  a SafeLoader below
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise UnreadableError(f"is no valid YAML: {error.problem or error.context}{where}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UnreadableError(f"is no valid YAML: {str(error).splitlines()[0][:200]}") from None


def read_json(text: str, source: str) -> tuple[RawSet | None, list[Problem]]:
    """A set from JSON; see `read_document`."""
    return read_document(parse_json(text), source)


def parse_json(text: str) -> Any:
    """JSON in which no name stands twice; raises `UnreadableError`."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise UnreadableError(
            f"is no valid JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"is no valid JSON: {str(error)[:200]}") from None


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
    if not isinstance(name, str) or not isinstance(prompts, list) or (not rows and prompts):
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
        msg = f"{next(name for name in names if names.count(name) > 1)!r} stands twice in one object"
        raise ValueError(msg)
    return found


class _Loader(yaml.SafeLoader):
    """Safe YAML without its traps: `16:9` is a text, `no` is a text, a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        self.flatten_mapping(node)
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_PLAIN = {
    "tag:yaml.org,2002:bool": r"^(?:true|True|TRUE|false|False|FALSE)$",
    "tag:yaml.org,2002:int": r"^[-+]?[0-9]+$",
    "tag:yaml.org,2002:float": r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$",
    "tag:yaml.org,2002:null": r"^(?:~|null|Null|NULL|)$",
}
_FIRST = {
    "tag:yaml.org,2002:bool": "tTfF",
    "tag:yaml.org,2002:int": "-+0123456789",
    "tag:yaml.org,2002:float": "-+0123456789.",
    "tag:yaml.org,2002:null": ["~", "n", "N", ""],
}
_Loader.yaml_implicit_resolvers = {"<": yaml.SafeLoader.yaml_implicit_resolvers["<"]}
for _tag, _pattern in _PLAIN.items():
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), list(_FIRST[_tag]))
