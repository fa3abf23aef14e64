"""Hugging Face VideoFolder: a folder for each split, with its videos and their `metadata.jsonl`."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from seedance_dagster.datasets.export.artifacts import Artifact, Layout, text_artifact
from seedance_dagster.datasets.export.clips import Clip
from seedance_dagster.datasets.export.json_rows import columns_without_value, json_row
from seedance_dagster.storage.index import Column

_FILE = Column("file_name", "string", "The mp4 beside it; `datasets` gives it as `video`.")
_LOADING = """\
```python
from datasets import Video, load_dataset

clips = load_dataset({place!r})
clips = clips.cast_column("video", Video(decode=False))  # paths instead of decoded frames
```"""


def videofolder(splits: Mapping[str, Sequence[Clip]], place: str) -> Layout:
    """Return the files of a dataset as a VideoFolder.

    Args:
        splits: The clips of each split.
        place: A path to it, for its card.
    """
    empty = columns_without_value(splits.values())
    return Layout(
        data=[
            Artifact(f"{split}/{_name(clip)}", clip.video.sha256, clip.video.write_to, clip.video.sha256)
            for split, clips in splits.items()
            for clip in clips
        ],
        last=[
            text_artifact(f"{split}/metadata.jsonl", b"".join(_line(clip, empty) for clip in clips))
            for split, clips in splits.items()
        ],
        loading=_LOADING.format(place=place),
        data_files={split: f"{split}/*" for split in splits},
        own_columns=(_FILE,),
    )


def _name(clip: Clip) -> str:
    return f"{clip.video.partition}.mp4"


def _line(clip: Clip, left_out: Container[str]) -> bytes:
    return json_row({"file_name": _name(clip)} | clip.row, left_out) + b"\n"
