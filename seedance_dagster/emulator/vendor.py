"""The emulated vendor itself: it takes orders, holds and charges points, and lets tasks grow old."""

from __future__ import annotations

import heapq
import random
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from seedance_dagster.emulator.account import Account
from seedance_dagster.emulator.faults import FaultInjector, Stage, markers_of
from seedance_dagster.emulator.journal import Journal
from seedance_dagster.emulator.order import Order, read_order
from seedance_dagster.emulator.prices import price
from seedance_dagster.emulator.record import Outcome, Phase, TaskRecord
from seedance_dagster.emulator.refusal import Refusal
from seedance_dagster.emulator.settings import EmulatorSettings

# Share of the render time after which a task of this outcome ends; absent: it never gets out of the queue.
_RENDER_SHARE = {
    Outcome.COMPLETED: 1.0,
    Outcome.MODERATION: 0.3,
    Outcome.REAL_PERSON: 0.1,
    Outcome.VENDOR_TROUBLE: 1.0,
    Outcome.AUDIO_TIMEOUT: 2.0,
}


class Vendor:
    """Tasks, account and counters; every method is quick and none waits.

    Time is only what the clock says: a task changes when someone next looks.
    """

    def __init__(
        self,
        settings: EmulatorSettings,
        *,
        clock: Callable[[], datetime],
        journal: Journal,
        faults: FaultInjector,
        rng: random.Random,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.journal = journal
        self._faults = faults
        self._rng = rng
        fresh = {"granted": settings.points, "points": settings.points}
        self.account = Account.model_validate(journal.recall("account", fresh))
        self.tasks = {record.task_id: record for record in journal.tasks()}
        self.posts: Counter[str] = Counter(journal.recall_all("posts:"))
        self.accepted = Counter(record.prompt for record in self.tasks.values())
        self.links = {link.token: record for record in self.tasks.values() for link in record.links}
        self._open = [(r.ends_at, r.number, r) for r in self.tasks.values() if not r.settled]
        heapq.heapify(self._open)

    def now(self) -> datetime:
        """The present moment, with everything that was due by then done."""
        now = self.clock().astimezone(UTC)
        while self._open and self._open[0][0] <= now:
            self._settle(heapq.heappop(self._open)[2])
        return now

    def active(self) -> int:
        """Tasks that are neither completed nor failed."""
        self.now()
        return len(self._open)

    def count_post(self, prompt: str) -> int:
        """Note a POST of this prompt; returns how many came before it."""
        earlier = self.posts[prompt]
        self.posts[prompt] += 1
        self.journal.save(notes={f"posts:{prompt}": self.posts[prompt]})
        return earlier

    def accept(self, body: Mapping[str, Any], *, source: str = "api") -> TaskRecord:
        """Make a task and hold its price.

        Raises:
            Refusal: for an invalid request, too many active tasks or too few points; no task is made.
            UnknownFaultError: when the prompt asks for a fault that does not exist.
        """
        order = read_order(body)
        markers = markers_of(order.prompt)
        now = self.now()
        if len(self._open) >= self.settings.plan_limit:
            text = f"active task count {len(self._open)} has reached the plan limit"
            raise Refusal(self.settings.plan_limit_status, text, kind="plan-limit")
        cost = price(order.task_type, output_s=order.duration, input_s=order.input_video_s)
        if self.account.points < cost:
            raise Refusal(self.settings.credits_status, "insufficient credits", kind="credits")
        record = self._record(order, body=dict(body), source=source, markers=markers, cost=cost, now=now)
        self.account.points -= cost
        self.accepted[order.prompt] += 1
        self.tasks[record.task_id] = record
        heapq.heappush(self._open, (record.ends_at, record.number, record))
        self._save(record)
        return record

    def find(self, task_id: str) -> TaskRecord:
        """The task of that id.

        Raises:
            Refusal: with 404 when there is none.
        """
        record = self.tasks.get(task_id)
        if record is None:
            raise Refusal(404, "task not found", kind="not-found")
        return record

    def alter_charge(self, record: TaskRecord, points: int) -> None:
        """Charge something else than the price, behind the client's back; an open task, at its end."""
        self.now()
        if record.settled:
            self.account.points += record.charged - points
            record.charged = points
        else:
            record.ordered_charge = points
        self._save(record)

    def grant(self, points: int) -> None:
        """Set the points that are left."""
        self.account.grant(points)
        self.journal.save(notes={"account": self.account.model_dump()})

    def phase(self, record: TaskRecord) -> Phase:
        """Where a task stands now."""
        return record.phase(self.now())

    def keep(self, record: TaskRecord) -> None:
        """Write a changed task down."""
        self.journal.save([record])

    def _record(
        self,
        order: Order,
        *,
        body: dict[str, Any],
        source: str,
        markers: dict[str, int | None],
        cost: int,
        now: datetime,
    ) -> TaskRecord:
        earlier = self.accepted[order.prompt]
        struck = self._faults.first(Stage.OUTCOME, markers, earlier=earlier)
        outcome = Outcome(struck or "completed")
        if struck is None and order.audio_too_long:
            outcome = Outcome.AUDIO_TIMEOUT
        queued = self._jittered(self.settings.queue_seconds)
        rendering = self._jittered(self.settings.render_seconds) * _RENDER_SHARE.get(outcome, 0)
        starts_at = now + timedelta(seconds=queued)
        return TaskRecord(
            task_id=str(uuid.uuid4()),
            number=len(self.tasks) + 1,
            source=source,
            request=body,
            as_rendered=order.as_rendered,
            task_type=order.task_type,
            mode=order.mode,
            prompt=order.prompt,
            duration=order.duration,
            aspect_ratio=order.aspect_ratio,
            created_at=now,
            starts_at=starts_at,
            ends_at=starts_at + timedelta(seconds=rendering),
            outcome=outcome,
            price=cost,
            held=cost,
            markers=markers,
            quirks=self._faults.strike(Stage.TASK, markers, earlier=earlier),
        )

    def _settle(self, record: TaskRecord) -> None:
        record.settled = True
        self.account.points += record.held
        record.held = 0
        if record.outcome is Outcome.COMPLETED:
            record.charged = record.price if record.ordered_charge is None else record.ordered_charge
        else:
            record.charged = record.ordered_charge or 0
            if record.outcome is Outcome.MODERATION and self.settings.penalties:
                record.penalty = self.account.punish(record.price, record.ends_at)
        self.account.points -= record.charged + record.penalty
        self._save(record)

    def _jittered(self, seconds: float) -> float:
        return seconds * self._rng.uniform(1 - self.settings.jitter, 1 + self.settings.jitter)

    def _save(self, record: TaskRecord) -> None:
        self.journal.save([record], {"account": self.account.model_dump()})
