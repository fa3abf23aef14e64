"""Tables that may belong to a set whose own file cannot be used.

As sets of their own they would be ordered without the settings of that set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from pathlib import PurePosixPath

from seedance_dagster.prompts.problems import Problem
from seedance_dagster.prompts.reading import FileContent

_ALIKE = 0.8  # of 1: shost.csv and shots.csv, or shots_v1.csv and shots_v2.csv


def withheld(table: str, unreadable: Mapping[str, FileContent]) -> Problem | None:
    """Return why a table that no set names is not a set of its own; None where it is one.

    Args:
        table: Its path or URI.
        unreadable: The files of sets that cannot be read, by path or URI.
    """
    name = PurePosixPath(table).name
    for source, content in unreadable.items():
        if _may_name(content, name):
            set_file = PurePosixPath(source).name
            message = (
                f"may belong to {set_file}, which cannot be used. Its prompts would be ordered without the "
                f"settings of that set, so it is not a set of its own until {set_file} is corrected"
            )
            return Problem(source=table, message=message)
    return None


def _may_name(content: FileContent, name: str) -> bool:
    if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", content.beginning, re.IGNORECASE):
        return True
    if not content.table:
        return False
    missing = PurePosixPath(content.table.strip().casefold())
    return (
        missing.stem == PurePosixPath(name.casefold()).stem
        or SequenceMatcher(None, missing.name, name.casefold()).ratio() >= _ALIKE
    )
