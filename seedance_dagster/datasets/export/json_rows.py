"""Rows of a dataset as JSON that `datasets` can load: it infers the type of each column from few rows."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from seedance_dagster.datasets.export.clips import Clip


def json_row(row: Mapping[str, Any], left_out: Container[str]) -> bytes:
    """Return a row as one line of JSON in UTF-8, without some columns."""
    kept = {name: value for name, value in row.items() if name not in left_out}
    return json.dumps(kept, ensure_ascii=False).encode("utf-8", "replace")


def columns_without_value(groups: Iterable[Sequence[Clip]]) -> set[str]:
    """Return the columns that are null throughout a group of clips from which types are inferred."""
    return {
        name for clips in groups for name in clips[0].row if all(clip.row[name] is None for clip in clips)
    }
