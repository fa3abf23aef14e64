"""Packed tables: Parquet, Arrow, Feather and Excel files, read by a process of their own.

A few kilobytes may unpack to gigabytes, whatever their metadata says, or crash their reader. However the
process ends, the result is a table or an error.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from itertools import chain
from pathlib import Path, PurePosixPath

from seedance_dagster.bounded.limits import Bounds
from seedance_dagster.bounded.reader import Readers
from seedance_dagster.prompts.formats.tables import Columns, Table
from seedance_dagster.prompts.formats.text import check_not_a_pointer
from seedance_dagster.prompts.problems import Problem, UnreadableError

BOUNDS = Bounds(cpu_s=30, wall_s=120.0, memory_bytes=400 * 1024**2)
READERS = Readers("seedance_dagster.prompts.formats.unpacking", BOUNDS)
_NEEDED = {".xlsx": ("openpyxl", "excel")}
_PARQUET = ("pyarrow", "parquet")


def read_packed(content: bytes, source: str, columns: Columns) -> Table:
    """Read one prompt per row of a Parquet, Arrow, Feather or Excel file.

    Raises:
        UnreadableError: The file is not one of these, too large, or has no column of prompts.
    """
    check_not_a_pointer(content)
    suffix = PurePosixPath(source).suffix.lower()
    package, extra = _NEEDED.get(suffix, _PARQUET)
    if importlib.util.find_spec(package) is None:
        raise UnreadableError(f"needs {package}: pip install 'seedance-dagster[{extra}]'")
    try:
        with tempfile.TemporaryDirectory(prefix="seedance-") as folder:
            table, rows = Path(folder, f"table{suffix}"), Path(folder, "rows.jsonl")
            table.write_bytes(content)
            answers, end = READERS.read(str(table), str(rows), columns.required)
            if end:
                raise UnreadableError(f"cannot be read: {end}")
            [answer] = answers
            if "problem" in answer:
                raise UnreadableError(answer["problem"])
            with rows.open(encoding="utf-8", errors="surrogatepass") as lines:
                unpacked = chain.from_iterable(map(json.loads, lines))
                cells = [(f"row {number}", values) for number, values in unpacked]
    except OSError as error:
        raise UnreadableError(f"cannot be unpacked on this machine: {error.strerror or error}") from None
    return Table(
        columns=answer["columns"],
        rows=cells,
        problems=[Problem(source=source, **problem) for problem in answer["problems"]],
        untyped=answer["untyped"],
        hidden=answer["hidden"],
    )
