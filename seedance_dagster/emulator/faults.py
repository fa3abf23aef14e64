"""The faults that can be asked for, and how they are asked for.

By a marker in the prompt, `[fault:lost-reply]` or with a count `[fault:vendor-trouble*1]`, or at a rate.
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
    """Where a fault strikes; a marker's count counts the earlier events of that stage."""

    BEFORE = "before"
    AFTER = "after"
    OUTCOME = "outcome"
    TASK = "task"
    GET = "get"
    HISTORY = "history"
    LINK = "link"
    DOWNLOAD = "download"


@dataclass(frozen=True)
class Fault:
    """One fault that can be asked for; `count` is the marker's if it gives none (None: every time)."""

    name: str
    stage: Stage
    summary: str
    count: int | None = None


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("500-before", Stage.BEFORE, "POST answers 500, no task is made"),
        Fault("429", Stage.BEFORE, "POST answers 429 with Retry-After, no task is made"),
        Fault("reset-before", Stage.BEFORE, "POST's connection closes without a reply, no task is made"),
        Fault("hang-before", Stage.BEFORE, "POST is never answered, no task is made"),
        Fault("lost-reply", Stage.AFTER, "the task is made, the connection closes without a reply"),
        Fault("cut-reply", Stage.AFTER, "the task is made, the connection closes within the reply's body"),
        Fault("hang", Stage.AFTER, "the task is made, POST is never answered"),
        Fault("500-after", Stage.AFTER, "the task is made, POST answers 500"),
        Fault("500-with-task", Stage.AFTER, "the task is made, POST answers 500 with the task in data"),
        Fault("garbage-reply", Stage.AFTER, "the task is made, POST answers 200 with an HTML page"),
        Fault("moderation", Stage.OUTCOME, "refused by the model's owner: 10003, cause in logs, penalty"),
        Fault("moderation-early", Stage.OUTCOME, "refused before submission: 10003, refunded in full"),
        Fault("real-person", Stage.OUTCOME, "fails with 10000 and a generic text, cause only in logs"),
        Fault("vendor-trouble", Stage.OUTCOME, "fails with 10000, upstream errors in logs"),
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
        Fault("truncated", Stage.DOWNLOAD, "the first half of the file, as if it were all"),
        Fault("garbage", Stage.DOWNLOAD, "bytes that are no video, as video/mp4"),
        Fault("html", Stage.DOWNLOAD, "an HTML page with status 200"),
        Fault("empty", Stage.DOWNLOAD, "an empty body with status 200"),
        Fault("wrong-length", Stage.DOWNLOAD, "Content-Length promises more than arrives"),
        Fault("endless", Stage.DOWNLOAD, "a video that never ends"),
        Fault("redirect", Stage.DOWNLOAD, "a redirect to the same file under another address"),
        Fault("redirect-loop", Stage.DOWNLOAD, "a redirect to itself"),
        Fault("redirect-file", Stage.DOWNLOAD, "a redirect to a file: URL"),
        Fault("redirect-private", Stage.DOWNLOAD, "a redirect to a link-local address"),
        Fault("download-500", Stage.DOWNLOAD, "the file host answers 500"),
        Fault("slow", Stage.DOWNLOAD, "the whole file, drop by drop"),
    )
}


class UnknownFaultError(ValueError):
    """A fault or rate that does not exist; the message lists what does."""


def markers_of(prompt: str) -> dict[str, int | None]:
    """The faults a prompt asks for, each with its count (None: every time).

    Raises:
        UnknownFaultError: for a name that is no fault.
    """
    found: dict[str, int | None] = {}
    for name, digits in _MARKER.findall(prompt):
        _known(name)
        found[name] = int(digits) if digits else FAULTS[name].count
    return found


class FaultInjector:
    """Decides which faults strike, from the markers of a prompt and the rates in force."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.rates: dict[str, float] = {}
        self.fired: Counter[str] = Counter()

    def set_rates(self, rates: Mapping[str, object]) -> None:
        """Replace the rates in force; each is a probability per event of the fault's stage.

        Raises:
            UnknownFaultError: for an unknown name or a rate outside 0 to 1.
        """
        checked: dict[str, float] = {}
        for name, rate in rates.items():
            _known(name)
            if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
                raise UnknownFaultError(f"the rate of {name} must be a number from 0 to 1, got {rate!r}")
            checked[name] = float(rate)
        self.rates = checked

    def strike(
        self, stage: Stage, markers: Mapping[str, int | None], *, earlier: int
    ) -> dict[str, int | None]:
        """The faults of a stage that strike now, with their counts.

        Args:
            stage: Where we are.
            markers: What the prompt asks for.
            earlier: How many events of this stage the prompt or task has seen before.
        """
        struck: dict[str, int | None] = {}
        for name, fault in FAULTS.items():
            if fault.stage is not stage:
                continue
            asked = name in markers and (
                name == "late-url" or markers[name] is None or earlier < (markers[name] or 0)
            )
            if asked or self._drawn(name):
                struck[name] = markers.get(name, fault.count)
                self.fired[name] += 1
        return struck

    def first(self, stage: Stage, markers: Mapping[str, int | None], *, earlier: int) -> str | None:
        """The one fault of a stage that strikes now, if any."""
        struck = self.strike(stage, markers, earlier=earlier)
        for extra in list(struck)[1:]:
            self.fired[extra] -= 1
        return next(iter(struck), None)

    def _drawn(self, name: str) -> bool:
        rate = self.rates.get(name, 0.0)
        return rate > 0 and self._rng.random() < rate


def _known(name: str) -> None:
    if name not in FAULTS:
        raise UnknownFaultError(f"there is no fault {name!r}; known are {', '.join(FAULTS)}")
