"""The columns of a dataset as Arrow has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seedance_dagster.storage.index import Column


def arrow_fields(columns: Sequence[Column]) -> list[Any]:
    """Return columns as fields; needs pyarrow."""
    import pyarrow as pa  # noqa: PLC0415  heavy, and an extra

    types: dict[str, Any] = {
        "string": pa.string(),
        "int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
    }
    return [pa.field(column.name, types[column.type]) for column in columns]
