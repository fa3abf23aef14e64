"""Tags: values kept with a prompt's videos, under names of the team's choice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from seedance_dagster.prompts.bounds import MAX_TAG_CHARACTERS
from seedance_dagster.prompts.problems import shown
from seedance_dagster.prompts.rules import UNSTORABLE

Report = Callable[[str, str], object]
"""`report(field, message)`."""


def all_tags(sources: Iterable[Any], of_columns: Mapping[str, str], report: Report) -> dict[str, str]:
    """Return the tags of a prompt; of tags with the same name, the last one wins.

    Args:
        sources: The tags of its set, and those of the prompt itself; None where there are none.
        of_columns: Tags from columns that are not fields.
        report: Called for each problem.
    """
    tags, own = dict[str, str](), dict[str, str]()
    for value in sources:
        own = {} if value is None else _tags(value, report)
        tags |= own
    for name in own.keys() & of_columns.keys():
        if own[name] != of_columns[name]:
            in_column = f"{shown(of_columns[name])} in a column of its own"
            report(f"tags.{name}", f"is {shown(own[name])}, and {in_column}; keep one of them")
    tags |= of_columns
    for name, value in tags.items():
        if not name.strip():
            report("tags", f"has {shown(value)} without a name; give it one")
        elif UNSTORABLE.search(name + value):
            report(f"tags.{name}", "contains characters that cannot be stored")
        elif len(name) + len(value) > MAX_TAG_CHARACTERS:
            report(f"tags.{name}", f"has {len(value)} characters; allowed are {MAX_TAG_CHARACTERS}")
    return tags


def _tags(value: Any, report: Report) -> dict[str, str]:
    if not isinstance(value, Mapping) or any(
        isinstance(item, Mapping | list) or not isinstance(name, str) for name, item in value.items()
    ):
        report("tags", "must be a mapping of names to plain values, such as {campaign: spring}")
        return {}
    return {name: tag_text(item) for name, item in value.items() if item is not None}


def tag_text(value: Any) -> str:
    """Return the value of a tag as text; lists are joined by commas, mappings become JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(tag_text, value))
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
