"""Suggestions of a page of the vendor's history about the next polls; pure functions.

Nothing here changes an order's state: a page only says which GET is worth sending first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from seedance_dagster.api.shapes import status_meaning
from seedance_dagster.api.wire import HistoryRow
from seedance_dagster.engine.policy import Pacing
from seedance_dagster.engine.polling.load import Load
from seedance_dagster.engine.polling.reliability import Belief, Reliability
from seedance_dagster.ledger.work.polls import FollowedTask

_ENDED = ("completed", "failed", "ended")
_RUNNING = ("pending", "staged", "processing")
_ON_TRIAL = 3  # tasks of a page that are polled to see whether a history that was wrong is right again
_LEAST_RECENT_S, _RECENT_ROUNDS = 180.0, 0.1  # behind `listed_s`: about two readings of the whole history


@dataclass(frozen=True)
class Suggestion:
    """The suggestions of a page.

    Attributes:
        first: Tasks that it shows as ended: to be polled before others.
        later: Tasks that it shows as running, and whose poll may wait.
        until: The time until which they may wait.
        checked: What it showed of tasks whose end is known.
    """

    first: tuple[str, ...]
    later: tuple[str, ...]
    until: datetime
    checked: Reliability


def read_page(
    rows: Iterable[HistoryRow],
    known: Mapping[str, FollowedTask],
    *,
    now: datetime,
    load: Load,
    pacing: Pacing,
    record: Reliability,
) -> Suggestion:
    """Return the suggestions of a page, as far as the history can be trusted.

    Args:
        rows: Its rows.
        known: Our tasks among them, as the ledger knows them, by task id.
        now: UTC.
        load: The current load.
        pacing: The engine's waits.
        record: The history's reliability so far.
    """
    first, later, in_time, late = [], [], 0, 0
    until = now + timedelta(seconds=pacing.shown_running_s)
    listed = timedelta(seconds=pacing.listed_s)
    recent = listed + timedelta(seconds=max(_LEAST_RECENT_S, _RECENT_ROUNDS * load.round_s))
    for row in rows:
        task, meaning = known.get(row.task_id), status_meaning(row.status)
        if task is None:
            continue
        if task.due_at is not None:
            if meaning in _ENDED:
                first.append(row.task_id)
            elif meaning in _RUNNING and load.may_wait(task, until=until, now=now):
                later.append(row.task_id)
        elif task.ended_at is not None:
            age = now - task.ended_at
            in_time += meaning in _ENDED and listed <= age <= recent
            late += meaning in _RUNNING and age >= listed
    checked = Reliability(in_time=in_time, late=late)
    if record.belief is Belief.REFUTED:
        first = first[:_ON_TRIAL]
    if record.belief is not Belief.PROVEN:
        later = []
    return Suggestion(tuple(first), tuple(later), until, checked)
