"""The process that unpacks tables: `python -m seedance_dagster.prompts.formats.unpacking`.

Reads lines of JSON, `[TABLE, ROWS, COLUMN]`. Writes lines of JSON to the file ROWS, each a list of rows with
their number and cells, and answers with the columns and the problems of the table, or with the reason why it
cannot be read.
"""

from __future__ import annotations

import json
import signal
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from seedance_dagster.bounded.limits import ProcessLimits
from seedance_dagster.prompts.formats.packed import BOUNDS
from seedance_dagster.prompts.formats.unpacked import Unpacked
from seedance_dagster.prompts.problems import UnreadableError

_ROWS = json.JSONEncoder(ensure_ascii=False, default=str)
_IN_A_LINE = 500  # rows: one by one they take longer to write and to read


def main() -> None:
    """Unpack tables until no more are requested."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent decides when it ends
    limits: ProcessLimits | None = None
    for line in sys.stdin:
        table, rows, required = json.loads(line)
        read = _reader(Path(table).suffix)
        limits = limits or ProcessLimits(BOUNDS)  # after the import of the library, which maps much memory
        limits.renew()
        try:
            answer = _unpack(read(Path(table), required), Path(rows))
        except UnreadableError as error:
            answer = {"problem": str(error)}
        except MemoryError:
            answer = {"problem": f"needs more than {BOUNDS.memory_bytes // 1024**2} MB of memory to be read"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _reader(suffix: str) -> Any:
    if suffix == ".xlsx":
        from seedance_dagster.prompts.formats.excel import read_xlsx  # noqa: PLC0415  loads openpyxl

        return read_xlsx
    from seedance_dagster.prompts.formats.arrow import read_arrow, read_parquet  # noqa: PLC0415  loads pyarrow

    return read_parquet if suffix == ".parquet" else read_arrow


def _unpack(table: Unpacked, path: Path) -> dict[str, Any]:
    rows = iter(table.rows)
    with path.open("w", encoding="utf-8", errors="surrogatepass") as file:
        while chunk := list(islice(rows, _IN_A_LINE)):
            file.write(_ROWS.encode(chunk) + "\n")
    return {
        "columns": table.columns,
        "problems": table.problems,
        "untyped": table.untyped,
        "hidden": table.hidden,
    }


if __name__ == "__main__":
    main()
