"""A verdict on a stored video, as the ledger holds it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Verdict(StrEnum):
    """A judgement of a stored video, by a person or a set's rule."""

    ACCEPTED = "accepted"
    DISCARDED = "discarded"
    UNDECIDED = "undecided"


RULE = "rule"
"""The reviewer of verdicts that a set's rule gives."""


@dataclass(frozen=True)
class Judgement:
    """A verdict to record on the video of a partition.

    Attributes:
        note: A remark.
        sha256: The SHA-256 of the video that was reviewed; None for the one that the partition shows.
    """

    verdict: Verdict
    note: str = ""
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class RecordedVerdict:
    """A verdict as Dagster recorded it."""

    prompt_set: str
    partition: str
    sha256: str
    verdict: Verdict
    reviewer: str
    note: str
    given_at: datetime


@dataclass(frozen=True, kw_only=True)
class GivenVerdict:
    """One verdict on the bytes that a partition showed. Verdicts are added, and never changed.

    Attributes:
        order_id: The order of the video.
        sha256: The SHA-256 of the video's bytes, in hex; another video of the partition is undecided.
        reviewer: Who gave it.
        note: The reviewer's remark; empty where there is none.
        given_at: In UTC.
        undoes: The id of the verdict that it takes back; None for a verdict of its own.
        reported_at: When it was reported to Dagster; None until then.
    """

    verdict_id: int
    prompt_set: str
    partition: str
    order_id: int
    sha256: str
    verdict: Verdict
    reviewer: str
    note: str
    given_at: datetime
    undoes: int | None = None
    reported_at: datetime | None = None
