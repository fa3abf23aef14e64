"""Why a task failed: from its logs first, then the code, then the text."""

from __future__ import annotations

import re
from enum import StrEnum

from seedance_dagster.api.wire import Task
from seedance_dagster.net.redaction import redact

_CODE_REFUSED = 10003  # content refused, cause in the logs
_CODE_GENERIC = 10000  # real person (only the logs say so) or vendor trouble


class FailureClass(StrEnum):
    """Kinds of failure, each with its own consequence."""

    MODERATION = "moderation"
    REAL_PERSON = "real_person"
    VENDOR = "vendor"
    INVALID = "invalid"
    UNKNOWN = "unknown"


_PATTERNS = (
    (FailureClass.REAL_PERSON, r"real.?person|real.?human|content restriction"),
    (
        FailureClass.MODERATION,
        r"moderat|sensitive|prohibited|policy|violat|nsfw|unsafe|copyright|content (?:was )?refused",
    ),
    (
        FailureClass.INVALID,
        r"invalid (?:param|input|request|image|video|audio)|unsupported|not supported",
    ),
    (
        FailureClass.VENDOR,
        r"upstream|time.?out|timed out|unavailable|overload|internal (server )?error|\b5\d\d\b|connection",
    ),
)


def classify_failure(task: Task) -> tuple[FailureClass, str]:
    """The class of a failed task, and the vendor's own words for people.

    Args:
        task: A task whose status is failed.

    Returns:
        The class, and the reason as one line of text, its links without signatures.
    """
    reason = "; ".join(filter(None, map(_one_line, task.logs))) or _one_line(task.error_message)
    reason = reason or f"failed with code {task.error_code} and no explanation"
    found = _named("\n".join(task.logs))
    if found is None and task.error_code == _CODE_REFUSED:
        found = FailureClass.MODERATION
    if found is None:
        found = _named(task.error_message)
    if found is None and task.error_code == _CODE_GENERIC and task.logs:
        found = FailureClass.VENDOR
    return found or FailureClass.UNKNOWN, redact(reason)[:2000]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _named(text: str) -> FailureClass | None:
    for failure, pattern in _PATTERNS:
        if re.search(pattern, text, re.IGNORECASE):
            return failure
    return None
