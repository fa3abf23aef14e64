"""The rights of the clips of a dataset, for its card."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from seedance_dagster.datasets.export.clips import Clip
from seedance_dagster.prompts.rights import OF_PROMPT

_MOST = 100
_HEAD = """\
## Rights

| of | license | holder | source | text | clips |
|---|---|---|---|---|---:|
"""


def rights_section(clips: Sequence[Clip]) -> str:
    """Return the section of a card on the rights of prompts and references; empty where none are named."""
    named = Counter(rights for clip in clips for rights in set(_named(clip)))
    rows = [
        f"| {' | '.join(map(cell, cells))} | {count} |\n" for cells, count in sorted(named.items())[:_MOST]
    ]
    if not rows:
        return ""
    without = sum(not any(_named(clip)) for clip in clips)
    notes = [f"{without} of {len(clips)} clips name no rights."] if without else []
    if len(named) > _MOST:
        notes.append(f"These are the first {_MOST} of {len(named)}; the column `rights` has all.")
    return _HEAD + "".join(rows) + "".join(f"\n{note}\n" for note in notes) + "\n"


def only_license(clips: Sequence[Clip]) -> str | None:
    """Return the license that all rights of all clips name; None if they do not name the same one."""
    licenses = {name for clip in clips for _, name, *_ in _named(clip)}
    every_clip = all(any(_named(clip)) for clip in clips)
    return licenses.pop() or None if every_clip and len(licenses) == 1 else None


def _named(clip: Clip) -> Iterator[tuple[str, ...]]:
    """Yield the rights of a clip: their object, license, holder, source and text; empty if not named."""
    for of, rights in json.loads(clip.row["rights"]).items():
        parts = (rights.get(part, "") for part in ("license", "holder", "source", "text"))
        yield (OF_PROMPT if of == OF_PROMPT else "reference", *parts)


def cell(text: str) -> str:
    """Return a text as a cell of a table in Markdown."""
    return " ".join(text.replace("|", "\\|").split())
