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
        reviewer: Who gave the verdict; empty if there is none, as is `note`.
        given_at: In UTC; None if there is no verdict.
        cost_usd: The charge in USD; None if the vendor did not report it.
        stored_at: In UTC.
        scores: Its scores, by name.
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


def _reviewed(video: CurrentVideo, verdict: GivenVerdict | None) -> ReviewedVideo:
    order = video.order
    cost = order.video_points
    return ReviewedVideo(
        partition=video.partition,
        verdict=verdict.verdict if verdict else Verdict.UNDECIDED,
        reviewer=verdict.reviewer if verdict else "",
        note=verdict.note if verdict else "",
        given_at=verdict.given_at if verdict else None,
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
