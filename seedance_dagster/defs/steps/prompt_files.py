"""The prompt files in Dagster: an observation whenever one changed, and the result of their check."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

import dagster as dg
from pydantic import BaseModel, ValidationError

from seedance_dagster.counting import counted
from seedance_dagster.defs.naming import FILES_CHECK, Names, version_tags
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.steps.known_sets import GoneSet, gone_declared
from seedance_dagster.prompts.loading import LoadedFile, LoadedPromptSets

_MAX_ROWS = 500  # an event should not grow without bounds
_FILES = dg.TableSchema(
    [
        dg.TableColumn("file"),
        dg.TableColumn("set"),
        dg.TableColumn("videos", "int"),
        dg.TableColumn("state"),
        dg.TableColumn("problems", "int"),
    ]
)
_PROBLEMS = dg.TableSchema(
    [dg.TableColumn(name) for name in ("file", "prompt", "field", "problem", "severity")]
)


class TickCursor(BaseModel):
    """The memory of the sensor from tick to tick.

    Attributes:
        prompt_files: The digest of the prompt files that were observed last.
    """

    prompt_files: str = ""

    @classmethod
    def read(cls, cursor: str | None) -> TickCursor:
        """Return the cursor of the last tick; an empty one if there is none that can be read."""
        try:
            return cls.model_validate_json(cursor or "{}")
        except ValidationError:
            return cls()


def observe_changed_files(
    context: dg.SensorEvaluationContext,
    names: Names,
    source: PromptSource,
    loaded: LoadedPromptSets,
    declared: Collection[str],
) -> None:
    """Report the prompt files and their check to Dagster, if they differ from the last report."""
    digest = _digest(loaded, declared)
    cursor = TickCursor.read(context.cursor)
    if cursor.prompt_files == digest:
        return
    key, result = names.files_key(source.key_prefix), check_result(loaded, declared)
    observation = dg.AssetObservation(
        key, metadata=_metadata(loaded, declared), tags=version_tags(digest), description=result.description
    )
    evaluation = dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=FILES_CHECK,
        passed=result.passed,
        metadata=result.metadata,
        description=result.description,
    )
    for event in (observation, evaluation):
        context.instance.report_runless_asset_event(event)
    context.update_cursor(cursor.model_copy(update={"prompt_files": digest}).model_dump_json())


def check_result(loaded: LoadedPromptSets, declared: Collection[str]) -> dg.AssetCheckResult:
    """Return the check's result: failed while a file or a prompt in it cannot be used, or a file is gone."""
    gone = sorted(gone_declared(loaded, declared))
    reasons = [*map(str, loaded.errors), *(str(GoneSet(name, 0, declared=True)) for name in gone)]
    files = len([file for file in loaded.files if file.prompt_set])
    return dg.AssetCheckResult(
        passed=not reasons,
        description="\n".join(reasons[:10]) or f"{counted(files, 'prompt file')} can be read",
        metadata={"seedance/problems": problems_table(loaded.files)},
    )


def _metadata(loaded: LoadedPromptSets, declared: Collection[str]) -> dict[str, Any]:
    rows: list[Mapping[str, Any]] = [
        {
            "file": file.source,
            "set": file.prompt_set,
            "videos": file.videos or 0,
            "state": _state(file, declared),
            "problems": len(file.problems),
        }
        for file in loaded.files
    ]
    rows += [
        {"file": "", "set": name, "videos": 0, "state": "its file is gone", "problems": 1}
        for name in sorted(gone_declared(loaded, declared))
    ]
    return {
        "seedance/prompt_files": _table(rows, _FILES),
        "seedance/problems": problems_table(loaded.files),
    }


def _state(file: LoadedFile, declared: Collection[str]) -> str:
    if file.videos is None:
        return "cannot be used"
    if file.prompt_set not in declared:
        return "waits for a reload of the code location"
    has_errors = any(problem.severity == "error" for problem in file.problems)
    return "loaded, without prompts that have errors" if has_errors else "loaded"


def problems_table(files: Collection[LoadedFile]) -> dg.TableMetadataValue:
    """Return the problems of files as a table."""
    rows = [
        {
            "file": problem.source,
            "prompt": problem.prompt or "",
            "field": problem.field or "",
            "problem": problem.message,
            "severity": problem.severity,
        }
        for file in files
        for problem in file.problems
    ]
    return _table(rows, _PROBLEMS)


def _table(rows: Collection[Mapping[str, Any]], schema: dg.TableSchema) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [dg.TableRecord(dict(row)) for row in list(rows)[:_MAX_ROWS]], schema=schema
    )


def _digest(loaded: LoadedPromptSets, declared: Collection[str]) -> str:
    """Return a hash that changes whenever a file, its problems or its state change."""
    files = [(file, _state(file, declared)) for file in loaded.files]
    return hashlib.sha256(repr((files, sorted(declared))).encode(errors="replace")).hexdigest()
