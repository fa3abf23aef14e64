"""The videos of a set with their verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.score_results import ScoreValue
from seedance_dagster.ledger.verdict import GivenVerdict, Verdict
from seedance_dagster.ledger.videos import CurrentVideo
from seedance_dagster.money import points_to_usd
from seedance_dagster.net.redaction import redact, redact_url


@dataclass(frozen=True, kw_only=True)
class ReviewedVideo:
    """The video that a partition shows, with the verdict on it.

    Attributes:
        reviewer: Who gave the verdict; empty where nothing was said, as is `note`.
        given_at: In UTC; None where nothing was said.
        cost_usd: The charge in USD; None where the vendor did not report it.
        stored_at: In UTC.
        scores: What scores gave for it, by name.
    """

    partition: str
    verdict: Verdict
    reviewer: str
    note: str
    given_at: datetime | None
    task_type: str
    mode: str
    resolution: str | None
    duration_s: float | None
    width: int | None
    height: int | None
    cost_usd: float | None
    stored_at: datetime | None
    sha256: str
    tags: Mapping[str, str]
    scores: Mapping[str, ScoreValue]
    prompt: str

    def as_dict(self) -> dict[str, Any]:
        """Return its values by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def reviewed_videos(ledger: Ledger, prompt_set: str) -> list[ReviewedVideo]:
    """Return the videos of a set with their verdicts, in the order of the set; raise `LedgerError`."""
    verdicts = ledger.verdicts.current(prompt_set)
    return [_reviewed(video, verdicts.get(video.partition)) for video in ledger.videos.current(prompt_set)]


def _reviewed(video: CurrentVideo, given: GivenVerdict | None) -> ReviewedVideo:
    order = video.order
    cost = order.video_points
    return ReviewedVideo(
        partition=video.partition,
        verdict=given.verdict if given else Verdict.UNDECIDED,
        reviewer=given.reviewer if given else "",
        note=given.note if given else "",
        given_at=given.given_at if given else None,
        task_type=order.model,
        mode=str(order.request["mode"]),
        resolution=order.request.get("resolution"),
        duration_s=order.duration_s,
        width=order.width,
        height=order.height,
        cost_usd=None if cost is None else float(points_to_usd(cost)),
        stored_at=order.stored_at,
        sha256=str(order.sha256),
        tags=redact(video.tags, redact_url),
        scores=video.scores,
        prompt=str(order.request["prompt"]),
    )
