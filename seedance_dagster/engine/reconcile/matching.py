"""Matching of the vendor's tasks to the orders whose reply was lost, as pure functions.

A task that gives back the mark of an order's POST is the order's, and no other's. Without a mark, a task is
adopted when it was made while the order's POST was under way, renders exactly what was sent, and
leaves no choice. Any other task that may be the order's is a doubt, and a person decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from seedance_dagster.api.echo import letters, undo
from seedance_dagster.api.limits import Limits
from seedance_dagster.api.values import whole_number
from seedance_dagster.api.webhook import order_of
from seedance_dagster.api.wire import GenerationRequest, Mode, Task
from seedance_dagster.engine.reconcile.clocks import Window
from seedance_dagster.engine.reconcile.removals import OWN_COPY, may_be_removal, removal_differences
from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.references import sent_fields
from seedance_dagster.net.redaction import strip_query
from seedance_dagster.net.secrets import without_secrets
from seedance_dagster.prompts.links import unsigned_link

_REFERENCES = ("image_urls", "video_urls", "audio_urls")
_SHOWN = 5
_ECHOED = ("prompt", "mode", "duration", "aspect_ratio", "resolution", "audio", *_REFERENCES)


@dataclass(frozen=True)
class Lost:
    """An order whose reply was lost.

    Attributes:
        window: When its task was made, by the vendor's clock.
        widest: The same if the clocks differ as much as is considered possible.
        doubtful_from: The time from which a task of its text is in doubt, if it is not in the window.
    """

    order: Order
    window: Window
    widest: Window
    doubtful_from: datetime

    @property
    def order_id(self) -> int:
        """The order's id."""
        return self.order.order_id


@dataclass(frozen=True)
class Matches:
    """The result of matching.

    Attributes:
        adopted: Task by order id, one to one.
        doubts: By order id, tasks that may be the order's, though it cannot be decided whose they are.
    """

    adopted: dict[int, Task]
    doubts: dict[int, tuple[Task, ...]]


@dataclass(frozen=True)
class Matcher:
    """A comparison of tasks with orders.

    Attributes:
        limits: The vendor's defaults.
        changes: Changes that the vendor was seen to make to the account's texts: names of `TEXT_CHANGES`.
        ledger_id: The orders' ledger; other ledgers have marks of their own.
        marks_echoed: True if known tasks of the account give back their marks; otherwise marks prove nothing.
    """

    limits: Limits
    changes: frozenset[str] = frozenset()
    ledger_id: str = ""
    marks_echoed: bool = False

    def mark(self, task: Task) -> str | None:
        """Return the mark that a task gives back, where marks prove anything."""
        return task.mark if self.marks_echoed else None

    def differences(self, task: Task, order: Order) -> list[str]:
        """Return the fields in which a task differs from an order; none when it renders the order exactly."""
        if order.source_order_id is not None:
            return removal_differences(task, order)
        request = _sent_request(order)
        files = {fact["sent_url"] for fact in order.reference_facts or () if fact.get("sent_url")}
        sent = self._fields(request.to_wire()["input"], request.task_type)
        echoed = self._fields(task.input, request.task_type)
        other_type = [] if task.is_of_type(request.task_type) else ["task_type"]
        return other_type + [name for name in sent if not self._equal(name, sent[name], echoed[name], files)]

    def match(self, lost: Sequence[Lost], tasks: Sequence[Task]) -> Matches:
        """Pair orders with tasks that no order owns.

        Orders of one request take its tasks one to one by their times: which order takes which task makes no
        difference. If there are more tasks than orders, one may be another program's, and none is taken.

        Args:
            lost: Orders whose reply was lost.
            tasks: Tasks that no order owns, as read one by one.
        """
        adopted = self._by_mark(lost, tasks)
        unmarked = [task for task in tasks if self.mark(task) is None]
        pairs: dict[int, Task] = {}
        for equal in self._by_request(
            [lost_order for lost_order in lost if lost_order.order_id not in adopted]
        ):
            pairs |= self._pair(equal, unmarked)
        # References that are echoed as copies may make one task fit two requests.
        claims = Counter(task.task_id for task in pairs.values())
        adopted |= {order_id: task for order_id, task in pairs.items() if claims[task.task_id] == 1}
        taken = {task.task_id for task in adopted.values()}
        doubts: dict[int, tuple[Task, ...]] = {}
        for lost_order in lost:
            near = tuple(
                task for task in tasks if task.task_id not in taken and self._in_doubt(task, lost_order)
            )
            if near and lost_order.order_id not in adopted:
                doubts[lost_order.order_id] = near
        return Matches(adopted, doubts)

    def rewritten(self, lost: Lost, tasks: Sequence[Task]) -> tuple[Task, ...]:
        """Return the tasks from the time of an order's POST that differ from it only in their text."""
        return tuple(
            task
            for task in tasks
            if (task.created_at is None or lost.widest.contains(task.created_at))
            and not self.is_marked_for_another(task, lost.order)
            and self.differences(task, lost.order) == ["prompt"]
        )

    def is_marked_for_another(self, task: Task, order: Order) -> bool:
        """Return True for a task that was made by the POST of another order, or of another ledger."""
        mark = self.mark(task)
        return mark is not None and order_of(mark, self.ledger_id) != order.order_id

    def _by_mark(self, lost: Sequence[Lost], tasks: Sequence[Task]) -> dict[int, Task]:
        """Return the task that gives back the mark of each order's POST, where exactly one does."""
        by_mark: dict[str | None, list[Task]] = {}
        for task in tasks:
            by_mark.setdefault(self.mark(task), []).append(task)
        marked = {
            lost_order.order_id: by_mark.get(lost_order.order.mark, [])
            for lost_order in lost
            if lost_order.order.mark
        }
        return {
            order_id: marked_tasks[0] for order_id, marked_tasks in marked.items() if len(marked_tasks) == 1
        }

    def _in_doubt(self, task: Task, lost: Lost) -> bool:
        """Return True when a task may be an order's, though the order does not take it."""
        if self.mark(task) is None:
            return may_be(task, lost)
        # A marked one may be from another POST of the same order, which was believed to have made nothing.
        return not self.is_marked_for_another(task, lost.order)

    def _lacks_mark(self, order: Order) -> bool:
        """Return True where a task without a mark is hardly the order's, though an echo may be missing."""
        return self.marks_echoed and order.mark is not None

    def _pair(self, equal: Sequence[Lost], tasks: Sequence[Task]) -> dict[int, Task]:
        """Pair orders of one request with its tasks; pair none if that would take a choice."""
        free = [lost_order for lost_order in equal if not self._lacks_mark(lost_order.order)]
        candidates: list[tuple[datetime, Task]] = []
        for task in tasks:
            in_time = [
                lost_order for lost_order in free if may_be(task, lost_order) and _in_window(task, lost_order)
            ]
            if not in_time:
                continue
            different = self.differences(task, in_time[0].order)
            if task.created_at is not None and not different:
                candidates.append((task.created_at, task))
            elif set(different) <= {"prompt"} or prompt_of(task) is None:
                return {}  # perhaps ours, its echo changed in a way that is not known
        if len(candidates) > len(free):
            return {}
        pairs: dict[int, Task] = {}
        free.sort(key=lambda lost_order: (lost_order.window.end, lost_order.order_id))
        for created_at, task in sorted(candidates, key=lambda pair: (pair[0], pair[1].task_id)):
            suitable = next(
                (lost_order for lost_order in free if lost_order.window.contains(created_at)), None
            )
            if suitable is None:
                return {}
            free.remove(suitable)
            pairs[suitable.order_id] = task
        return pairs

    def _by_request(self, lost: Sequence[Lost]) -> Iterator[list[Lost]]:
        """Yield the orders of each request; spelling out a default makes no other request."""
        groups: dict[str, list[Lost]] = {}
        for lost_order in lost:
            groups.setdefault(self._key(lost_order.order), []).append(lost_order)
        yield from groups.values()

    def _key(self, order: Order) -> str:
        if order.source_order_id is not None:
            return repr((order.task_type, unsigned_link(str(order.source_url))))
        request = _sent_request(order)
        return repr((request.task_type, self._fields(request.to_wire()["input"], request.task_type)))

    def _fields(self, fields: Mapping[str, Any], task_type: str) -> dict[str, Any]:
        """Return the fields of a request or an echo, with the vendor's defaults filled in."""
        values: dict[str, Any] = {name: fields.get(name) for name in _ECHOED}
        values = {name: None if value in ("", []) else value for name, value in values.items()}
        defaults: dict[str, Any] = {
            "aspect_ratio": self.limits.default_aspect_ratio,
            "resolution": self.limits.resolution_of(task_type),
            "audio": True,
            "duration": GenerationRequest.model_fields["duration"].default,
        }
        values |= {name: default for name, default in defaults.items() if values[name] is None}
        values["duration"] = whole_number(values["duration"])
        if values["mode"] == Mode.FIRST_LAST_FRAMES:
            values["aspect_ratio"] = None  # the first image decides it
        return values

    def _equal(self, name: str, sent: Any, echoed: Any, files: Collection[str]) -> bool:
        if name in _REFERENCES:
            ours, theirs = list(sent or ()), echoed if isinstance(echoed, list) else [echoed] * bool(echoed)
            return len(ours) == len(theirs) and all(
                self._same_reference(*pair, files) for pair in zip(ours, theirs, strict=True)
            )
        return bool(self._plain(sent) == self._plain(echoed))

    def _same_reference(self, sent: str, echoed: Any, files: Collection[str]) -> bool:
        is_copy = isinstance(echoed, str) and echoed.startswith(OWN_COPY)
        # Links to files are kept without their query, which may hold a signature.
        is_file = sent in files and isinstance(echoed, str) and strip_query(echoed) == sent
        return is_copy or is_file or bool(self._plain(sent) == self._plain(echoed))

    def _plain(self, value: Any) -> Any:
        return undo(without_secrets(value), self.changes) if isinstance(value, str) else value


def _sent_request(order: Order) -> GenerationRequest:
    return GenerationRequest.model_validate(sent_fields(order), strict=False)


def may_be(task: Task, lost: Lost) -> bool:
    """Return True when a task may be an order's: neither its time nor its letters exclude that."""
    if task.created_at is not None and task.created_at < lost.doubtful_from:
        return False
    if lost.order.source_order_id is not None:
        return may_be_removal(task, lost.order)
    text = prompt_of(task)
    if text is None:
        return task.is_of_type(lost.order.task_type)
    return letters(text) == letters(without_secrets(lost.order.request["prompt"]))


def prompt_of(task: Task) -> str | None:
    """Return the text that a task renders; None when it reports none."""
    text = task.input.get("prompt")
    return text if isinstance(text, str) and text.strip() else None


def describe(tasks: Collection[Task]) -> str:
    """Return some tasks in words: their ids and times."""
    shown = sorted(tasks, key=_made)[:_SHOWN]
    texts = [f"{task.task_id} of {_time(task)}" for task in shown]
    more = len(tasks) - len(shown)
    return ", ".join(texts) + (f" and {more} more" if more else "")


def _in_window(task: Task, lost: Lost) -> bool:
    return task.created_at is None or lost.window.contains(task.created_at)


def _made(task: Task) -> tuple[float, str]:
    return task.created_at.timestamp() if task.created_at else 0.0, task.task_id


def _time(task: Task) -> str:
    return f"{task.created_at:%Y-%m-%d %H:%M:%S} UTC" if task.created_at else "an unknown time"
