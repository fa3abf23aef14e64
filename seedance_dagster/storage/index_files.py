"""The files of an index: parts of its rows as Parquet or JSON Lines, and the manifest that names them."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from importlib.util import find_spec
from typing import Any, Literal, Protocol

from pydantic import AwareDatetime, BaseModel, Field

from seedance_dagster.storage.index import COLUMNS, Row, to_jsonl

PART_ROWS = 2000
"""The largest number of rows in a part, all of which are written again when one changes."""

_ORDER = ("stored_at", "partition")


class IndexPart(BaseModel):
    """A file of rows, as the manifest of an index names it."""

    path: str = Field(description="Its name in the folder of the manifest.")
    videos: int = Field(description="Number of rows.")
    points_charged: int = Field(description="Charges of these videos, in points.")
    size_bytes: int = Field(description="Size of the file.")
    sha256: str = Field(description="SHA-256 of the file, in hex.")


class IndexManifest(BaseModel):
    """The manifest of an index."""

    format: Literal[2] = Field(2, description="The version of this layout.")
    prompt_set: str = Field(description="The set.")
    version: str = Field(description="A hash of all rows, independent of their order and parts.")
    videos: int = Field(description="Number of rows in all parts.")
    written_at: AwareDatetime = Field(description="The time at which it was written, in UTC.")
    parts: list[IndexPart] = Field(description="The parts, which hold each row once.")

    def to_json(self) -> bytes:
        """Return it as JSON in UTF-8."""
        return self.model_dump_json(indent=2).encode() + b"\n"


class PartFormat(Protocol):
    """A format of parts: the same rows give the same bytes.

    Attributes:
        suffix: The suffix of the files' names.
        content_type: The MIME type.
    """

    suffix: str
    content_type: str

    def encode(self, rows: Sequence[Row]) -> bytes:
        """Return a part with these rows."""
        ...

    def merge(self, part: bytes, without: Collection[str], rows: Sequence[Row]) -> bytes:
        """Return a part without the rows of some partitions, and with new rows.

        Raises:
            ValueError: The part cannot be read, or has other columns.
        """
        ...

    def partitions(self, part: bytes) -> list[str]:
        """Return the partitions that have a row in a part, in its order; raise `ValueError`."""
        ...

    def figures(self, part: bytes) -> tuple[int, int]:
        """Return the number of rows of a part and the sum of their charges, in points."""
        ...


def part_format() -> PartFormat:
    """Return Parquet, or JSON Lines where pyarrow (extra `parquet`) is not installed."""
    return _Parquet() if find_spec("pyarrow") else _JsonLines()


def part_suffix() -> str:
    """Return the suffix of `part_format`, without loading pyarrow, which takes 85 MB."""
    return (_Parquet if find_spec("pyarrow") else _JsonLines).suffix


class _Parquet:
    suffix = ".parquet"
    content_type = "application/vnd.apache.parquet"

    def __init__(self) -> None:
        import pyarrow as pa  # noqa: PLC0415  heavy, and an extra
        import pyarrow.compute as pc  # noqa: PLC0415  heavy, and an extra
        import pyarrow.parquet as pq  # noqa: PLC0415  heavy, and an extra

        self._pa, self._pc, self._pq = pa, pc, pq
        text, number = pa.string(), pa.float64()
        types = {
            "string": text,
            "int": pa.int64(),
            "float": number,
            "bool": pa.bool_(),
            "time": pa.timestamp("us", tz="UTC"),
            "strings": pa.list_(text),
            "tags": pa.list_(pa.struct([("key", text), ("value", text)])),
            "scores": pa.list_(pa.struct([("name", text), ("value", number), ("text", text)])),
        }
        self._schema = pa.schema([pa.field(column.name, types[column.type]) for column in COLUMNS])

    def encode(self, rows: Sequence[Row]) -> bytes:
        return self._written(self._pa.Table.from_pylist(rows, schema=self._schema))

    def merge(self, part: bytes, without: Collection[str], rows: Sequence[Row]) -> bytes:
        table = self._read(part)
        if table.schema != self._schema:
            raise ValueError("the part has other columns")
        gone = self._pc.is_in(table["partition"], self._pa.array(sorted(without), self._pa.string()))
        kept = table.filter(self._pc.invert(gone))
        return self._written(
            self._pa.concat_tables([kept, self._pa.Table.from_pylist(rows, schema=self._schema)])
        )

    def partitions(self, part: bytes) -> list[str]:
        try:
            return [str(partition) for partition in self._read(part, ["partition"])["partition"].to_pylist()]
        except KeyError:
            raise ValueError("the part has no partitions") from None

    def figures(self, part: bytes) -> tuple[int, int]:
        charges = self._read(part, ["points_charged"])["points_charged"]
        return len(charges), self._pc.sum(charges).as_py() or 0

    def _read(self, part: bytes, columns: list[str] | None = None) -> Any:
        try:
            return self._pq.read_table(self._pa.BufferReader(part), columns=columns, use_threads=False)
        except (self._pa.ArrowException, OSError) as error:
            raise ValueError(str(error)) from None

    def _written(self, table: Any) -> bytes:
        content = io.BytesIO()
        # Cast, since a part that was read has metadata, and equal rows must give equal bytes.
        plain = table.combine_chunks().cast(self._schema)
        ordered = plain.sort_by([(name, "ascending") for name in _ORDER]).combine_chunks()
        self._pq.write_table(ordered, content, compression="zstd")
        return content.getvalue()


class _JsonLines:
    suffix = ".jsonl"
    content_type = "application/x-ndjson"

    def encode(self, rows: Sequence[Row]) -> bytes:
        return self._joined(to_jsonl([row]) for row in rows)

    def merge(self, part: bytes, without: Collection[str], rows: Sequence[Row]) -> bytes:
        lines = part.splitlines(keepends=True)
        kept = [
            line for line, row in zip(lines, self._rows(part), strict=True) if row["partition"] not in without
        ]
        return self._joined([*kept, *(to_jsonl([row]) for row in rows)])

    def partitions(self, part: bytes) -> list[str]:
        return [row["partition"] for row in self._rows(part)]

    def figures(self, part: bytes) -> tuple[int, int]:
        rows = self._rows(part)
        return len(rows), sum(row["points_charged"] or 0 for row in rows)

    def _rows(self, part: bytes) -> list[dict[str, Any]]:
        rows = [json.loads(line) for line in part.splitlines()]
        if not all(
            isinstance(row, dict) and row.keys() == {column.name for column in COLUMNS} for row in rows
        ):
            raise ValueError("the part has other columns")
        return rows

    def _joined(self, lines: Iterable[bytes]) -> bytes:
        def order(line: bytes) -> tuple[datetime, str]:
            row = json.loads(line)
            return datetime.fromisoformat(row["stored_at"]), str(row["partition"])

        ordered: list[bytes] = sorted(lines, key=order)
        return b"".join(ordered)
