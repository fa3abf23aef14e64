"""Planning of a restoration, task by task; nothing is written here.

A manifest says most about an order, then an event in Dagster, then the content of the task. A backup's orders
for which no task is found are left to reconciliation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.api.webhook import order_of
from seedance_dagster.api.wire import Task
from seedance_dagster.audit.evidence import NotRepairableError
from seedance_dagster.engine.reconcile.clocks import UNKNOWN
from seedance_dagster.ledger.order import Order, Reported, State
from seedance_dagster.restore.attempts import Attempts, reserved_attempts
from seedance_dagster.restore.content import ContentMatcher
from seedance_dagster.restore.ordered import (
    PromptTake,
    order_columns,
    state_columns,
    take_in_event,
    takes_of,
    task_columns_of,
)
from seedance_dagster.restore.plan import NotRestored, Plan, PlannedOrder
from seedance_dagster.restore.remains import Remains, TaskRemains
from seedance_dagster.restore.stored import ExpectedMetadata, stored_columns

UNSENT = frozenset({State.QUEUED, State.CLAIMED, State.UNCERTAIN})
"""States in which a backup does not know whether a task was made since."""

_WITHOUT_VIDEO = frozenset({State.REJECTED, State.FAILED})
_OF_A_PLACEMENT = ("booked_at", "retries")


@dataclass
class Planner:
    """A planner that decides how each task is restored.

    Attributes:
        remains: The remains of the orders.
        expected: Returns the metadata that the materialization of a stored order should have.
        catalog: Prices and limits.
        since: When the ledger was last written (UTC); None for one that holds nothing.
        now: UTC.
        ledger_id: The ledger's id, which is in the marks of its POSTs.
    """

    remains: Remains
    expected: ExpectedMetadata
    catalog: Catalog
    since: datetime | None
    now: datetime
    ledger_id: str = ""
    _orders: list[PlannedOrder] = field(default_factory=list)
    _not_restored: list[NotRestored] = field(default_factory=list)
    _moved: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Index the remains."""
        rows = self.remains.orders
        self._owners = {order.task_id: order for order in rows if order.task_id is not None}
        self._attempts = Attempts(rows)
        self._prompts = list(takes_of(self.remains.sets))
        self._by_fingerprint: defaultdict[str, list[PromptTake]] = defaultdict(list)
        for prompt in self._prompts:
            self._by_fingerprint[prompt.fingerprint].append(prompt)
        self._answered = {
            (row.fingerprint, row.take, row.scope) for row in rows if row.state not in _WITHOUT_VIDEO
        }

    def plan(self) -> Plan:
        """Return the plan."""
        remaining = [task for task in self.remains.tasks if not self._restore_stored(task)]
        remaining = [task for task in remaining if not self._restore_reported(task)]
        for order in reserved_attempts(self.remains, self._prompts, self._attempts, self.catalog, self.now):
            self._orders.append(order)
        self._restore_by_content(remaining)
        self._doubt_the_unsent()
        return Plan(tuple(self._orders), tuple(self._not_restored), self.remains.problem)

    def _restore_stored(self, task: TaskRemains) -> bool:
        """Restore a task's order from its manifest; return False where that is not possible."""
        if task.manifest is None:
            return False
        try:
            columns, source = stored_columns(task, task.manifest, self.expected)
        except NotRepairableError as error:
            location = self.remains.bucket + task.manifest.manifest_key
            self._leave(location, f"the video of task {task.task_id}: {error}", task)
            return False
        if task.task is not None:
            columns["account"] = self.remains.account
        reported = None if task.video is None else Reported.STORED
        self._add(task, State.STORED, columns, source, reported or _submission(task))
        return True

    def _restore_reported(self, task: TaskRemains) -> bool:
        """Restore an order from the event that Dagster has of it; return False where it says too little."""
        recorded = take_in_event(task, self._by_fingerprint)
        if recorded is None:
            return False
        prompt, attempt = recorded
        if prompt.request.remove_watermark:
            message = f"{_name(prompt)}: removing its watermark; a new order pays for that alone"
            self._leave(f"task {task.task_id}", message, task)
            return True
        source = "Dagster's event" if task.task is None else "Dagster's event and the vendor's task"
        self._restore(task, prompt, attempt, source)
        return True

    def _restore(self, task: TaskRemains, prompt: PromptTake, attempt: int, source: str) -> None:
        columns = order_columns(
            prompt,
            task,
            attempt=attempt,
            account=self.remains.account,
            catalog=self.catalog,
            now=self.now,
        )
        row = self._attempts.row(columns)
        if row is not None and row.state in UNSENT:
            columns = task_columns_of(task, self.remains.account, self.now)
            self._move(row, task, State.SUBMITTED, columns, source)
            return
        state, columns = state_columns(columns, task, now=self.now)
        if task.task is None:
            self._leave(f"task {task.task_id}", f"{_name(prompt)}: {columns['error_message']}", task)
        self._add(task, state, columns, source, _submission(task))

    def _add(
        self,
        task: TaskRemains,
        state: State,
        columns: Mapping[str, Any],
        source: str,
        reported: Reported | None,
    ) -> None:
        """Plan an order for a task, as a new row or in place of an open one."""
        row = self._owners.get(task.task_id) or self._attempts.row(columns)
        if row is not None and (row.state in UNSENT or row.task_id == task.task_id):
            kept = {name: value for name, value in columns.items() if name not in _OF_A_PLACEMENT}
            self._move(row, task, state, kept, source)
        elif not self._attempts.reserve(columns):
            attempt = f"attempt {columns['attempt']} of {columns['prompt_set']}/{columns['partition']}"
            self._leave(f"task {task.task_id}", f"{attempt} has another task as well", task)
        else:
            if state not in _WITHOUT_VIDEO:
                self._answered.add((columns["fingerprint"], columns["take"], columns["scope"]))
            planned = PlannedOrder(
                state=state, columns=columns, source=source, reported=reported, points=task.points
            )
            self._orders.append(planned)

    def _move(
        self, row: Order, task: TaskRemains, state: State, columns: Mapping[str, Any], source: str
    ) -> None:
        if row.order_id in self._moved:
            self._leave(f"task {task.task_id}", f"order {row.order_id} has another task as well", task)
            return
        self._moved.add(row.order_id)
        planned = PlannedOrder(state=state, columns=columns, source=source, row=row, points=task.points)
        self._orders.append(planned)

    def _restore_by_content(self, tasks: list[TaskRemains]) -> None:
        """Restore the tasks that render the request of a prompt, and note all others as not restored."""
        matcher = ContentMatcher(self.catalog.limits, self._prompts)
        unsent = [row for row in self.remains.orders if row.state in UNSENT]
        unsent = [row for row in unsent if row.order_id not in self._moved]
        for task in tasks:
            if task.task is None:
                self._leave(f"task {task.task_id}", "the vendor no longer knows it", task)
                continue
            if self._was_known(task):
                continue
            own = [row for row in unsent if matcher.renders(task.task, row)]
            marked = [row for row in own if self._is_marked(task.task, row)]
            if marked:
                columns = task_columns_of(task, self.remains.account, self.now)
                self._move(marked[0], task, State.SUBMITTED, columns, "the vendor's task, by its mark")
            if own:
                unsent.remove((marked or own)[0])  # reconciliation finds a task without a mark
                continue
            candidates = matcher.candidates(task.task)
            free = [prompt for prompt in candidates if not self._is_answered(prompt)]
            if not candidates:
                self._leave(f"task {task.task_id}", f"{_description(task)}; no prompt asks for it", task)
                continue
            prompt = (free or candidates)[0]
            source = "the vendor's task, which renders what the prompt asks for"
            self._restore(task, prompt, self._attempts.next(prompt.fingerprint, prompt.take), source)

    def _is_marked(self, task: Task, row: Order) -> bool:
        """Return True where a task carries the mark of a POST of an order, of any of its claims."""
        return task.mark is not None and order_of(task.mark, self.ledger_id) == row.order_id

    def _was_known(self, task: TaskRemains) -> bool:
        """Return True for a task older than the backup, in which no order owns it."""
        at = task.created_at
        return self.since is not None and at is not None and at < self.since - UNKNOWN

    def _is_answered(self, prompt: PromptTake) -> bool:
        return (prompt.fingerprint, prompt.take, prompt.scope) in self._answered

    def _doubt_the_unsent(self) -> None:
        """Leave the other unsent orders to reconciliation: a task may have been made since the backup."""
        for row in self.remains.orders:
            if row.state not in UNSENT or row.order_id in self._moved:
                continue
            sent_at = self.since if row.state is State.QUEUED else row.sent_at or row.claimed_at
            columns = {
                "sent_at": sent_at or row.ordered_at,
                "lost_at": self.now,
                "due_at": self.now,
                "absent_since": None,
                "error_message": "its ledger was restored, and its task may have been made since the backup",
            }
            source = f"{row.state} in the backup; the vendor's history decides what became of it"
            planned = PlannedOrder(
                state=State.UNCERTAIN, columns=columns, source=source, row=row, points=row.reserved_points
            )
            self._orders.append(planned)

    def _leave(self, location: str, message: str, task: TaskRemains) -> None:
        self._not_restored.append(NotRestored(location=location, message=message, points=task.points))


def _submission(task: TaskRemains) -> Reported | None:
    return None if task.submitted is None else Reported.SUBMITTED


def _name(prompt: PromptTake) -> str:
    return f"{prompt.prompt_set}/{prompt.partition}"


def _description(task: TaskRemains) -> str:
    """Return a task's type, state and time in words."""
    assert task.task is not None
    at = "at an unknown time" if task.created_at is None else f"{task.created_at:%Y-%m-%d %H:%M} UTC"
    return f"{task.task.task_type or 'unknown task type'}, {task.task.raw_status}, created {at}"
