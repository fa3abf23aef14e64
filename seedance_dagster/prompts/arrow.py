"""Parquet, Feather and Arrow files; they need the extra `parquet`."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from seedance_dagster.prompts.bounds import check_columns, check_rows, check_unpacked
from seedance_dagster.prompts.problems import Problem, UnreadableError, first_line, shown
from seedance_dagster.prompts.tables import Columns, Table, has_value, no_prompt

if TYPE_CHECKING:
    import pyarrow as pa

_PANDAS_INDEX = "__index_level_0__"
_ROWS_AT_ONCE = 1_000


def read_parquet(content: bytes, source: str, columns: Columns) -> Table:
    """Read one prompt per row of a Parquet file.

    Its own description is read first: what unpacks to too much is refused before it is unpacked.

    Raises:
        UnreadableError: The file is not Parquet, too large, or has no column of prompts.
    """
    pa, pq = _import_pyarrow(), _import_parquet()
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        check_rows(file.metadata.num_rows)
        names, problems = _usable(file.schema_arrow, columns, source)
        kept = set(names)
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        chunks = (group.column(number) for group in groups for number in range(group.num_columns))
        check_unpacked(
            sum(
                chunk.total_uncompressed_size
                for chunk in chunks
                if chunk.path_in_schema.partition(".")[0] in kept
            )
        )
        # A dictionary stays one in memory: one long text in all rows is held once.
        file = pq.ParquetFile(io.BytesIO(content), read_dictionary=_text_columns(file.schema_arrow, names))
        batches = file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=names)
        return Table(columns=names, rows=list(_rows(batches)), problems=problems)
    except (pa.ArrowException, OSError, ValueError, LookupError, OverflowError) as error:
        raise UnreadableError(f"is not valid Parquet: {first_line(error)}") from None


def read_arrow(content: bytes, source: str, columns: Columns) -> Table:
    """Read one prompt per row of an Arrow or Feather file.

    Raises:
        UnreadableError: The file is not one of these, too large, or has no column of prompts.
    """
    pa = _import_pyarrow()
    try:
        try:
            reader = pa.ipc.open_file(content)
            batches: Iterable[Any] = map(reader.get_batch, range(reader.num_record_batches))
        except pa.ArrowInvalid:
            reader = batches = pa.ipc.open_stream(content)
        names, problems = _usable(reader.schema, columns, source)
        rows = list(_rows(batch.select(names) for batch in batches))
        return Table(columns=names, rows=rows, problems=problems)
    except (pa.ArrowException, OSError, ValueError, LookupError, OverflowError) as error:
        raise UnreadableError(f"is not a valid Arrow file: {first_line(error)}") from None


def _import_pyarrow() -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415  heavy, and an extra
    except ModuleNotFoundError:
        raise UnreadableError("needs pyarrow: pip install 'seedance-dagster[parquet]'") from None
    return pa


def _import_parquet() -> Any:
    import pyarrow.parquet as pq  # noqa: PLC0415  heavy, and an extra

    return pq


def _usable(schema: pa.Schema, columns: Columns, source: str) -> tuple[list[str], list[Problem]]:
    """Return the columns to read, and those that are left out because they hold bytes."""
    check_columns(len(schema.names))
    if len(set(schema.names)) != len(schema.names) or "" in schema.names:
        raise UnreadableError("has two columns with the same name, or one without a name")
    if columns.wanted not in schema.names:
        raise no_prompt(schema.names, columns.wanted)
    names, problems = [], []
    for field in schema:
        if _holds_bytes(field.type):
            message = f"holds bytes ({str(field.type)[:80]}), which cannot be a tag; it is left out"
            problems.append(
                Problem(
                    source=source, field=f"column {shown(field.name)}", message=message, severity="warning"
                )
            )
        elif field.name != _PANDAS_INDEX:
            names.append(field.name)
    if columns.wanted not in names:
        raise UnreadableError(f"needs texts in the column {columns.wanted}, not bytes")
    return names, problems


def _holds_bytes(kind: pa.DataType) -> bool:
    """Return True for a type that is, or contains, bytes: pictures, as data sets have them."""
    types = _import_pyarrow().types
    if types.is_dictionary(kind):
        return _holds_bytes(kind.value_type)
    if any(test(kind) for test in (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)):
        return True
    return any(_holds_bytes(kind.field(number).type) for number in range(kind.num_fields))


def _text_columns(schema: pa.Schema, names: Iterable[str]) -> list[str]:
    return [name for name in names if str(schema.field(name).type) in {"string", "large_string"}]


def _rows(batches: Iterable[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    number = unpacked = 0
    for batch in batches:
        check_rows(number + batch.num_rows)
        batch.validate(full=True)  # pyarrow ends the process when it reads what is not valid
        unpacked += sum(map(_unpacked_bytes, batch.columns))
        check_unpacked(unpacked)
        for entry in batch.to_pylist(maps_as_pydicts="strict"):
            number += 1
            yield f"row {number}", {name: value for name, value in entry.items() if has_value(value)}


def _unpacked_bytes(column: Any) -> int:
    """Return the size of a column as Python values: each is a copy of what its dictionary has once."""
    import pyarrow.compute as pc  # noqa: PLC0415  heavy, and an extra

    if not _import_pyarrow().types.is_dictionary(column.type):
        return int(column.nbytes)
    return pc.sum(pc.take(pc.binary_length(column.dictionary), column.indices)).as_py() or 0
