"""WebDataset: tar files of about 1 GB, each clip as `KEY.mp4` and `KEY.json`."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import BinaryIO

from seedance_dagster.datasets.export.artifacts import Artifact, Layout
from seedance_dagster.datasets.export.clips import Clip
from seedance_dagster.datasets.export.json_rows import columns_without_value, json_row
from seedance_dagster.datasets.export.read_ahead import read_ahead

SHARD_BYTES = 1_000_000_000

_INFERRED_FROM = 5  # clips at the beginning, by `datasets`

_LOADING = """\
```python
import webdataset as wds

shards = {shards!r}
clips = wds.WebDataset(shards, shardshuffle=False).decode().to_tuple("mp4", "json")
```

or `load_dataset({place!r}, streaming=True)` with `datasets`."""


def webdataset(splits: Mapping[str, Sequence[Clip]], place: str, *, shard_bytes: int = SHARD_BYTES) -> Layout:
    """Return the files of a dataset as WebDataset shards.

    Args:
        splits: The clips of each split.
        place: A path to it, for its card.
        shard_bytes: A shard ends before the clip that would make its videos larger than this.
    """
    left_out = columns_without_value(clips[:_INFERRED_FROM] for clips in splits.values())
    shards = {
        split: [
            Artifact(
                f"{split}/{split}-{number:06}.tar", _hash(shard, left_out), partial(_write, shard, left_out)
            )
            for number, shard in enumerate(_shards(clips, shard_bytes))
        ]
        for split, clips in splits.items()
    }
    first, files = next(iter(shards.items()))
    names = f"{first}-{{000000..{len(files) - 1:06}}}.tar" if len(files) > 1 else f"{first}-000000.tar"
    return Layout(
        data=[shard for split_shards in shards.values() for shard in split_shards],
        last=[],
        loading=_LOADING.format(shards=f"{place}/{first}/{names}", place=place),
        data_files={split: f"{split}/*.tar" for split in splits},
    )


def key_of(partition: str) -> str:
    """Return the key of a clip, without dots: the text after a dot would be read as a file's suffix.

    Example:
        >>> key_of("cat-garden.t2")
        'cat-garden~t2'
    """
    return partition.replace(".", "~")


def _shards(clips: Sequence[Clip], shard_bytes: int) -> Iterator[list[Clip]]:
    shard, size = list[Clip](), 0
    for clip in clips:
        if shard and size + clip.size_bytes > shard_bytes:
            yield shard
            shard, size = [], 0
        shard.append(clip)
        size += clip.size_bytes
    yield shard


def _hash(shard: Sequence[Clip], left_out: Container[str]) -> str:
    digest = hashlib.sha256()
    for clip in shard:
        digest.update(json_row({"key": key_of(clip.video.partition)} | clip.row, left_out))
    return digest.hexdigest()


def _write(shard: Sequence[Clip], left_out: Container[str], file: BinaryIO) -> None:
    """Write a tar file."""
    with closing(read_ahead(shard)) as clips:
        for clip, content in clips:
            key = key_of(clip.video.partition)
            _write_entry(file, f"{key}.mp4", content)
            _write_entry(file, f"{key}.json", json_row(clip.row, left_out))
    file.write(bytes(2 * tarfile.BLOCKSIZE))


def _write_entry(file: BinaryIO, name: str, content: bytes) -> None:
    # By hand: `tarfile` asks a file for its position, or copies into a buffer of its own.
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    file.write(entry.tobuf(tarfile.PAX_FORMAT))
    file.write(content)
    file.write(bytes(-len(content) % tarfile.BLOCKSIZE))
