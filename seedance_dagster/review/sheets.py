"""Verdicts as a CSV file, for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from seedance_dagster.ledger.verdict import Judgement, Verdict
from seedance_dagster.net.secrets import SafeError
from seedance_dagster.prompts.formats.delimited import read_csv
from seedance_dagster.prompts.problems import UnreadableError, shown
from seedance_dagster.review.listing import ReviewedVideo

COLUMNS = (
    "partition",
    "verdict",
    "note",
    "reviewer",
    "given_at",
    "task_type",
    "cost_usd",
    "duration_s",
    "sha256",
    "prompt",
)
MAX_NOTE = 2000
"""The longest note, in characters."""


class SheetError(SafeError, ValueError):
    """A CSV file of verdicts that cannot be used; none of it was recorded."""


def write_sheet(videos: Iterable[ReviewedVideo]) -> str:
    """Return a CSV file with a row for each video, times in ISO 8601."""
    content = io.StringIO()
    writer = csv.DictWriter(content, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for video in videos:
        given_at = "" if video.given_at is None else video.given_at.isoformat()
        writer.writerow(video.as_dict() | {"given_at": given_at})
    return content.getvalue()


def read_sheet(path: Path) -> dict[str, Judgement]:
    """Return the verdicts of a CSV file, by partition; columns other than those it needs are ignored.

    Raises:
        SheetError: It cannot be read, or a row cannot be used.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = read_csv(file.read(), path.name, "partition", _missing_column)
        if "verdict" not in table.columns:
            raise _missing_column(table.columns, "verdict")
    except SheetError as error:
        raise SheetError(f"{path.name}: {error}") from None
    except OSError as error:
        raise SheetError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SheetError(
            f"{path.name}: cannot be read as CSV: it is not UTF-8 text; save it as UTF-8"
        ) from None
    except UnreadableError as error:
        raise SheetError(f"{path.name} {error}") from None
    if table.problems:
        raise SheetError(str(table.problems[0]))
    judgements: dict[str, Judgement] = {}
    for place, cells in table.rows:
        partition = cells.get("partition", "").strip()
        where = f"{path.name}, {place}"
        if partition in judgements or not partition:
            problem = f"{partition} is there twice" if partition else "the partition is empty"
            raise SheetError(f"{where}: {problem}; each partition needs one row")
        judgements[partition] = _judgement(where, cells)
    return judgements


def _missing_column(names: Iterable[str], required: str, _below: str | None = None) -> SheetError:
    columns = ", ".join(shown(name, 40) for name in names) or "none"
    return SheetError(
        f"the column {required} is missing; partition and verdict are needed, and note and sha256 are read "
        f"as well. Its columns are {columns[:200]}"
    )


def _judgement(where: str, cells: Mapping[str, str]) -> Judgement:
    verdict, note = cells.get("verdict", "").strip().lower(), cells.get("note", "").strip()
    if verdict not in list(Verdict):
        raise SheetError(f"{where}: verdict is {verdict!r}; allowed are {', '.join(Verdict)}")
    if len(note) > MAX_NOTE:
        raise SheetError(f"{where}: the note has {len(note)} characters; allowed are {MAX_NOTE}")
    return Judgement(Verdict(verdict), note, cells.get("sha256", "").strip() or None)
