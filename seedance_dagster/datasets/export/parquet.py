"""Parquet: a table for each split, with links to the videos in S3 instead of copies."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from seedance_dagster.datasets.export.arrow_schema import arrow_fields
from seedance_dagster.datasets.export.artifacts import Layout, text_artifact
from seedance_dagster.datasets.export.clips import COLUMNS, Clip
from seedance_dagster.datasets.export.errors import ExportError
from seedance_dagster.storage.index import Column

LINK = Column("uri", "string", "The video in S3.")

_LOADING = """\
```python
import pandas as pd

clips = pd.read_parquet({table!r})
```

`uri` links to the videos, which are not a part of the dataset. DuckDB reads all splits by
`SELECT * FROM '{place}/*.parquet'`, and `datasets` by `load_dataset({place!r})`."""


def parquet(splits: Mapping[str, Sequence[Clip]], place: str) -> Layout:
    """Return the files of a dataset as Parquet tables.

    Args:
        splits: The clips of each split.
        place: A path to it, for its card.

    Raises:
        ExportError: pyarrow is not installed.
    """
    tables = [text_artifact(f"{split}.parquet", _table(clips)) for split, clips in splits.items()]
    return Layout(
        data=[],
        last=tables,
        loading=_LOADING.format(table=f"{place}/{tables[0].path}", place=place),
        data_files={split: f"{split}.parquet" for split in splits},
        own_columns=(LINK,),
    )


def _table(clips: Sequence[Clip]) -> bytes:
    try:
        import pyarrow as pa  # noqa: PLC0415  heavy, and an extra
        import pyarrow.parquet as pq  # noqa: PLC0415  heavy, and an extra
    except ModuleNotFoundError:
        raise ExportError(
            "Parquet needs pyarrow, which is not installed: pip install 'seedance-dagster[parquet]'"
        ) from None
    schema = pa.schema(arrow_fields((*COLUMNS, LINK)))
    rows = [clip.row | {"uri": clip.video.uri} for clip in clips]
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), content, compression="zstd")
    return content.getvalue()
