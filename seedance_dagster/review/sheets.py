"""Verdicts as a CSV file, for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from seedance_dagster.ledger.verdict import Judgement, Verdict
from seedance_dagster.net.secrets import SafeError
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
            reader = csv.DictReader(file, strict=True)
            if missing := {"partition", "verdict"} - set(reader.fieldnames or ()):
                raise SheetError(
                    f"{path.name}: the column {' and '.join(sorted(missing))} is missing; partition "
                    "and verdict are needed, and note and sha256 are read as well"
                )
            judgements: dict[str, Judgement] = {}
            for row in reader:
                partition = (row["partition"] or "").strip()
                where = f"{path.name}, line {reader.line_num}"
                if partition in judgements or not partition:
                    problem = f"{partition} is there twice" if partition else "the partition is empty"
                    raise SheetError(f"{where}: {problem}; each partition needs one row")
                judgements[partition] = _judgement(where, row)
    except OSError as error:
        raise SheetError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        reason = "it is not UTF-8 text; save it as UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise SheetError(f"{path.name}: cannot be read as CSV: {reason}") from None
    return judgements


def _judgement(where: str, row: dict[str, str | None]) -> Judgement:
    verdict, note = (row["verdict"] or "").strip().lower(), (row.get("note") or "").strip()
    if verdict not in list(Verdict):
        raise SheetError(f"{where}: verdict is {verdict!r}; allowed are {', '.join(Verdict)}")
    if len(note) > MAX_NOTE:
        raise SheetError(f"{where}: the note has {len(note)} characters; allowed are {MAX_NOTE}")
    return Judgement(Verdict(verdict), note, (row.get("sha256") or "").strip() or None)
