"""Failures of tasks: the words in which the vendor reports each, as clients recorded them."""

from __future__ import annotations

from dataclasses import dataclass

from seedance_dagster.emulator.record import Outcome

_RETRY_NOTE = "Attempt 1 failed (content restriction), retrying."
_REFUND_NOTE = "restored frozen points"
_MODERATED = "content moderation rejected the task"
_GENERIC = "failed to generate, please try again"


@dataclass(frozen=True)
class Failure:
    """The texts of a failed task; only its logs show the cause."""

    logs: tuple[str, ...]
    code: int = 10000
    text: str = _GENERIC
    status: str = "failed"


FAILURES = {
    Outcome.MODERATION: Failure(
        (
            "submitted upstream",
            "upstream rejected the task: output flagged by content policy",
            _RETRY_NOTE,
            _REFUND_NOTE,
        ),
        code=10003,
        text=_MODERATED,
    ),
    Outcome.MODERATION_EARLY: Failure(
        ("content moderation: the prompt was flagged before submission",), code=10003, text=_MODERATED
    ),
    Outcome.COPYRIGHT: Failure(
        ("The request was rejected due to copyright restrictions.", _RETRY_NOTE, _REFUND_NOTE),
        code=10003,
        text="",
    ),
    Outcome.REAL_PERSON: Failure(
        (
            "submitted upstream",
            "upstream content restriction: the input image may contain a real person",
            _RETRY_NOTE,
        )
    ),
    Outcome.VENDOR_TROUBLE: Failure(
        (
            "submitted upstream",
            "upstream error: 503 service unavailable, retry 1",
            "upstream error: 503 service unavailable, retry 2",
            "upstream error: generation did not start, giving up",
        )
    ),
    Outcome.REFERENCE_LOST: Failure(("create generation task: upload image",)),
    Outcome.UPLOAD_FAILED: Failure(("create generation task: upload image", "UploadResource: timed out")),
    Outcome.AUDIO_TIMEOUT: Failure(("uploading references", "upstream error: upload of audio timed out")),
    Outcome.CANCELLED: Failure((_REFUND_NOTE,), code=0, text="", status="canceled"),
    Outcome.EXPIRED: Failure((), code=0, text="", status="expired"),
}
PENALIZED = (Outcome.MODERATION, Outcome.COPYRIGHT)
"""Refusals of the model's owner, for which the vendor keeps a share of the price."""
