"""The files of a dataset, before they are written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from seedance_dagster.datasets.export.clips import Clip
from seedance_dagster.storage.index import Column


@dataclass(frozen=True)
class Artifact:
    """A file of a dataset.

    Attributes:
        path: Below the destination, with slashes.
        made_from: A hash that changes when its bytes would.
        write: Writes it; raises `StoreError` where a video cannot be read or is not the one that was stored.
        sha256: Of its bytes, in hex; None where that is not known before it is written.
    """

    path: str
    made_from: str
    write: Callable[[BinaryIO], object]
    sha256: str | None = None


@dataclass(frozen=True)
class Layout:
    """The files of a dataset in one format.

    Attributes:
        data: Written first, in any order.
        last: Written in this order after all others, so that an unfinished dataset does not load.
        loading: Instructions for loading it, as Markdown.
        data_files: The files of each split, by its name, as a glob.
        own_columns: Columns that only this format has.
        table: The clips of a table that is changed row by row; empty for files alone.
    """

    data: Sequence[Artifact]
    last: Sequence[Artifact]
    loading: str
    data_files: dict[str, str]
    own_columns: Sequence[Column] = ()
    table: Sequence[Clip] = ()


def text_artifact(path: str, content: bytes) -> Artifact:
    """Return a file of known content."""
    sha256 = hashlib.sha256(content).hexdigest()
    return Artifact(path, sha256, lambda file: file.write(content), sha256)
