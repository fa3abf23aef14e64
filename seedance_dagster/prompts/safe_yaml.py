"""YAML as prompt files use it: plain data only, and none of its traps."""

from __future__ import annotations

import re
from typing import Any

import yaml

from seedance_dagster.prompts.problems import UnreadableError, first_line, shown

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"


def load_yaml(text: str) -> Any:
    """One document of texts, numbers, true, false, null, lists and names with values.

    Raises:
        UnreadableError: The text is something else; the message says where.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506  a SafeLoader, below
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise UnreadableError(f"is no valid YAML: {error.problem or error.context}{where}") from None
    except (yaml.YAMLError, ValueError, LookupError) as error:
        raise UnreadableError(f"is no valid YAML: {first_line(error)}") from None


class _Loader(yaml.SafeLoader):
    """Safe YAML in which `16:9`, `no` and `007` are texts, a key stands once, and merges stay small."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if _identity(key) in seen:
                problem = f"{shown(key.value)} stands twice"
                raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
            seen.add(_identity(key))
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put what `<<` names before a mapping's own keys, each key once: merges of merges stay small."""
        bases = [value for key, value in node.value if key.tag == _MERGE]
        own = {_identity(key): (key, value) for key, value in node.value if key.tag != _MERGE}
        node.value = list(own.values())  # first, for mappings that merge themselves
        merged: dict[Any, tuple[yaml.Node, yaml.Node]] = {}
        for base in bases:
            # The first of a list wins.
            for each in reversed(base.value) if isinstance(base, yaml.SequenceNode) else [base]:
                if not isinstance(each, yaml.MappingNode):
                    problem = "<< takes a mapping or a list of them"
                    raise yaml.constructor.ConstructorError(None, None, problem, base.start_mark)
                self.flatten_mapping(each)
                merged |= {_identity(key): (key, value) for key, value in each.value}
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
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(_pattern), list(_first))
_known = {None, *(_TAG + name for name in (*_PLAIN, "str", "seq", "map"))}
_Loader.yaml_constructors = {
    tag: constructor for tag, constructor in yaml.SafeLoader.yaml_constructors.items() if tag in _known
}
_Loader.add_constructor(f"{_TAG}int", _whole_number)
