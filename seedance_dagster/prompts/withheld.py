"""Tables that are not sets of their own, although no set names them.

They may belong to a set whose own file cannot be used, and would be ordered without its settings. Or they are
copies of another table, as file managers and programs that synchronize folders make them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from difflib import SequenceMatcher
from pathlib import PurePosixPath

from seedance_dagster.prompts.problems import Problem
from seedance_dagster.prompts.prompt_file import TABLES
from seedance_dagster.prompts.reading import FileContent

_COPY_MARKS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(.+?) ?\([0-9]{1,2}\)",  # a second download
        r"(.+?)(?: -)? (?:copy|kopie|copie|copia|副本|のコピー)(?: ?\(?[0-9]{1,2}\)?)?",
        r"(?:copy of|kopie von|copie de|copia de) (.+)",
        r"(.+?) \(.*conflicted copy.*\)|(.+?)\.sync-conflict-.*",  # of Dropbox, of Syncthing
    )
)
_ALIKE = 0.8  # of 1: shost.csv and shots.csv, or shots_v1.csv and shots_v2.csv


def withheld(
    table: str, unreadable: Mapping[str, FileContent], names: Collection[str] = ()
) -> Problem | None:
    """Return why a table that no set names is not a set of its own; None where it is one.

    Args:
        table: Its path or URI.
        unreadable: The files of sets that cannot be read, by path or URI.
        names: The names of all prompt files beside it.
    """
    name = PurePosixPath(table).name
    if (original := _copied_from(name, names)) is not None:
        message = (
            f"looks like a copy of {original}, so it is not a set of its own; delete it, or give it another "
            "name"
        )
        return Problem(source=table, message=message)
    for source, content in unreadable.items():
        if _may_name(content, name):
            set_file = PurePosixPath(source).name
            message = (
                f"may belong to {set_file}, which cannot be used. Its prompts would be ordered without the "
                f"settings of that set, so it is not a set of its own until {set_file} is corrected"
            )
            return Problem(source=table, message=message)
    return None


def _copied_from(name: str, names: Collection[str]) -> str | None:
    """Return the file beside a table that it is a copy of, by its name.

    Example:
        >>> _copied_from("spots (1).csv", ["spots.csv"]), _copied_from("spots (1).csv", ["shots.csv"])
        ('spots.csv', None)
    """
    path = PurePosixPath(name)
    if path.suffix.lower() not in TABLES:
        return None
    for mark in _COPY_MARKS:
        match = mark.fullmatch(path.stem)
        original = next((f"{stem}{path.suffix}" for stem in match.groups() if stem), "") if match else ""
        if original in names:
            return original
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
