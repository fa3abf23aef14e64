"""The emulated vendor: it creates tasks, holds and charges points, and lets tasks progress."""

from __future__ import annotations

import heapq
import random
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from seedance_dagster.emulator.billing import Account
from seedance_dagster.emulator.fault_table import Stage
from seedance_dagster.emulator.faults import FaultInjector, markers_of
from seedance_dagster.emulator.outcomes import PENALIZED
from seedance_dagster.emulator.record import Outcome, TaskRecord
from seedance_dagster.emulator.responses import Refusal
from seedance_dagster.emulator.state_file import StateFile
from seedance_dagster.emulator.task_types import REMOVE_WATERMARK, price
from seedance_dagster.emulator.upload_store import UploadStore
from seedance_dagster.emulator.validation import TaskRequest, read_request, video_to_clean
from seedance_dagster.emulator.vendor_settings import EmulatorSettings
from seedance_dagster.emulator.watermarks import removal

_OUT_OF_CREDITS = 10002
# Share of the render time after which a task of this outcome ends; without one it ends in the queue.
_RENDER_SHARE = {
    Outcome.COMPLETED: 1.0,
    Outcome.MODERATION: 0.3,
    Outcome.COPYRIGHT: 0.3,
    Outcome.REAL_PERSON: 0.1,
    Outcome.VENDOR_TROUBLE: 1.0,
    Outcome.REFERENCE_LOST: 0.1,
    Outcome.UPLOAD_FAILED: 0.1,
    Outcome.EXPIRED: 1.0,
    Outcome.AUDIO_TIMEOUT: 2.0,
}


class Vendor:
    """Tasks, account and counters; no method waits.

    Tasks progress whenever a call reads the clock.
    """

    def __init__(
        self,
        settings: EmulatorSettings,
        *,
        clock: Callable[[], datetime],
        state: StateFile,
        faults: FaultInjector,
        uploads: UploadStore,
        rng: random.Random,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self._state = state
        self._faults = faults
        self._uploads = uploads
        self._rng = rng
        new_account = {"granted": settings.points, "points": settings.points}
        self.account = Account.model_validate(state.note("account", new_account))
        self.tasks = {record.task_id: record for record in state.tasks()}
        self.posts: Counter[str] = Counter(state.notes("posts:"))
        self.tasks_by_prompt = Counter(record.prompt for record in self.tasks.values())
        self.links = {link.token: record for record in self.tasks.values() for link in record.links}
        self._open = [(r.ends_at, r.number, r) for r in self.tasks.values() if not r.settled]
        heapq.heapify(self._open)
        self.undelivered = [r for r in self.tasks.values() if r.webhook["endpoint"] and not r.delivered]

    def now(self) -> datetime:
        """Return the present time, after settling the tasks that have ended by then."""
        now = self.clock().astimezone(UTC)
        while self._open and self._open[0][0] <= now:
            self._settle(heapq.heappop(self._open)[2])
        return now

    def active(self) -> int:
        """Return the number of tasks that are neither completed nor failed."""
        self.now()
        return len(self._open)

    def count_post(self, prompt: str) -> int:
        """Count a POST of this prompt and return the number of earlier ones."""
        earlier = self.posts[prompt]
        self.posts[prompt] += 1
        self._state.save(notes={f"posts:{prompt}": self.posts[prompt]})
        return earlier

    def create_task(self, body: Mapping[str, Any], *, source: str = "api") -> TaskRecord:
        """Create a task and hold its price.

        Raises:
            Refusal: The request is invalid, too many tasks are active, or the points are too few.
            UnknownFaultError: The prompt asks for an unknown fault.
        """
        now = self.now()
        link = video_to_clean(body)
        request = (
            read_request(body) if link is None else removal(link, self.links, now=now, settings=self.settings)
        )
        markers = markers_of(request.prompt)
        if len(self._open) >= self.settings.plan_limit:
            text = f"active task count {len(self._open)} has reached the plan limit"
            raise Refusal(self.settings.plan_limit_status, text, kind="plan-limit")
        cost = self._price(request, now)
        if self.account.points < cost:
            status = self.settings.credits_status
            raise Refusal(status, "insufficient credits", kind="credits", code=_OUT_OF_CREDITS)
        record = self._record(request, body=dict(body), source=source, markers=markers, cost=cost, now=now)
        self.account.points -= cost
        self.tasks_by_prompt[request.prompt] += 1
        self.tasks[record.task_id] = record
        heapq.heappush(self._open, (record.ends_at, record.number, record))
        if record.webhook["endpoint"]:
            self.undelivered.append(record)
        self._save_money(record)
        return record

    def find(self, task_id: str) -> TaskRecord:
        """Return the task with an id.

        Raises:
            Refusal: There is no such task (404).
        """
        record = self.tasks.get(task_id)
        if record is None:
            raise Refusal(404, "task not found", kind="not-found")
        return record

    def take_ended(self) -> list[TaskRecord]:
        """Return the tasks that have ended and whose webhook is to be called, each once."""
        if not self.undelivered:
            return []
        self.now()
        ended = [record for record in self.undelivered if record.settled]
        self.undelivered = [record for record in self.undelivered if not record.settled]
        for record in ended:
            record.delivered = True
        self._state.save(ended)
        return ended

    def alter_charge(self, record: TaskRecord, points: int) -> None:
        """Charge an amount other than the price; for an open task, at its end."""
        self.now()
        if record.settled:
            self.account.points += record.charged - points
            record.charged = points
        else:
            record.altered_charge = points
        self._save_money(record)

    def grant(self, points: int) -> None:
        """Set the points that are left."""
        self.account.grant(points)
        self._state.save(notes={"account": self.account.model_dump()})

    def save(self, record: TaskRecord) -> None:
        """Save a changed task."""
        self._state.save([record])

    def _price(self, request: TaskRequest, now: datetime) -> int:
        if request.task_type == REMOVE_WATERMARK:
            return self.settings.removal_points * request.duration
        return price(
            request.task_type,
            request.resolution,
            at=now,
            output_s=request.duration,
            input_s=request.input_video_s,
        )

    def _record(
        self,
        request: TaskRequest,
        *,
        body: dict[str, Any],
        source: str,
        markers: dict[str, int | None],
        cost: int,
        now: datetime,
    ) -> TaskRecord:
        earlier = self.tasks_by_prompt[request.prompt]
        fault = self._faults.first(Stage.OUTCOME, markers, earlier=earlier)
        outcome = Outcome(fault or "completed")
        if fault is None and request.audio_too_long:
            outcome = Outcome.AUDIO_TIMEOUT
        uploads_s = self.settings.upload_seconds
        lost = request.file_is_gone or self._uploads.lost(request.references, now, uploads_s)
        if fault is None and lost:
            outcome = Outcome.REFERENCE_LOST
        queued = self._jittered(self.settings.queue_seconds)
        rendering = self._jittered(self.settings.render_seconds) * _RENDER_SHARE.get(outcome, 0)
        starts_at = now + timedelta(seconds=queued)
        return TaskRecord(
            task_id=str(uuid.uuid4()),
            number=len(self.tasks) + 1,
            source=source,
            request=body,
            as_rendered=request.as_rendered,
            task_type=request.task_type,
            mode=request.mode,
            prompt=request.prompt,
            duration=request.duration,
            aspect_ratio=request.aspect_ratio,
            resolution=request.resolution,
            picture=request.picture,
            created_at=now,
            starts_at=starts_at,
            ends_at=starts_at + timedelta(seconds=rendering),
            outcome=outcome,
            price=cost,
            held=cost,
            markers=markers,
            quirks=self._faults.inject(Stage.TASK, markers, earlier=earlier),
        )

    def _settle(self, record: TaskRecord) -> None:
        record.settled = True
        self.account.points += record.held
        record.held = 0
        if record.outcome is Outcome.COMPLETED:
            record.charged = record.price if record.altered_charge is None else record.altered_charge
        else:
            record.charged = record.altered_charge or 0
            if record.outcome in PENALIZED and self.settings.penalties:
                record.penalty = self.account.penalize(record.price, record.ends_at)
        self.account.points -= record.charged + record.penalty
        self._save_money(record)

    def _jittered(self, seconds: float) -> float:
        return seconds * self._rng.uniform(1 - self.settings.jitter, 1 + self.settings.jitter)

    def _save_money(self, record: TaskRecord) -> None:
        self._state.save([record], {"account": self.account.model_dump()})
