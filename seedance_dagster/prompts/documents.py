"""Prompt set files that hold a whole set: YAML, without its pitfalls, and JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from seedance_dagster.prompts.assembly import PROMPT_FIELDS, RawSet, Row
from seedance_dagster.prompts.budgets import read_budgets
from seedance_dagster.prompts.problems import Problem, UnreadableError, first_line, shown

_SET_FIELDS = ("name", "budget_usd", "defaults", "prompts")
_MOST_DEPTH = 100
_YAML_TAG = "tag:yaml.org,2002:"
_YAML_MERGE = f"{_YAML_TAG}merge"


def read_yaml(text: str, source: str) -> tuple[RawSet | None, list[Problem]]:
    """Read a set from YAML; see `read_document`."""
    return read_document(parse_yaml(text), source)


def read_json(text: str, source: str) -> tuple[RawSet | None, list[Problem]]:
    """Read a set from JSON; see `read_document`."""
    return read_document(parse_json(text), source)


def read_document(document: Any, source: str) -> tuple[RawSet | None, list[Problem]]:
    """Read a set from a parsed document.

    Returns:
        The set, None when the document is not one, and the problems of its outer form.
    """

    def problem(name: str | None, message: str, prompt: str | None = None) -> Problem:
        return Problem(source=source, field=name, message=message, prompt=prompt)

    if not isinstance(document, Mapping):
        return None, [
            problem(None, f"must be a mapping with {', '.join(_SET_FIELDS)}, not {kind_of(document)}")
        ]
    problems = [
        problem(str(name), f"is not a field of a prompt set; fields are {', '.join(_SET_FIELDS)}")
        for name in document
        if name not in _SET_FIELDS
    ]
    name, defaults, prompts = (document.get(field) for field in ("name", "defaults", "prompts"))
    defaults = {} if defaults is None else defaults
    if not isinstance(name, str):
        problems.append(problem("name", f"must be a text, not {kind_of(name)}"))
        name = "unnamed"  # continue, to report the other problems too
    budgets: Mapping[str, int] = {}
    if "budget_usd" in document:
        budgets = read_budgets(
            document["budget_usd"], lambda field, message: problems.append(problem(field, message))
        )
    if not isinstance(defaults, Mapping):
        problems.append(problem("defaults", f"must be a mapping, not {kind_of(defaults)}"))
        defaults = {}
    if not isinstance(prompts, list):
        problems.append(problem("prompts", f"must be a list of prompts, not {kind_of(prompts)}"))
        prompts = []
    rows = []
    for number, entry in enumerate(prompts, 1):
        place = f"prompt {number}"
        if not isinstance(entry, Mapping):
            problems.append(problem(None, f"must be a mapping, not {kind_of(entry)}", place))
            continue
        fields = {str(key): value for key, value in entry.items()}
        unknown = tuple(key for key in fields if key not in PROMPT_FIELDS)
        known = {key: value for key, value in fields.items() if key in PROMPT_FIELDS and value is not None}
        rows.append(Row(place=place, fields=known, unknown=unknown))
    if problems and not rows:
        return None, problems
    clean = {str(key): value for key, value in defaults.items() if value is not None}
    return RawSet(name=name, source=source, rows=rows, defaults=clean, budgets=budgets), problems


def parse_json(text: str, line: int = 1) -> Any:
    """Parse JSON in which no name occurs twice.

    Args:
        text: The JSON.
        line: The number of its first line in the file.

    Raises:
        UnreadableError: The text is not such JSON.
    """
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise UnreadableError(
            f"is not valid JSON: {error.msg} (line {line + error.lineno - 1}, column {error.colno})"
        ) from None
    except RecursionError:
        raise UnreadableError("is nested too deeply") from None
    except ValueError as error:
        raise UnreadableError(f"is not valid JSON: {first_line(error)}") from None
    _check_depth(document)
    return document


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _check_depth(document: Any) -> None:
    """Raise `UnreadableError` for a document whose depth would end a recursive function."""
    level: list[Any] = [document]
    for _ in range(_MOST_DEPTH):
        level = [item for parent in level for item in _children(parent)]
        if not level:
            return
    raise UnreadableError("is nested too deeply")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = Counter(name for name, _ in pairs)
        repeated = next(name for name, count in names.items() if count > 1)
        msg = f"{shown(repeated)} occurs twice in one object"
        raise ValueError(msg)
    return fields


def parse_yaml(text: str) -> Any:
    """Parse a YAML document of texts, numbers, true, false, null, lists and mappings.

    Raises:
        UnreadableError: The text is not such a document.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506  a SafeLoader, below
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise UnreadableError(f"is not valid YAML: {error.problem or error.context}{where}") from None
    except (yaml.YAMLError, ValueError, LookupError) as error:
        raise UnreadableError(f"is not valid YAML: {first_line(error)}") from None


class _Loader(yaml.SafeLoader):
    """Safe YAML in which `16:9`, `no` and `007` are texts, keys are unique, and merges stay small."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if _identity(key) in seen:
                problem = f"{shown(key.value)} occurs twice"
                raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
            seen.add(_identity(key))
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge the mappings that `<<` names, each key once, so that merges of merges stay small."""
        bases = [value for key, value in node.value if key.tag == _YAML_MERGE]
        own = {_identity(key): (key, value) for key, value in node.value if key.tag != _YAML_MERGE}
        node.value = list(own.values())  # first, for mappings that merge themselves
        merged: dict[Any, tuple[yaml.Node, yaml.Node]] = {}
        for base in bases:
            # The first of a list wins.
            for mapping in reversed(base.value) if isinstance(base, yaml.SequenceNode) else [base]:
                if not isinstance(mapping, yaml.MappingNode):
                    problem = "<< takes a mapping or a list of mappings"
                    raise yaml.constructor.ConstructorError(None, None, problem, base.start_mark)
                self.flatten_mapping(mapping)
                merged |= {_identity(key): (key, value) for key, value in mapping.value}
        node.value = list((merged | own).values())


def _identity(key: yaml.Node) -> Any:
    return key.value if isinstance(key, yaml.ScalarNode) else id(key)


def _whole_number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


_PLAIN = {
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    "int": (r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    "float": (r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$", "-+0123456789."),
    "null": (r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
}
_Loader.yaml_implicit_resolvers = {"<": yaml.SafeLoader.yaml_implicit_resolvers["<"]}
for _name, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(_YAML_TAG + _name, re.compile(_pattern), list(_first))
_known = {None, *(_YAML_TAG + name for name in (*_PLAIN, "str", "seq", "map"))}
_Loader.yaml_constructors = {
    tag: constructor for tag, constructor in yaml.SafeLoader.yaml_constructors.items() if tag in _known
}
_Loader.add_constructor(f"{_YAML_TAG}int", _whole_number)


def kind_of(value: Any) -> str:
    """Return what a parsed value is, in words."""
    words = {
        type(None): "nothing",
        list: "a list",
        dict: "a mapping",
        str: "a text",
        int: "a number",
        float: "a number",
        bool: "true or false",
    }
    return words.get(type(value), f"a {type(value).__name__}")
