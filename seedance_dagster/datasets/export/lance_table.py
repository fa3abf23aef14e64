"""Lance: one table of all clips with their bytes, which is changed row by row and keeps earlier versions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from seedance_dagster.datasets.export.arrow_schema import arrow_fields
from seedance_dagster.datasets.export.artifacts import Layout
from seedance_dagster.datasets.export.clips import COLUMNS, Clip
from seedance_dagster.datasets.export.destination import Destination
from seedance_dagster.datasets.export.errors import ExportError
from seedance_dagster.datasets.export.read_ahead import read_ahead
from seedance_dagster.net.secrets import one_line
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.index import Column

TABLE = "clips.lance"

_VIDEO = Column("video", "bytes", "The mp4; `take_blobs` reads it, also in parts.")
_NAMES = [column.name for column in COLUMNS]
_COMMIT_BYTES = 1_000_000_000  # an interrupted export continues after the last commit
_DELETED_AT_ONCE = 500

_LOADING = """\
```python
import lance

clips = lance.dataset({table!r})
train = clips.to_table(columns=["sha256", "caption"], filter="split = 'train'")
[video] = clips.take_blobs("video", indices=[0])  # a file, read as far as it is asked for
```

Each export has a tag in the table, and this one is `lance.dataset({table!r}, version={version!r})`."""


def lance_table(splits: Mapping[str, Sequence[Clip]], place: str, version: str) -> Layout:
    """Return a dataset as one Lance table.

    Args:
        splits: The clips of each split, which is a column.
        place: A path to it, for its card.
        version: The hash of its content.

    Raises:
        ExportError: Lance is not installed.
    """
    if find_spec("lance") is None:
        raise ExportError(
            "Lance needs pylance, which is not installed: pip install 'seedance-dagster[lance]'"
        )
    return Layout(
        data=[],
        last=[],
        loading=_LOADING.format(table=f"{place}/{TABLE}", version=version),
        data_files={},
        own_columns=(_VIDEO,),
        table=[clip for clips in splits.values() for clip in clips],
    )


@dataclass(frozen=True)
class RowChanges:
    """The difference between a table and the clips that it should have.

    Attributes:
        gone: The SHA-256 of clips whose row is deleted, since they are gone or their row differs.
        new: Clips whose row is added.
        kept: How many rows stay as they are.
    """

    gone: Sequence[str]
    new: Sequence[Clip]
    kept: int

    def __bool__(self) -> bool:
        """Return True if something must be written or deleted."""
        return bool(self.gone or self.new)


class LanceTable:
    """The table at a destination.

    Args:
        destination: Where it is.
        clips: The clips that it should have.
    """

    def __init__(self, destination: Destination, clips: Sequence[Clip]) -> None:
        self._destination = destination
        self._clips = clips
        self._place: dict[str, Any] = {
            "uri": destination.uri(TABLE),
            "storage_options": destination.storage_options(),
        }

    def changes(self) -> RowChanges:
        """Return the changes that the table needs; raise `ExportError` if no export wrote it."""
        with self._explained():
            rows = self._rows()
        clips = {clip.video.sha256: clip for clip in self._clips}
        same = {key for key, row in rows.items() if key in clips and clips[key].row == row}
        return RowChanges(
            gone=[key for key in rows if key not in same],
            new=[clip for key, clip in clips.items() if key not in same],
            kept=len(same),
        )

    def write(self, changes: RowChanges, version: str, progress: Callable[[int, int], None]) -> None:
        """Update the table, and tag it with the version.

        Raises:
            ExportError: A video cannot be read or is not the one that was stored, or it cannot be written.
        """
        done = 0
        for start in range(0, len(changes.gone), _DELETED_AT_ONCE):
            keys = ", ".join(f"'{key}'" for key in changes.gone[start : start + _DELETED_AT_ONCE])
            with self._explained():
                self._open().delete(f"sha256 IN ({keys})")
        for part in _parts(changes.new):
            self._append(part)
            done += len(part)
            progress(done, len(changes.new))
        with self._explained():
            table = self._open()
            known = version in table.tags.list()
            (table.tags.update if known else table.tags.create)(version, table.version)

    def _rows(self) -> dict[str, dict[str, Any]]:
        """Return the rows that are there by SHA-256, without the videos."""
        if not self._destination.has_folder(TABLE):
            return {}
        table = self._open()
        if table.schema.names != [*_NAMES, _VIDEO.name]:
            raise ExportError(
                f"{self._destination}: {TABLE} has other columns than an export writes; move it away, then "
                "run the export again"
            )
        return {row["sha256"]: row for row in table.to_table(columns=_NAMES).to_pylist()}

    def _append(self, clips: Sequence[Clip]) -> None:
        """Add the rows of some clips together, or none of them."""
        import lance  # noqa: PLC0415  heavy, and an extra
        import pyarrow as pa  # noqa: PLC0415  heavy, and an extra

        schema = pa.schema([*arrow_fields(COLUMNS), lance.blob_field(_VIDEO.name)])
        failed = list[StoreError]()

        def batches() -> Iterator[Any]:
            try:
                for clip, content in read_ahead(clips):
                    values = [[clip.row[name]] for name in _NAMES]
                    columns = [
                        pa.array(value, field.type) for value, field in zip(values, schema, strict=False)
                    ]
                    yield pa.record_batch([*columns, lance.blob_array([content])], schema=schema)
            except StoreError as error:
                failed.append(error)  # Arrow would pass on its text alone
                raise

        try:
            with self._explained():
                reader = pa.RecordBatchReader.from_batches(schema, batches())
                lance.write_dataset(reader, mode="append", **self._place)
        except ExportError:
            if failed:
                raise ExportError(
                    f"{self._destination}: {TABLE}: {failed[0]}. Run the export again once that is fixed; it "
                    "continues where it stopped"
                ) from None
            raise

    def _open(self) -> Any:
        import lance  # noqa: PLC0415  heavy, and an extra

        return lance.dataset(**self._place)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:
            raise ExportError(f"{self._destination}: {TABLE}: {one_line(str(error))}") from None


def _parts(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    """Yield clips in parts that are committed together."""
    part, size = list[Clip](), 0
    for clip in clips:
        if part and size + clip.size_bytes > _COMMIT_BYTES:
            yield part
            part, size = [], 0
        part.append(clip)
        size += clip.size_bytes
    if part:
        yield part
