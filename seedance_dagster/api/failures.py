"""The reason why a task failed: from its logs first, then the code, then the text."""

from __future__ import annotations

import re
from enum import StrEnum

from seedance_dagster.api.wire import Task
from seedance_dagster.net.redaction import redact

_CODE_REJECTED = 10003  # rejected by moderation, cause in the logs
_CODE_GENERIC = 10000  # a real person (only the logs say so) or a vendor failure


class FailureClass(StrEnum):
    """A kind of failure; each has its own consequence."""

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
    """Return the class of a failed task and the vendor's explanation.

    Returns:
        The class, and the explanation as one line whose links carry no signatures.
    """
    reason = "; ".join(filter(None, map(_one_line, task.logs))) or _one_line(task.error_message)
    reason = reason or f"failed with code {task.error_code} and no explanation"
    failure = _matching("\n".join(task.logs))
    if failure is None and task.error_code == _CODE_REJECTED:
        failure = FailureClass.MODERATION
    if failure is None:
        failure = _matching(task.error_message)
    if failure is None and task.error_code == _CODE_GENERIC and task.logs:
        failure = FailureClass.VENDOR
    return failure or FailureClass.UNKNOWN, redact(reason)[:2000]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _matching(text: str) -> FailureClass | None:
    for failure, pattern in _PATTERNS:
        if re.search(pattern, text, re.IGNORECASE):
            return failure
    return None
