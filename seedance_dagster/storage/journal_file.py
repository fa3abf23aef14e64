"""Parts of the journal's archive as Parquet: one row for each entry, in the order of their numbers."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

from seedance_dagster.ledger.queries import JournalEntry
from seedance_dagster.net.redaction import redact
from seedance_dagster.net.secrets import SafeError

CONTENT_TYPE = "application/vnd.apache.parquet"
_NAMES = tuple(JournalEntry.__dataclass_fields__)


class JournalFileError(SafeError):
    """A part of the archive cannot be written or read; the message says why."""


def encode(entries: Sequence[JournalEntry]) -> bytes:
    """Return entries as Parquet; details are JSON, their URLs without queries, which may be secret.

    Raises:
        JournalFileError: pyarrow is not installed.
    """
    pa, pq = _pyarrow()
    text = pa.string()
    types = (pa.int64(), pa.int64(), pa.timestamp("us", tz="UTC"), text, text, text, text)
    schema = pa.schema([pa.field(name, kind) for name, kind in zip(_NAMES, types, strict=True)])
    rows = [
        vars(entry) | {"detail": json.dumps(redact(entry.detail), ensure_ascii=False)} for entry in entries
    ]
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), content, compression="zstd")
    return content.getvalue()


def decode(part: bytes) -> list[JournalEntry]:
    """Return the entries of a part.

    Raises:
        JournalFileError: The part cannot be read, or pyarrow is not installed.
    """
    pa, pq = _pyarrow()
    try:
        rows = pq.read_table(pa.BufferReader(part), columns=list(_NAMES), use_threads=False).to_pylist()
        return [JournalEntry(**row | {"detail": json.loads(row["detail"])}) for row in rows]
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        raise JournalFileError("it is not a part of the archive") from None


def check_pyarrow() -> None:
    """Raise `JournalFileError` where pyarrow is not installed."""
    _pyarrow()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415  heavy, and an extra
        import pyarrow.parquet as pq  # noqa: PLC0415  heavy, and an extra
    except ModuleNotFoundError:
        raise JournalFileError(
            "the archive is Parquet, which needs pyarrow: pip install 'seedance-dagster[parquet]'"
        ) from None
    return pa, pq
