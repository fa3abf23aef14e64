"""Parquet, Feather and Arrow files; they need the extra `parquet`, and are read in a process of their own."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seedance_dagster.prompts.assembly import PROMPT_FIELDS
from seedance_dagster.prompts.bounds import check_columns, check_rows, check_unpacked
from seedance_dagster.prompts.formats.tables import WHOLE_FIELDS, has_value, no_prompt
from seedance_dagster.prompts.formats.unpacked import Unpacked
from seedance_dagster.prompts.problems import UnreadableError, first_line, shown

_PANDAS_INDEX = re.compile("__index_level_[0-9]+__")
_ROWS_AT_ONCE = 1_000
_VALUE_BYTES = 8  # the least that a Python value takes in a list
_ARROW_MAGIC = b"ARROW1"
_MAGIC_BYTES = 8

# Memory is limited, so none is kept for later or for threads.
pa.set_memory_pool(pa.system_memory_pool())
pa.set_cpu_count(1)
pa.set_io_thread_count(1)


def read_parquet(path: Path, required: str) -> Unpacked:
    """Read one prompt per row of a Parquet file.

    Its metadata is read first: a file that unpacks to too much is refused before it is unpacked.

    Raises:
        UnreadableError: The file is not Parquet, too large, or has no column of prompts.
    """
    with _errors("is not valid Parquet"):
        file = pq.ParquetFile(path, memory_map=True)
        check_rows(file.metadata.num_rows)
        names, problems = _usable(file.schema_arrow, required)
        kept = set(names)
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        all_chunks = (group.column(number) for group in groups for number in range(group.num_columns))
        chunks = [chunk for chunk in all_chunks if chunk.path_in_schema.partition(".")[0] in kept]
        check_unpacked(sum(max(chunk.total_uncompressed_size, chunk.num_values) for chunk in chunks))
        # Dictionaries stay encoded: a long text that all rows share is in memory once.
        texts = {chunk.path_in_schema for chunk in chunks if chunk.physical_type == "BYTE_ARRAY"}
        file = pq.ParquetFile(path, memory_map=True, read_dictionary=sorted(texts))
        batches = file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=names, use_threads=False)
    return Unpacked(names, _rows(batches, "is not valid Parquet"), problems)


def read_arrow(path: Path, required: str) -> Unpacked:
    """Read one prompt per row of an Arrow or Feather file.

    Raises:
        UnreadableError: The file is not one of these, too large, or has no column of prompts.
    """
    with _errors("is not a valid Arrow file"):
        content = pa.memory_map(str(path)).read_buffer()
        # A file is a stream, followed by a table of contents.
        is_file = content[: len(_ARROW_MAGIC)].to_pybytes() == _ARROW_MAGIC
        reader = pa.ipc.open_stream(content.slice(_MAGIC_BYTES) if is_file else content)
        names, problems = _usable(reader.schema, required)
        batches = (batch.select(names) for batch in reader)
    return Unpacked(names, _rows(batches, "is not a valid Arrow file"), problems)


@contextlib.contextmanager
def _errors(words: str) -> Iterator[None]:
    """Turn pyarrow's errors about a broken file into `UnreadableError`."""
    try:
        yield
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError, LookupError, OverflowError) as error:
        raise UnreadableError(f"{words}: {first_line(error)}") from None


def _usable(schema: pa.Schema, required: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the columns to read, and the problems of those that are left out."""
    check_columns(len(schema.names))
    if len(set(schema.names)) != len(schema.names) or "" in schema.names:
        raise UnreadableError("has two columns with the same name, or one without a name")
    if required not in schema.names:
        raise no_prompt(schema.names, required)
    names, problems = [], []
    for field in schema:
        reason = _unusable(field.type)
        if reason is not None:
            is_field = field.name in PROMPT_FIELDS
            effect = (
                "which the field does not take; write texts"
                if is_field
                else "which cannot be a tag; it is left out"
            )
            problems.append(
                {
                    "field": f"column {shown(field.name)}",
                    "message": f"{reason} ({str(field.type)[:80]}), {effect}",
                    "severity": "error" if is_field else "warning",
                }
            )
        elif not _PANDAS_INDEX.fullmatch(field.name):
            names.append(field.name)
    kind = schema.field(required).type
    if required not in names or pa.types.is_temporal(kind):
        raise UnreadableError(f"needs texts in the column {required}, not {str(kind)[:80]}")
    return names, problems


def _unusable(kind: pa.DataType) -> str | None:
    """Return why a column of this type cannot be used: it holds bytes, such as pictures, or list views."""
    types = pa.types
    if types.is_dictionary(kind):
        nested = kind.value_type.num_fields > 0
        return "holds a dictionary of lists" if nested else _unusable(kind.value_type)
    bytes_ = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)
    if any(test(kind) for test in bytes_):
        return "holds bytes"
    # Their values may share memory: each may be the whole of one list.
    shared = (types.is_list_view, types.is_large_list_view, types.is_run_end_encoded, types.is_union)
    if any(test(kind) for test in shared):
        return "holds values of a rare kind"
    reasons = (_unusable(kind.field(number).type) for number in range(kind.num_fields))
    return next(filter(None, reasons), None)


def _rows(batches: Iterable[Any], words: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    number = unpacked = 0
    with _errors(words):
        for batch in batches:
            check_rows(number + batch.num_rows)
            batch.validate(full=True)  # invalid data would crash pyarrow, and the process with it
            unpacked += sum(map(_unpacked_bytes, batch.columns))
            check_unpacked(unpacked)
            for entry in batch.to_pylist(maps_as_pydicts="strict"):
                number += 1
                yield number, {name: _cell(name, value) for name, value in entry.items() if has_value(value)}


def _unpacked_bytes(column: pa.Array) -> int:
    """Return the size of a column as Python values, where each use of a dictionary's entry is a copy."""
    types, kind = pa.types, column.type
    if types.is_dictionary(kind):
        if not _is_text(kind.value_type):
            return len(column) * _VALUE_BYTES
        return pc.sum(pc.take(pc.binary_length(column.dictionary), column.indices)).as_py() or 0
    if types.is_string_view(kind):
        return pc.sum(pc.binary_length(column)).as_py() or 0
    if types.is_struct(kind):
        parts = column.flatten()
    elif types.is_map(kind):
        parts = [column.keys, column.items]
    elif types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        parts = [column.flatten()]
    else:
        return max(int(column.nbytes), len(column) * _VALUE_BYTES)
    return len(column) * _VALUE_BYTES + sum(map(_unpacked_bytes, parts))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _cell(name: str, value: Any) -> Any:
    """Return a cell as JSON has it; a database's decimal 5.00 is a whole number of seconds."""
    if isinstance(value, Decimal) and name in WHOLE_FIELDS and value == int(value):
        return int(value)
    return _plain(value)


def _plain(value: Any) -> Any:
    """Return a value whose mappings have texts as keys, as in JSON."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value
