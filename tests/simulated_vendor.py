"""A vendor for random histories: its clock, echoes, history and balance are as odd as a seed says."""

from __future__ import annotations

import html
import random
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from seedance_dagster.api.account import AccountInfo
from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.errors import NotFoundError, RateLimitError, UnknownOutcomeError, VendorError
from seedance_dagster.api.wire import GenerationRequest, HistoryPage, HistoryRow, Task, TaskStatus

POINTS = 4_000_000
_ROWS_PER_PAGE = 4
_ECHOES: dict[str, Callable[[str], str]] = {
    "html": html.escape,
    "html of Go": lambda text: html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
    "quotes": lambda text: text.replace('"', "”"),
    "unicode": lambda text: unicodedata.normalize("NFC", text),
    "whitespace": lambda text: " ".join(text.split()),
}


@dataclass
class SimulatedTask:
    """A task; `source` is the order whose POST made it, None for another program's.

    Attributes:
        mark: The mark that it gives back, if any.
    """

    task_id: str
    source: int | None
    request: GenerationRequest
    created_at: datetime
    ends_at: datetime
    fails: bool
    mark: str | None


@dataclass
class Oddities:
    """The oddities of one vendor.

    Attributes:
        offset: The time that its clock is ahead of ours.
        echo: The changes, by their names in `_ECHOES`, that it makes to texts.
        rendered: It echoes the defaults too.
        silent: It echoes nothing.
        lag: How late its history lists a task.
        finished_only: Its history lists no unfinished task.
        pages: How its history treats `page` and counts.
        retention: How long its history remembers a task.
        types: How its history names types.
        reports_balance: Its account shows the balance.
        marks: The share of its tasks that give back the mark of their POST.
        one_address: All its tasks give back the newest mark of the account instead.
    """

    offset: timedelta = timedelta(0)
    echo: tuple[str, ...] = ()
    rendered: bool = False
    silent: bool = False
    lag: timedelta = timedelta(0)
    finished_only: bool = False
    pages: str = "right"
    retention: timedelta | None = None
    types: str = "right"
    reports_balance: bool = True
    marks: float = 0.0
    one_address: bool = False

    @classmethod
    def draw(cls, rng: random.Random) -> Oddities:
        """Draw a vendor that is odd in a few ways at once."""
        odd: dict[str, Any] = {
            "offset": timedelta(seconds=rng.choice((rng.uniform(-90, 90), rng.uniform(-3600, 3600)))),
            "echo": tuple(name for name in _ECHOES if rng.random() < 0.4),
            "rendered": True,
            "silent": True,
            "lag": timedelta(seconds=rng.choice((60, 600, 5000))),
            "finished_only": True,
            "pages": rng.choice(("uncounted", "uncounted", "ignored", "clamped", "miscounted")),
            "retention": timedelta(seconds=rng.uniform(1800, 20_000)),
            "types": rng.choice(("one", "swapped", "unknown")),
            "reports_balance": False,
        }
        ways = rng.sample(sorted(odd), rng.choice((0, 1, 1, 2, 2, 3)))
        if rng.random() < 0.5:
            ways.append("offset")
        marks, one_address = rng.choice((0, 0.5, 0.9, 1, 1)), rng.random() < 0.2
        return cls(marks=marks, one_address=one_address, **{way: odd[way] for way in ways})


@dataclass
class SimulatedVendor:
    """One account at the vendor.

    Attributes:
        fate: The fate of the next POST: "answered", "lost after", "lost before" or "refused".
        order_id: The order whose POST is next.
        sends_marks: POSTs carry marks.
        beside: Another program makes an equal task while the next POST is under way.
        foreign_mark: The mark of another ledger, which that task carries.
    """

    name: str
    clock: Any
    rng: random.Random
    odd: Oddities
    tasks: list[SimulatedTask] = field(default_factory=list)
    points: int = 10**10
    fate: str = "answered"
    order_id: int = 0
    beside: bool = False
    sends_marks: bool = False
    foreign_mark: str | None = None

    def now(self) -> datetime:
        return self.clock() + self.odd.offset

    def make(self, request: GenerationRequest, source: int | None, mark: str | None = None) -> SimulatedTask:
        created_at = self.now()
        ends_at = created_at + timedelta(seconds=self.rng.uniform(60, 900))
        task_id = f"{self.name}-{len(self.tasks)}"
        fails = self.rng.random() < 0.1
        echoed = mark if self.rng.random() < self.odd.marks else None
        task = SimulatedTask(task_id, source, request, created_at, ends_at, fails, echoed)
        self.tasks.append(task)
        return task

    def newest_mark(self) -> str | None:
        return next((task.mark for task in reversed(self.tasks) if task.mark is not None), None)

    def balance(self) -> int:
        refunded = sum(POINTS for task in self.tasks if task.fails and task.ends_at <= self.now())
        return self.points - POINTS * len(self.tasks) + refunded

    def show(self, task: SimulatedTask) -> Task:
        ended = task.ends_at <= self.now()
        status = TaskStatus.PROCESSING
        if ended:
            status = TaskStatus.FAILED if task.fails else TaskStatus.COMPLETED
        done = status is TaskStatus.COMPLETED
        return Task(
            task_id=task.task_id,
            task_type=task.request.task_type,
            status=status,
            raw_status=status.value,
            mark=self.newest_mark() if self.odd.one_address else task.mark,
            input={} if self.odd.silent else self._echo(task.request),
            video_url="https://files.example.com/v.mp4" if done else None,
            points_held=0 if ended else POINTS,
            points_charged=POINTS if done else 0,
            created_at=task.created_at,
            started_at=None,
            ended_at=task.ends_at if ended else None,
            logs=("upstream error",) if ended and task.fails else (),
            error_code=10000 if ended and task.fails else 0,
            error_message="",
        )

    def rows(self, start: datetime, end: datetime) -> list[HistoryRow]:
        now, odd = self.now(), self.odd
        return [
            self._row(task)
            for task in sorted(self.tasks, key=lambda task: task.created_at, reverse=True)
            if start <= task.created_at <= end
            and task.created_at + odd.lag <= now
            and (task.ends_at + odd.lag <= now or not odd.finished_only)
            and (odd.retention is None or task.created_at + odd.retention > now)
        ]

    def _row(self, task: SimulatedTask) -> HistoryRow:
        other = {"seedance-2": "seedance-2-fast", "seedance-2-fast": "seedance-2"}[task.request.task_type]
        names = {"right": task.request.task_type, "one": "seedance-2", "swapped": other, "unknown": "video"}
        ended = task.ends_at <= self.now()
        return HistoryRow(
            task_id=task.task_id,
            task_type=names[self.odd.types],
            status="running" if not ended else "failed" if task.fails else "finished",
            points=0 if ended and task.fails else POINTS,
            created_at=task.created_at,
        )

    def _echo(self, request: GenerationRequest) -> dict[str, Any]:
        echoed = dict(request.to_wire()["input"])
        for name in self.odd.echo:
            echoed["prompt"] = _ECHOES[name](echoed["prompt"])
        defaults = {"aspect_ratio": "16:9", "resolution": "480p", "audio": True}
        return (defaults | echoed) if self.odd.rendered else echoed


class SimulatedClient(SeedanceClient):
    """A client of a simulated vendor, without a network."""

    def __init__(self, vendor: SimulatedVendor) -> None:
        self.vendor = vendor
        self.requests_per_second = 10.0

    @property
    def account_name(self) -> str:
        return self.vendor.name

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    @property
    def sends_marks(self) -> bool:
        return self.vendor.sends_marks

    async def create_task(self, request, *, mark=None, last_look=None) -> Task:
        vendor, rng = self.vendor, self.vendor.rng
        await last_look.look()
        last_look.leave()
        vendor.clock.forward(seconds=rng.uniform(0, 3))
        if vendor.fate == "refused":
            raise RateLimitError("slow down", retry_after_s=1)
        task = None if vendor.fate == "lost before" else vendor.make(request, vendor.order_id, mark)
        if vendor.beside:
            vendor.clock.forward(seconds=rng.uniform(0, 1))
            vendor.make(request, None, vendor.foreign_mark)
        vendor.clock.forward(seconds=rng.uniform(0, 3))
        if task is None or vendor.fate == "lost after":
            raise UnknownOutcomeError("the reply was lost")
        return vendor.show(task)

    async def get_task(self, task_id: str) -> Task:
        for task in self.vendor.tasks:
            if task.task_id == task_id:
                return self.vendor.show(task)
        raise NotFoundError("no such task")

    async def account(self) -> AccountInfo:
        points = self.vendor.balance() if self.vendor.odd.reports_balance else None
        return AccountInfo(plan=None, points_remaining=points, balance_source=None, max_concurrent_tasks=None)

    async def history(
        self, *, start: datetime, end: datetime, page: int = 1, page_size: int = 100
    ) -> HistoryPage:
        if self.vendor.rng.random() < 0.02:
            raise VendorError("500")
        rows, pages = self.vendor.rows(start, end), self.vendor.odd.pages
        size = min(page_size, _ROWS_PER_PAGE)
        last = max(1, -(-len(rows) // size))
        number = {"ignored": 1, "clamped": min(page, last)}.get(pages, page)
        total = {"uncounted": None, "miscounted": max(0, len(rows) - 1)}.get(pages, len(rows))
        return HistoryPage(rows=tuple(rows[(number - 1) * size : number * size]), total=total)
