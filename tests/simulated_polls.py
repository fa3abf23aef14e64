"""Polls of thousands of tasks on a virtual clock, chosen by the engine's own planner; no ledger, no network.

All slots are always taken: each end that was seen makes room for one more task. POSTs, GETs and pages of the
history share one rate, in the order in which workers ask for them.
"""

from __future__ import annotations

import heapq
import itertools
import random
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from factories import NOW
from odd_histories import History, SimulatedTask

from seedance_dagster.api.wire import HistoryRow
from seedance_dagster.engine.lifecycle import poll_delay
from seedance_dagster.engine.policy import Pacing
from seedance_dagster.engine.polling.load import Load
from seedance_dagster.engine.polling.page import read_page
from seedance_dagster.engine.polling.reliability import Reliability
from seedance_dagster.engine.polling.sweep import PAGE_SIZE, Span, page_wait_s, spans
from seedance_dagster.ledger.work.polls import HEAD_START, FollowedTask
from seedance_dagster.ledger.work.render_times import Kind, RenderTimes

_KINDS = {
    Kind("seedance-2-fast", 5, "480p"): 0.6,
    Kind("seedance-2", 5, "720p"): 1.0,
    Kind("seedance-2", 15, "720p"): 1.4,
}
_SPREAD = 0.25  # standard deviation of the logarithm of a kind's times
_LATENCY_S, _IDLE_S = 0.25, 1.0
_POSTS, _GETS, _PAGES = 4, 8, 4  # workers, as in the engine
_WITH_YOUNG = 5
_AHEAD_S = HEAD_START.total_seconds()
_PACING = Pacing()


@dataclass
class Figures:
    """The measured lags and requests.

    Attributes:
        lags: Seconds from the end of each task at the vendor until it was seen.
        gets: How often each of these tasks was polled.
        requests: Requests by kind: post, get, page.
        seconds: The time over which they were measured.
    """

    lags: list[float] = field(default_factory=list)
    gets: list[int] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def mean_lag(self) -> float:
        """The mean lag in seconds."""
        return sum(self.lags) / len(self.lags)

    @property
    def gets_a_task(self) -> float:
        """The mean number of polls of a task."""
        return sum(self.gets) / len(self.gets)

    def lag_at(self, share: float) -> float:
        """Return the lag that a share of the tasks stays below, in seconds."""
        return sorted(self.lags)[int(share * (len(self.lags) - 1))]


class Simulation:
    """Tasks in all slots, and the workers that follow them.

    Args:
        slots: Tasks in flight.
        rate: Requests a second.
        mean_s: The mean time that a task takes; `slots / mean_s` end in a second.
        history: The vendor's history; None for polls without it.
        planned: False for fixed waits, which do not depend on the load or the length of a video.
        seed: The seed of all random choices.
    """

    def __init__(
        self,
        slots: int,
        *,
        rate: float,
        mean_s: float,
        history: History | None,
        planned: bool = True,
        seed: int = 1,
    ) -> None:
        self._rng = random.Random(seed)
        self._rate, self._mean_s, self._history, self._planned = rate, mean_s, history, planned
        self.load = Load(slots, rate)
        self._pacing = self.load.spread(_PACING) if planned else _PACING
        self.record = Reliability()
        self.figures = Figures()
        self._measure_from = 0.0
        self._free = 0
        self._due: list[tuple[float, int]] = []
        self._pages: list[tuple[Span, int | None]] = []
        self._sweeps, self._swept_at = 0, -_PACING.sweep_s
        self._latest: deque[tuple[Kind, float]] = deque(maxlen=500)
        # The first tasks are in the middle of their time, as if they had been sent long ago.
        kinds = [self._rng.choice(list(_KINDS)) for _ in range(slots)]
        lengths = [self._length(kind) for kind in kinds]
        ages = [self._rng.random() * length for length in lengths]
        first = sorted(zip(ages, kinds, lengths, strict=True), key=lambda task: -task[0])
        self.tasks = [
            SimulatedTask(number, kind, -age, length - age, self._rng.random())
            for number, (age, kind, length) in enumerate(first)
        ]
        self._created = [task.created for task in self.tasks]
        self._running = set(range(slots))
        self._latest.extend((kind, self._length(kind)) for _, kind, _ in first[:500])
        self._note_times()
        for task in self.tasks:
            self._plan(task, 0.0)

    def run(self, *, warm_up_s: float, measured_s: float) -> Figures:
        """Run, and return the figures measured after the warm-up."""
        self._measure_from = warm_up_s
        self.figures.seconds = measured_s
        pages = _PAGES if self._history is not None else 0
        workers = ["post"] * _POSTS + ["get"] * _GETS + ["page"] * pages
        turns: list[tuple[float, int, str, Callable[[float], None] | None]]
        turns = [(number / 100, number, kind, None) for number, kind in enumerate(workers)]
        heapq.heapify(turns)
        count, next_free = itertools.count(len(workers)), 0.0
        while turns[0][0] < warm_up_s + measured_s:
            now, _, kind, answer = heapq.heappop(turns)
            if answer is not None:
                answer(now)
                wait_s = _PAGES * page_wait_s(self.record, self._rate) if kind == "page" else 0.0
                heapq.heappush(turns, (now + _LATENCY_S + wait_s, next(count), kind, None))
                continue
            request = self._take(kind, now)
            if request is None:
                heapq.heappush(turns, (now + _IDLE_S, next(count), kind, None))
                continue
            next_free = max(now, next_free) + 1 / self._rate
            self.figures.requests[kind] += warm_up_s <= next_free < warm_up_s + measured_s
            heapq.heappush(turns, (next_free, next(count), kind, request))
        return self.figures

    def _take(self, kind: str, now: float) -> Callable[[float], None] | None:
        """Return a worker's next request, as the function that takes its answer."""
        if kind == "post":
            if not self._free:
                return None
            self._free -= 1
            return self._post
        if kind == "get":
            task = next(self._due_now(now), None)
            return None if task is None else lambda at: self._get(task, at)
        page = next(self._next_pages(now), None)
        return None if page is None else lambda at: self._page(*page, at)

    def _due_now(self, now: float) -> Iterator[SimulatedTask]:
        while self._due and self._due[0][0] <= now:
            due, number = heapq.heappop(self._due)
            task = self.tasks[number]
            if task.seen is None and not task.taken and task.due == due:
                task.taken = True
                yield task

    def _next_pages(self, now: float) -> Iterator[tuple[Span, int]]:
        if not self._pages and now - self._swept_at >= _PACING.sweep_s:
            self._begin_sweep(now)
        while self._pages:
            span, number = self._pages.pop(0)
            if number is None:
                made = len(self._made_in(span))
                self._pages[:0] = [(span, page) for page in range(span.pages(made))]
            else:
                yield span, number

    def _begin_sweep(self, now: float) -> None:
        self._swept_at = now
        self._note_times()
        young_s = self._times.shortest if self._sweeps % _WITH_YOUNG else 0.0
        self._sweeps += 1
        created = (self.tasks[number].created for number in self._running)
        old = [_at(seconds) for seconds in created if seconds <= now - young_s]
        self._pages = [(span, None) for span in spans(old, before=None)]

    def _made_in(self, span: Span) -> list[SimulatedTask]:
        first, last = ((moment - NOW).total_seconds() for moment in (span.start, span.end))
        within = slice(bisect_left(self._created, first - 1e-5), bisect_right(self._created, last + 1e-5))
        return self.tasks[within]

    def _post(self, now: float) -> None:
        kind = self._rng.choice(list(_KINDS))
        task = SimulatedTask(len(self.tasks), kind, now, now + self._length(kind), self._rng.random())
        self.tasks.append(task)
        self._created.append(now)
        self._running.add(task.number)
        self._plan(task, now)

    def _get(self, task: SimulatedTask, now: float) -> None:
        ended, task.taken = task.ends <= now, False
        task.gets += 1
        if task.hinted:
            task.hinted = False
            self.record += Reliability(confirmed=ended, refuted=not ended)
        if not ended:
            self._plan(task, now)
            return
        task.seen = now
        self._running.discard(task.number)
        self._free += 1
        self._latest.append((task.kind, task.ends - task.created))
        if now >= self._measure_from:
            self.figures.lags.append(now - task.ends)
            self.figures.gets.append(task.gets)

    def _page(self, span: Span, number: int, now: float) -> None:
        assert self._history is not None
        shown = [(task, self._history(task, now)) for task in reversed(self._made_in(span))]
        listed = [(task, status) for task, status in shown if status is not None]
        listed = listed[number * PAGE_SIZE : (number + 1) * PAGE_SIZE]
        suggestion = read_page(
            [_row(task, status) for task, status in listed],
            {str(task.number): _known(task) for task, _ in listed},
            now=_at(now),
            load=self.load,
            pacing=_PACING,
            record=self.record,
        )
        self.record += suggestion.checked
        ahead, until = now - _AHEAD_S, (suggestion.until - NOW).total_seconds()
        for task in map(self._of_id, suggestion.first):
            if task.due > ahead and not task.taken:
                task.hinted = True
                self._set_due(task, ahead)
        for task in map(self._of_id, suggestion.later):
            if ahead < task.due < until and not task.taken:
                self._set_due(task, until)

    def _of_id(self, task_id: str) -> SimulatedTask:
        return self.tasks[int(task_id)]

    def _plan(self, task: SimulatedTask, now: float) -> None:
        kind = task.kind if self._planned else Kind(task.kind.task_type)
        expected, jitter = self._times.expected(kind), self._rng.random()
        delay = poll_delay(now - task.created, expected, jitter=jitter, pacing=self._pacing)
        self._set_due(task, now + delay)

    def _set_due(self, task: SimulatedTask, due: float) -> None:
        task.due = due
        heapq.heappush(self._due, (due, task.number))

    def _note_times(self) -> None:
        self._times = RenderTimes(reversed(self._latest))

    def _length(self, kind: Kind) -> float:
        return self._mean_s * _KINDS[kind] * self._rng.lognormvariate(0, _SPREAD)


def _at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def _row(task: SimulatedTask, status: str) -> HistoryRow:
    return HistoryRow(
        task_id=str(task.number), task_type="seedance-2", status=status, points=None, created_at=None
    )


def _known(task: SimulatedTask) -> FollowedTask:
    due_at = _at(task.due) if task.seen is None else None
    ended_at = None if task.seen is None else _at(task.ends)
    return FollowedTask(task.number, _at(task.created), due_at, ended_at)
