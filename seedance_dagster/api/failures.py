"""The reason why a task failed: from its logs first, then the code, then the text."""

from __future__ import annotations

import re
from enum import StrEnum

from seedance_dagster.api.wire import Task, TaskStatus
from seedance_dagster.net.redaction import redact

_CODE_REJECTED = 10003  # rejected by moderation, cause in the logs
_CODE_GENERIC = 10000  # a real person (only the logs say so) or a vendor failure
_MOST_SEARCHED = 8000  # characters of a reason, which is cut further once it is clean


class FailureClass(StrEnum):
    """A kind of failure; each has its own consequence."""

    MODERATION = "moderation"
    REAL_PERSON = "real_person"
    VENDOR = "vendor"
    INVALID = "invalid"
    UNKNOWN = "unknown"


_PATTERNS = {
    FailureClass.REAL_PERSON: (r"real.?person", r"real.?human"),
    FailureClass.MODERATION: (
        r"moderat|sensitive|prohibited|policy|violat|nsfw|unsafe|copyright",
        r"content (?:was )?refused",
        r"content restriction",  # the note of a retry stands in the logs of every kind of refused content
    ),
    FailureClass.INVALID: (
        r"invalid (?:param|input|request|image|video|audio|task.?type)",
        r"unsupported|not supported|input too large",
    ),
    FailureClass.VENDOR: (
        r"upstream|time.?out|timed out|unavailable|overload|connection",
        r"internal (?:server )?error|\b5\d\d\b",
        r"upload.?(?:image|video|audio|resource)",  # the vendor could not fetch or keep a reference
    ),
}


def classify_failure(task: Task) -> tuple[FailureClass, str]:
    """Return the class of a failed task and the vendor's explanation.

    Returns:
        The class, and the explanation as one line whose links carry no signatures.
    """
    reason = "; ".join(filter(None, map(_one_line, task.logs))) or _one_line(task.error_message)
    if task.status is TaskStatus.ENDED:
        reason = f"the vendor reports it as {task.raw_status}" + (f": {reason}" if reason else "")
        return FailureClass.UNKNOWN, redact(reason[:_MOST_SEARCHED])[:2000]
    reason = reason or f"failed with code {task.error_code} and no explanation"
    failure = _matching("\n".join(task.logs))
    if failure is None and task.error_code == _CODE_REJECTED:
        failure = FailureClass.MODERATION
    if failure is None:
        failure = _matching(task.error_message)
    if failure is None and task.error_code == _CODE_GENERIC and task.logs:
        failure = FailureClass.VENDOR
    return failure or FailureClass.UNKNOWN, redact(reason[:_MOST_SEARCHED])[:2000]


def classify_refusal(code: int, text: str, *, sent: str) -> FailureClass:
    """Return the class of a POST that was refused as a bad request.

    Args:
        code: The envelope's code.
        text: The vendor's words, in lower case.
        sent: The request's text in lower case: words that the vendor quotes from it say nothing.
    """
    for failure, patterns in _PATTERNS.items():
        for match in re.finditer("|".join(patterns), text):
            if match.group() not in sent:
                return failure
    return FailureClass.MODERATION if code == _CODE_REJECTED else FailureClass.INVALID


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _matching(text: str) -> FailureClass | None:
    for failure, patterns in _PATTERNS.items():
        if re.search("|".join(patterns), text, re.IGNORECASE):
            return failure
    return None
