"""The faults that can be injected, by a marker in the prompt or at a rate.

A marker is `[fault:lost-reply]`, or `[fault:vendor-trouble*1]` with a count.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_MARKER = re.compile(r"\[fault:\s*([a-z0-9-]+)\s*(?:\*\s*(\d{1,6})\s*)?\]")


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
    """A fault that can be injected; `count` is used for a marker without one (None: every time)."""

    name: str
    stage: Stage
    summary: str
    count: int | None = None


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("500-before", Stage.BEFORE, "POST answers 500, no task is created"),
        Fault("429", Stage.BEFORE, "POST answers 429 with Retry-After, no task is created"),
        Fault("reset-before", Stage.BEFORE, "POST's connection closes without a reply, no task is created"),
        Fault("hang-before", Stage.BEFORE, "POST is never answered, no task is created"),
        Fault("lost-reply", Stage.AFTER, "the task is created, the connection closes without a reply"),
        Fault("cut-reply", Stage.AFTER, "the task is created, the connection closes within the reply's body"),
        Fault("hang", Stage.AFTER, "the task is created, POST is never answered"),
        Fault("500-after", Stage.AFTER, "the task is created, POST answers 500"),
        Fault("500-with-task", Stage.AFTER, "the task is created, POST answers 500 with the task in data"),
        Fault("garbage-reply", Stage.AFTER, "the task is created, POST answers 200 with an HTML page"),
        Fault("moderation", Stage.OUTCOME, "rejected by the model's owner: 10003, cause in logs, penalty"),
        Fault("moderation-early", Stage.OUTCOME, "rejected before submission: 10003, refunded in full"),
        Fault("real-person", Stage.OUTCOME, "fails with 10000 and a generic text, cause only in logs"),
        Fault("vendor-trouble", Stage.OUTCOME, "fails with 10000, upstream errors in logs"),
        Fault("reference-lost", Stage.OUTCOME, "fails with 10000: a reference could not be fetched"),
        Fault("odd-status", Stage.TASK, "other status words, capitals, a trailing tab, null logs"),
        Fault("late-url", Stage.TASK, "completed without a URL for the first GETs (count, 2)", count=2),
        Fault("missing-url", Stage.TASK, "completed and charged, never a URL"),
        Fault("url-while-pending", Stage.TASK, "the URL appears while the status says pending"),
        Fault("get-500", Stage.GET, "GET of the task answers 500"),
        Fault("get-429", Stage.GET, "GET of the task answers 429"),
        Fault("get-drop", Stage.GET, "GET's connection closes without a reply"),
        Fault("get-hang", Stage.GET, "GET of the task is never answered"),
        Fault("history-500", Stage.HISTORY, "GET of the history answers 500 (by rate only)"),
        Fault(
            "expired", Stage.LINK, "the first links (count, 1) are dead; a new GET gives a new one", count=1
        ),
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
        Fault("webhook-missed", Stage.WEBHOOK, "the end of the task is not reported"),
        Fault("webhook-late", Stage.WEBHOOK, "the end of the task is reported late (webhook_late_seconds)"),
        Fault("webhook-twice", Stage.WEBHOOK, "the end of the task is reported twice"),
    )
}


class UnknownFaultError(ValueError):
    """A fault or rate is not known; the message lists what is."""


def markers_of(prompt: str) -> dict[str, int | None]:
    """Return the faults that a prompt asks for, each with its count (None: every time).

    Raises:
        UnknownFaultError: A name is not a fault.
    """
    markers: dict[str, int | None] = {}
    for name, digits in _MARKER.findall(prompt):
        _check_name(name)
        markers[name] = int(digits) if digits else FAULTS[name].count
    return markers


class FaultInjector:
    """The choice of faults to inject, from the markers of a prompt and the rates in force."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.rates: dict[str, float] = {}
        self.fired: Counter[str] = Counter()

    def set_rates(self, rates: Mapping[str, object]) -> None:
        """Replace the rates in force, each a probability per event of the fault's stage.

        Raises:
            UnknownFaultError: A name is unknown, or a rate is not from 0 to 1.
        """
        validated: dict[str, float] = {}
        for name, rate in rates.items():
            _check_name(name)
            if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
                raise UnknownFaultError(f"the rate of {name} is {rate!r}; allowed are numbers from 0 to 1")
            validated[name] = float(rate)
        self.rates = validated

    def inject(
        self, stage: Stage, markers: Mapping[str, int | None], *, earlier: int
    ) -> dict[str, int | None]:
        """Return the faults of a stage to inject now, with their counts.

        Args:
            stage: The stage of the present event.
            markers: The markers of the prompt.
            earlier: Number of earlier events of this stage for the prompt or task.
        """
        injected: dict[str, int | None] = {}
        for name, fault in FAULTS.items():
            if fault.stage is not stage:
                continue
            marked = name in markers and (
                name == "late-url" or markers[name] is None or earlier < (markers[name] or 0)
            )
            if marked or self._drawn(name):
                injected[name] = markers.get(name, fault.count)
                self.fired[name] += 1
        return injected

    def first(self, stage: Stage, markers: Mapping[str, int | None], *, earlier: int) -> str | None:
        """Return the single fault of a stage to inject now, if any."""
        injected = self.inject(stage, markers, earlier=earlier)
        for extra in list(injected)[1:]:
            self.fired[extra] -= 1
        return next(iter(injected), None)

    def _drawn(self, name: str) -> bool:
        rate = self.rates.get(name, 0.0)
        return rate > 0 and self._rng.random() < rate


def _check_name(name: str) -> None:
    if name not in FAULTS:
        raise UnknownFaultError(f"{name!r} is not a fault; known are {', '.join(FAULTS)}")
