"""Every fault that the emulator knows: where it strikes, and what happens then."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """The event that a fault affects; a marker's count is a number of events of that stage."""

    BEFORE = "before"
    AFTER = "after"
    OUTCOME = "outcome"
    TASK = "task"
    GET = "get"
    HISTORY = "history"
    LINK = "link"
    DOWNLOAD = "download"
    WEBHOOK = "webhook"


@dataclass(frozen=True)
class Fault:
    """A fault that can be injected.

    Attributes:
        name: Its name in markers and rates.
        stage: The event that it affects.
        summary: Its effect.
        count: The count of a marker that states none; None for every time.
        counts_gets: The count is a number of GETs after the task's end, not of tasks.
    """

    name: str
    stage: Stage
    summary: str
    count: int | None = None
    counts_gets: bool = False


_NO_TASK = (
    Fault("500-before", Stage.BEFORE, "POST answers 500, no task is created"),
    Fault("408-before", Stage.BEFORE, "POST answers 408, no task is created"),
    Fault("429", Stage.BEFORE, "POST answers 429 with Retry-After, no task is created"),
    Fault("reset-before", Stage.BEFORE, "POST's connection closes without a reply, no task is created"),
    Fault("hang-before", Stage.BEFORE, "POST is never answered, no task is created"),
    Fault("error-in-200", Stage.BEFORE, "POST answers HTTP 200 with code 500, no task is created"),
    Fault("rate-limit-in-200", Stage.BEFORE, "POST answers HTTP 200 with code 10001, no task is created"),
    Fault("rate-limit-10001", Stage.BEFORE, "POST answers 429 with code 10001 and without Retry-After"),
    Fault("credits-400", Stage.BEFORE, "POST answers 400 with code 10002 and 'failed to create task'"),
    Fault("credits-in-200", Stage.BEFORE, "POST answers HTTP 200 with code 10002"),
    Fault("credits-in-500", Stage.BEFORE, "POST answers 500 with code 10002"),
    Fault("no-slot-400", Stage.BEFORE, "POST answers 400 with code 10000, 'active task count N has reached'"),
    Fault("no-slot-429", Stage.BEFORE, "POST answers 429, 'active task count N has reached the plan limit'"),
    Fault("invalid-10000", Stage.BEFORE, "POST answers 400 with code 10000 and 'invalid request'"),
    Fault("invalid-10003", Stage.BEFORE, "POST answers 400 with code 10003 and 'task input too large'"),
    Fault("invalid-500", Stage.BEFORE, "POST answers 400 with code 500 and 'invalid task_type'"),
    Fault("invalid-422", Stage.BEFORE, "POST answers 422 and 'unsupported image format'"),
    Fault("post-401", Stage.BEFORE, "POST answers 401 with an envelope, though the key is right"),
    Fault("post-403", Stage.BEFORE, "POST answers 403 with an envelope, though the key is right"),
    Fault("page-401", Stage.BEFORE, "a gateway answers POST with a page and 401"),
    Fault("page-403", Stage.BEFORE, "a gateway answers POST with a page and 403"),
    Fault("page-502", Stage.BEFORE, "a gateway answers POST with a page and 502"),
    Fault("page-503", Stage.BEFORE, "a gateway answers POST with a page and 503"),
)
_TASK_MADE = (
    Fault("lost-reply", Stage.AFTER, "the task is created, the connection closes without a reply"),
    Fault("cut-reply", Stage.AFTER, "the task is created, the connection closes within the reply's body"),
    Fault("hang", Stage.AFTER, "the task is created, POST is never answered"),
    Fault("slow-post", Stage.AFTER, "the task is created, POST answers after `slow_post_seconds`"),
    Fault("500-after", Stage.AFTER, "the task is created, POST answers 500"),
    Fault("500-with-task", Stage.AFTER, "the task is created, POST answers 500 with the task in data"),
    Fault("400-with-task", Stage.AFTER, "the task is created, POST answers 400 with the task in data"),
    Fault("error-in-200-after", Stage.AFTER, "the task is created, POST answers HTTP 200 with code 500"),
    Fault("page-502-after", Stage.AFTER, "the task is created, a gateway answers with a page and 502"),
    Fault("garbage-reply", Stage.AFTER, "the task is created, POST answers 200 with an HTML page"),
)
_TASKS = (
    Fault("moderation", Stage.OUTCOME, "rejected by the model's owner: 10003, cause in logs, penalty"),
    Fault("moderation-early", Stage.OUTCOME, "rejected before submission: 10003, refunded in full"),
    Fault("copyright", Stage.OUTCOME, "rejected by the model's owner for copyright: 10003, penalty"),
    Fault("real-person", Stage.OUTCOME, "fails with 10000 and a generic text, cause only in logs"),
    Fault("vendor-trouble", Stage.OUTCOME, "fails with 10000, upstream errors in logs"),
    Fault("reference-lost", Stage.OUTCOME, "fails with 10000: a reference could not be fetched"),
    Fault("upload-failed", Stage.OUTCOME, "fails with 10000: a reference was not uploaded in time"),
    Fault("task-cancelled", Stage.OUTCOME, "ends as 'canceled', refunded"),
    Fault("task-expired", Stage.OUTCOME, "ends as 'expired', refunded"),
    Fault("odd-status", Stage.TASK, "other status words, capitals, a trailing tab, null logs"),
    Fault("status-spelling", Stage.TASK, "each answer spells the status in another way"),
    Fault(
        "unknown-word",
        Stage.TASK,
        "the status is 'finalizing' for the first GETs after the end (count, 3)",
        count=3,
        counts_gets=True,
    ),
    Fault(
        "late-url",
        Stage.TASK,
        "completed without a URL for the first GETs (count, 2)",
        count=2,
        counts_gets=True,
    ),
    Fault("missing-url", Stage.TASK, "completed and charged, never a URL"),
    Fault("url-while-pending", Stage.TASK, "the URL appears before the task is completed"),
    Fault("link-elsewhere", Stage.TASK, "the URL stands in another place of the output, or in detail"),
    Fault("odd-texts", Stage.TASK, "logs and error are texts, objects or null; or the name is log"),
    Fault(
        "no-meta",
        Stage.TASK,
        "meta is {} or null until the end, and for the first GETs after it (count, 0)",
        count=0,
        counts_gets=True,
    ),
    Fault("no-start", Stage.TASK, "started_at is 0001-01-01 while processing"),
    Fault("early-charge", Stage.TASK, "usage.consume is set while the task is pending"),
    Fault(
        "late-charge",
        Stage.TASK,
        "the points are still held for the first GETs after the end (count, 1)",
        count=1,
        counts_gets=True,
    ),
    Fault("quotes-key", Stage.TASK, "logs and error quote the API key, also encoded"),
)
_READS = (
    Fault("get-500", Stage.GET, "GET of the task answers 500"),
    Fault("get-429", Stage.GET, "GET of the task answers 429"),
    Fault("get-drop", Stage.GET, "GET's connection closes without a reply"),
    Fault("get-hang", Stage.GET, "GET of the task is never answered"),
    Fault("get-401", Stage.GET, "GET of the task answers 401 with an envelope"),
    Fault("get-403", Stage.GET, "GET of the task answers 403 with an envelope"),
    Fault("get-404", Stage.GET, "GET of the task answers 404 with an envelope"),
    Fault("get-error-in-200", Stage.GET, "GET of the task answers HTTP 200 with code 500"),
    Fault("get-page-401", Stage.GET, "a gateway answers GET with a page and 401"),
    Fault("get-page-403", Stage.GET, "a gateway answers GET with a page and 403"),
    Fault("get-page-502", Stage.GET, "a gateway answers GET with a page and 502"),
    Fault("get-page-503", Stage.GET, "a gateway answers GET with a page and 503"),
    Fault("history-500", Stage.HISTORY, "GET of the history answers 500 (by rate only)"),
)
_FILES = (
    Fault("expired", Stage.LINK, "the first links (count, 1) are dead; a new GET gives a new one", count=1),
    Fault("truncated", Stage.DOWNLOAD, "the first half of the file with a matching length"),
    Fault("garbage", Stage.DOWNLOAD, "bytes that are not a video, as video/mp4"),
    Fault("html", Stage.DOWNLOAD, "an HTML page with status 200"),
    Fault("empty", Stage.DOWNLOAD, "an empty body with status 200"),
    Fault("wrong-length", Stage.DOWNLOAD, "Content-Length is larger than the body"),
    Fault("endless", Stage.DOWNLOAD, "a video that never ends"),
    Fault("redirect", Stage.DOWNLOAD, "a redirect to the same file under another URL"),
    Fault("redirect-loop", Stage.DOWNLOAD, "a redirect to itself"),
    Fault("redirect-file", Stage.DOWNLOAD, "a redirect to a file: URL"),
    Fault("redirect-private", Stage.DOWNLOAD, "a redirect to a link-local address"),
    Fault("download-500", Stage.DOWNLOAD, "the file host answers 500"),
    Fault("slow", Stage.DOWNLOAD, "the whole file, in small pieces with pauses"),
)
_WEBHOOKS = (
    Fault("webhook-missed", Stage.WEBHOOK, "the end of the task is not delivered"),
    Fault("webhook-late", Stage.WEBHOOK, "the end of the task is delivered late (webhook_late_seconds)"),
    Fault("webhook-twice", Stage.WEBHOOK, "the end of the task is delivered twice"),
)

FAULTS = {fault.name: fault for fault in (*_NO_TASK, *_TASK_MADE, *_TASKS, *_READS, *_FILES, *_WEBHOOKS)}
