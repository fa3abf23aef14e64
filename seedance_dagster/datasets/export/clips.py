"""The clips of a dataset: accepted videos, each with its row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seedance_dagster.api.wire import REFERENCE_KINDS
from seedance_dagster.counting import counted
from seedance_dagster.datasets.export.errors import ExportError
from seedance_dagster.datasets.export.splits import Splits
from seedance_dagster.datasets.video import Video, to_video
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.score_results import ScoreValue
from seedance_dagster.ledger.verdict import Verdict
from seedance_dagster.prompts.identity import default_resolution
from seedance_dagster.storage.index import Column
from seedance_dagster.storage.s3 import VideoStore

_FORMAT = 1
_VERSION_CHARACTERS = 16
_MAX_NAMED = 5

# No text is null: `datasets` infers the types of each split, and refuses a column that is null in one.
COLUMNS = (
    Column("split", "string", "The split, by a hash of the prompt's text."),
    Column("caption", "string", "The prompt, or the text of a score where one was asked for."),
    Column("prompt_set", "string", "The prompt set."),
    Column("partition", "string", "The partition: the prompt's id, and the take."),
    Column("take", "int", "Which of several videos of the request it is, from 1."),
    Column("task_type", "string", "The model."),
    Column("mode", "string", "The use of references."),
    Column("aspect_ratio", "string", "As requested; empty where it was left to the vendor."),
    Column("resolution", "string", "As requested, or the model's default; empty where that is not known."),
    Column("audio", "bool", "False where the prompt turned sound off; the vendor renders sound by default."),
    Column("references", "string", "References without user, query and fragment, as a JSON list."),
    Column("tags", "string", "The prompt's tags, as a JSON object."),
    Column("rights", "string", "Rights of the prompt and its references, as a JSON object."),
    Column("scores", "string", "The video's scores, as a JSON object."),
    Column("duration_s", "float", "Length of the video in seconds; null where it cannot be read."),
    Column("width", "int", "In pixels; null where it cannot be read."),
    Column("height", "int", "In pixels; null where it cannot be read."),
    Column("fps", "float", "Frames per second; null where it cannot be read."),
    Column("codec", "string", "The video's codec; empty where it cannot be read."),
    Column("size_bytes", "int", "Size of the mp4."),
    Column("sha256", "string", "SHA-256 of the mp4, in hex."),
    Column("cost_usd", "float", "The charge in USD; null where the vendor did not report it."),
    Column("fingerprint", "string", "The fingerprint of the request, a SHA-256."),
    Column("verdict", "string", "The verdict of the review."),
)
"""The columns of a row, in every format."""


@dataclass(frozen=True)
class Clip:
    """An accepted video in a dataset.

    Attributes:
        row: Its row of the dataset, by the names of `COLUMNS`.
    """

    video: Video
    row: dict[str, Any]

    @property
    def split(self) -> str:
        """The split that it belongs to."""
        return str(self.row["split"])

    @property
    def size_bytes(self) -> int:
        """Size of the mp4."""
        return int(self.row["size_bytes"])


def accepted_clips(
    ledger: Ledger, store: VideoStore, prompt_set: str, splits: Splits, *, caption: str = ""
) -> list[Clip]:
    """Return the accepted videos of a set without drafts, in its order; of identical videos the first.

    Args:
        ledger: The ledger.
        store: The store of the videos.
        prompt_set: The set.
        splits: The splits that they are put in.
        caption: The score whose text is the caption; empty for the prompt.

    Raises:
        ExportError: Some videos have no such text.
        LedgerError: The ledger cannot be read.
    """
    verdicts = ledger.verdicts.current(prompt_set)
    accepted = {key for key, verdict in verdicts.items() if verdict.verdict is Verdict.ACCEPTED}
    accepted -= ledger.partitions.drafts(prompt_set)
    clips: dict[str, Clip] = {}
    without = []
    for current in ledger.videos.current(prompt_set):
        if current.partition in accepted and current.order.sha256 not in clips:
            video = to_video(prompt_set, current, store)
            text = current.scores.get(caption) if caption else video.prompt
            if not isinstance(text, str):
                without.append(current.partition)
                continue
            scores = dict(sorted(current.scores.items()))
            clips[video.sha256] = Clip(video, _row(video, text, scores, current.order.take, splits))
    if without:
        more = ", ..." if len(without) > _MAX_NAMED else ""
        raise ExportError(
            f"{prompt_set}: {counted(len(without), 'accepted video has', 'accepted videos have')} no text "
            f"{caption!r} as caption: {', '.join(without[:_MAX_NAMED])}{more}. A score of the set must give "
            "it; leave --caption out to have the prompts as captions"
        )
    return list(clips.values())


def content_version(clips: Sequence[Clip]) -> str:
    """Return a hash of the rows of a dataset, the bytes of its videos included."""
    content = json.dumps([_FORMAT, [clip.row for clip in clips]], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:_VERSION_CHARACTERS]


def _row(
    video: Video, caption: str, scores: Mapping[str, ScoreValue], take: int, splits: Splits
) -> dict[str, Any]:
    known = video.metadata
    references = [url for kind in REFERENCE_KINDS for url in known[f"{kind}_urls"]]
    values = {
        "split": splits.of_prompt(video.prompt),
        "caption": caption,
        "take": take,
        "aspect_ratio": known["aspect_ratio"] or "",
        "resolution": known["resolution"] or default_resolution(known["task_type"]) or "",
        "audio": known["audio"] is not False,
        "references": json.dumps(references, ensure_ascii=False),
        "tags": json.dumps(dict(video.tags), ensure_ascii=False),
        "rights": known["rights"] or "{}",
        "scores": json.dumps(scores, ensure_ascii=False),
        "codec": known["codec"] or "",
        "verdict": Verdict.ACCEPTED.value,
    }
    return {
        column.name: values[column.name] if column.name in values else known[column.name]
        for column in COLUMNS
    }
