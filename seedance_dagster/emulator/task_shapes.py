"""Other shapes in which a task has been seen at the vendor and at services of the same envelope."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from seedance_dagster.emulator.record import Phase, TaskRecord

Task = dict[str, Any]

_UNKNOWN_WORD = "finalizing"
_SPELLINGS = {
    Phase.PENDING: ("Queued", "WAITING", "in_queue", "Created", "staged", "submitted", "retry"),
    Phase.PROCESSING: ("In Progress", "running", "Generating", "starting", "RETRYING\t", "rendering"),
    Phase.COMPLETED: ("success", "succeed", "Succeeded", "finished", "DONE", "Completed\t"),
    Phase.FAILED: ("Failed", "failure", "error", "ERRORED"),
}
_OUTPUTS: tuple[Callable[[str], Any], ...] = (
    lambda link: {"video_url": link},
    lambda link: {"video": {"url": link}},
    lambda link: {"videos": [link]},
    lambda link: {"videos": [{"url": link}], "cover": f"{link}.jpg"},
    lambda link: {"works": [{"video": {"resource": f"{link}?marked", "resource_without_watermark": link}}]},
    lambda link: {"video": f"{link}?marked", "video_no_watermark": link},
    lambda link: [{"video": link}],
    lambda link: link,
)
_NOT_YET = "0001-01-01T00:00:00Z"


def reshape(task: Task, record: TaskRecord, phase: Phase, *, key: str) -> Task:
    """Return a task in the shapes that its quirks ask for.

    Args:
        task: The task in the shape of the vendor's page.
        record: The task as the vendor stores it.
        phase: Its progress.
        key: The API key, which one quirk quotes.
    """
    quirks = record.quirks
    # Only plain status words get other spellings: a cancelled task stays so.
    if "status-spelling" in quirks and task["status"] == phase.value:
        spellings = _SPELLINGS[phase]
        task["status"] = spellings[(record.number + record.gets) % len(spellings)]
    if "unknown-word" in quirks and phase is Phase.COMPLETED and _is_early(record, "unknown-word"):
        task |= {"status": _UNKNOWN_WORD, "output": None}
    if "link-elsewhere" in quirks and task["output"]:
        _move_link(task, record.number)
    if "no-start" in quirks and phase is Phase.PROCESSING:
        task["meta"]["started_at"] = _NOT_YET
    if "early-charge" in quirks and phase is Phase.PENDING:
        task["meta"]["usage"]["consume"] = record.price
    if "late-charge" in quirks and record.settled and _is_early(record, "late-charge"):
        task["meta"]["usage"] |= {"frozen": record.price, "consume": 0}
    if "no-meta" in quirks and (not record.settled or _is_early(record, "no-meta")):
        task["meta"] = None if record.number % 2 else {}
    if "quotes-key" in quirks:
        _quote_key(task, key)
    if "odd-texts" in quirks:
        _change_texts(task, record.number)
    return task


def _is_early(record: TaskRecord, quirk: str) -> bool:
    """Return True for the first GETs after the end, as many as the quirk's count says (None: all)."""
    count = record.quirks[quirk]
    return count is None or record.gets_after_end <= count


def _move_link(task: Task, number: int) -> None:
    link = task["output"]["video"]
    place = number % (len(_OUTPUTS) + 1)
    if place == len(_OUTPUTS):
        task |= {"output": None, "detail": {"output": {"video": link}}}
    else:
        task["output"] = _OUTPUTS[place](link)


def _quote_key(task: Task, key: str) -> None:
    encoded = base64.b64encode(f"user:{key}".encode()).decode()
    quoted = (
        f"calling upstream with X-API-Key: {key}, ?key={quote(key, safe='')}, Authorization: Basic {encoded}"
    )
    task["logs"] = [quoted, *(task["logs"] or ())]
    task["error"] |= {"raw_message": quoted, "detail": {key: quoted}}
    task["detail"] = {"request": {"headers": {"X-API-Key": key}}}


def _change_texts(task: Task, number: int) -> None:
    """Give logs and error another shape with the same content."""
    logs, error = task["logs"] or [], task["error"]
    match number % 4:
        case 0:
            task |= {"logs": "\n".join(logs), "error": error["message"] or None}
        case 1:
            task |= {"logs": [{"message": line, "level": "info"} for line in logs]}
        case 2:
            task["log"] = logs
            del task["logs"]
        case _:
            task |= {"logs": [*logs[:-1], {"message": logs[-1]}] if logs else None, "error": None}
