"""Reading prompts from an asset into S3, where every tick and run finds them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import dagster as dg

from seedance_dagster.counting import counted
from seedance_dagster.defs.from_asset import PROMPT_TABLE, ROWS_CHECK, PromptsFromAsset
from seedance_dagster.defs.naming import Names, asset_key
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.steps.prompt_files import problems_table
from seedance_dagster.engine.services import Services
from seedance_dagster.prompts.asset_rows import set_document, table_of_value
from seedance_dagster.prompts.formats.tables import Columns, Table
from seedance_dagster.prompts.loading import LoadedFile
from seedance_dagster.prompts.places import find_prompt_files
from seedance_dagster.prompts.problems import Problem, PromptSetError, UnreadableError
from seedance_dagster.prompts.reading import read_table
from seedance_dagster.storage.keys import prompt_table_key


def read_prompt_table(  # noqa: PLR0917  the arguments of the step
    context: dg.AssetExecutionContext,
    services: Services,
    source: PromptSource,
    name: str,
    table: PromptsFromAsset,
    value: Any,
) -> dg.MaterializeResult[Any]:
    """Write the prompts that an asset made for a set, and check them; if that fails, the last ones stay.

    Raises:
        PromptSetError: The asset did not make a table of prompts.
        StoreError: S3 refused.
    """
    columns = Columns(fields=table.columns, tags=table.tags)
    try:
        rows = (
            _rows_at_path(context, table, columns) if value is None else table_of_value(value, table.source)
        )
        document = set_document(table.name, rows, columns, table.settings, table.source)
    except UnreadableError as error:
        raise PromptSetError([Problem(source=table.source, message=str(error))]) from None
    body = json.dumps(document, ensure_ascii=False, indent=1, default=str).encode()
    services.claim_prefix()
    key = prompt_table_key(services.store.prefix, name)
    services.store.put_bytes(key, body, content_type="application/json", metadata={}, overwrite=True)
    loaded = source.load(services.store)
    read = next((file for file in loaded.files if file.prompt_set == name), LoadedFile(table.source))
    errors = [problem for problem in read.problems if problem.severity == "error"]
    result = dg.AssetCheckResult(
        check_name=ROWS_CHECK,
        passed=not errors,
        description="\n".join(map(str, errors[:10]))
        or counted(len(document["prompts"]), "row is a prompt", "rows are prompts"),
        metadata={"seedance/problems": problems_table([read])},
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/uri": dg.MetadataValue.path(services.store.uri(key)),
            "dagster/row_count": len(document["prompts"]),
            "seedance/videos": read.videos or 0,
        },
        check_results=[result],
        data_version=dg.DataVersion(hashlib.sha256(body).hexdigest()),
    )


def table_requests(
    instance: dg.DagsterInstance, names: Names, job_name: str, source: PromptSource
) -> Iterator[dg.RunRequest]:
    """Yield a run for each asset that made prompts since they were last read, once for each of its events."""
    for name, table in source.tables.items():
        key = asset_key(name, PROMPT_TABLE)
        made, read = _newest(instance, table.asset_key), _newest(instance, key)
        if made > read:
            run_key = f"{names(job_name)} {name} {made}"
            yield dg.RunRequest(run_key=run_key, job_name=names(job_name), asset_selection=[key])


def _newest(instance: dg.DagsterInstance, key: dg.AssetKey) -> int:
    records = instance.fetch_materializations(key, limit=1).records
    return records[0].storage_id if records else -1


def _rows_at_path(context: dg.AssetExecutionContext, table: PromptsFromAsset, columns: Columns) -> Table:
    """Return the table in the file that the newest materialization of the asset names."""
    field = str(table.path_metadata)
    records = context.instance.fetch_materializations(table.asset_key, limit=1).records
    event = records[0].asset_materialization if records else None
    if event is None:
        raise UnreadableError("has not been materialized yet")
    if field not in event.metadata:
        known = ", ".join(event.metadata) or "none"
        raise UnreadableError(
            f"has no metadata {field!r}, which path_metadata names; its metadata are {known}"
        )
    files = find_prompt_files(str(event.metadata[field].value)).files
    if len(files) != 1:
        raise UnreadableError(f"names {len(files)} files in its metadata {field!r}; it must be one table")
    return read_table(files[0], columns)
