"""A prompt file before it is read, and the file names that mark one."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from dataclasses import dataclass

SETS = (".yaml", ".yml")
DOCUMENTS = (*SETS, ".json")  # JSON may hold a set or a table
TABLES = (".jsonl", ".ndjson", ".csv", ".tsv", ".txt", ".parquet", ".feather", ".arrow", ".xlsx")
SUFFIXES = (*DOCUMENTS, *TABLES)
_NOTES = {"readme", "license", "licence", "notice", "changelog", "note", "notes", "todo", "requirements"}


@dataclass(frozen=True)
class PromptFile:
    """A prompt file, before it is read.

    Attributes:
        source: Its path or URI, for messages.
        stamp: Changes whenever its content does; None when that is unknown.
        read: Returns its content, or raises `UnreadableError`.
    """

    source: str
    stamp: Hashable | None
    read: Callable[[], bytes]

    @property
    def suffix(self) -> str:
        """The extension of its name, in lower case."""
        return os.path.splitext(self.source)[1].lower()  # noqa: PTH122  also of a URI


def is_prompt_file(name: str) -> bool:
    """Return True for the name of a file that may hold prompts."""
    stem, suffix = os.path.splitext(name.lower())  # noqa: PTH122  also of an S3 key
    is_hidden = name.startswith((".", "~$"))  # Excel's mark of a workbook that it has open
    return suffix in SUFFIXES and not is_hidden and not (suffix == ".txt" and stem in _NOTES)
