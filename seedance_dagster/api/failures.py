"""The reason why a task failed: from its logs first, then the code, then the text."""

from __future__ import annotations

from collections.abc import Collection

from seedance_dagster.api.refusals import FailureClass, refusals
from seedance_dagster.api.wire import Task, TaskStatus
from seedance_dagster.net.redaction import redact

_MOST_SEARCHED = 8000  # characters of a reason, which is cut further once it is redacted
_MOST_OF_LOGS = 20_000  # characters at either end, searched for words: a megabyte would take seconds


def classify_failure(task: Task) -> tuple[FailureClass, str]:
    """Return the class of a failed task and the vendor's explanation.

    Returns:
        The class, and the explanation as one line whose links carry no signatures.
    """
    reason = "; ".join(filter(None, map(_one_line, task.logs))) or _one_line(task.error_message)
    prompt = str(task.input.get("prompt") or "").strip()  # words that the vendor quotes from it say nothing
    if task.status is TaskStatus.ENDED:
        reason = f"the vendor reports it as {task.raw_status}" + (f": {reason}" if reason else "")
        return FailureClass.UNKNOWN, redact(reason[:_MOST_SEARCHED])[:2000]
    reason = reason or f"failed with code {task.error_code} and no explanation"
    codes = refusals().codes
    failure = _matching("\n".join(task.logs), prompt)
    if failure is None and task.error_code in codes.moderation:
        failure = FailureClass.MODERATION
    if failure is None:
        failure = _matching(task.error_message, prompt)
    if failure is None and task.error_code in codes.generic and task.logs:
        failure = FailureClass.VENDOR
    return failure or FailureClass.UNKNOWN, redact(reason[:_MOST_SEARCHED])[:2000]


def classify_refusal(codes: Collection[int], text: str, *, sent: str) -> FailureClass:
    """Return the class of a refused POST: an invalid request if any word says so.

    Args:
        codes: The HTTP status and the vendor's codes.
        text: The vendor's words, in lower case.
        sent: The request's text in lower case: words that the vendor quotes from it say nothing.
    """
    classes = [failure for failure, words in refusals().classes_of(text) if words not in sent]
    if classes:
        return FailureClass.INVALID if FailureClass.INVALID in classes else classes[0]
    moderation = refusals().codes.moderation.intersection(codes)
    return FailureClass.MODERATION if moderation else FailureClass.INVALID


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _matching(text: str, prompt: str) -> FailureClass | None:
    if len(text) > 2 * _MOST_OF_LOGS:
        text = f"{text[:_MOST_OF_LOGS]}\n{text[-_MOST_OF_LOGS:]}"
    unquoted = text.replace(prompt, " ") if prompt else text
    return next((failure for failure, _ in refusals().classes_of(unquoted)), None)
