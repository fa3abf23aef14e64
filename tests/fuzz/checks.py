"""The rules for a damaged file: it is read, or refused in words that name it and the place."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.engine.stages.delivery import inspect_delivery
from seedance_dagster.engine.stages.download import Downloaded
from seedance_dagster.media.errors import MediaError
from seedance_dagster.prompts.loading import _check_file
from seedance_dagster.prompts.places import PromptFiles
from seedance_dagster.prompts.problems import Problem
from seedance_dagster.prompts.prompt_file import PromptFile

_CATALOG = Catalog.load()
_PLACE = re.compile(r"\b(line|row|entry|prompt|column|columns|name) \S")
# Problems of the file as a whole, or of a file without lines.
_WHOLE = re.compile(
    r"contains (no prompts|more )|must be a mapping|is nested too deeply|is UTF-(16|32) text|unpacks to"
    r"|is not UTF-8 text: it looks|is not text\b|is an HTML page|is a pointer|begins like "
    r"|is (text, not a workbook|empty|protected)"
    r"|is not (valid Parquet|a valid Arrow file|a valid .xlsx file)|has two columns|has \d+ columns"
    r"|cannot be read|needs |more problems?, which (are|is) not listed"
)
_LONGEST = 2_000


@dataclass(frozen=True)
class Outcome:
    """The end of a file: read or refused.

    Attributes:
        read: Some of its content can be used.
        fault: The rule that it breaks; empty for none.
        words: The first problem.
    """

    read: bool
    fault: str = ""
    words: str = ""


def check_prompt_file(suffix: str, content: bytes) -> Outcome:
    """Load a prompt file as ticks and runs do."""
    source = f"prompts/spots.{suffix}"
    file = PromptFile(source, None, lambda: content)
    checked = _check_file(file, PromptFiles([file], folder=Path("/nowhere")), _CATALOG, None)
    errors = [problem for problem in checked.problems if problem.severity == "error"]
    words = str(checked.problems[0]) if checked.problems else ""
    faults = [fault for problem in checked.problems if (fault := _fault(problem, source))]
    if checked.prompt_set is None and not errors:
        faults.append("is neither read nor refused")
    if len(checked.problems) > 21:
        faults.append("has more than 21 problems")
    return Outcome(checked.prompt_set is not None, "; ".join(faults[:1]), words)


def _fault(problem: Problem, source: str) -> str:
    words = str(problem)
    if not words.startswith(source):
        return "a problem does not name the file"
    if not words.isprintable() or len(words) > _LONGEST:
        return f"a problem cannot be printed, or is long: {words[:200]!r}"
    placed = problem.prompt is not None or problem.field is not None or _PLACE.search(problem.message)
    return "" if placed or _WHOLE.search(problem.message) else f"a problem names no place: {words}"


def check_video(content: bytes, path: Path) -> Outcome:
    """Inspect a video as a run does that has downloaded it."""
    path.write_bytes(content)
    file = Downloaded(path, len(content), hashlib.sha256(content).hexdigest())
    try:
        inspection = inspect_delivery(file).inspection
    except MediaError as error:
        return Outcome(read=False, words=str(error), fault="" if str(error) else "is refused without words")
    words = inspection.problem or inspection.poster_problem or ""
    missing = (inspection.probe is None and not inspection.problem) or (
        not inspection.poster and not inspection.poster_problem
    )
    return Outcome(inspection.probe is not None, "has no words" if missing else "", words)
