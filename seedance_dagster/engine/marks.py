"""Marks: the text in each POST by which its task can be recognized, and whether the vendor gives it back.

The latter is learned from tasks whose reply arrived, account by account: no echo is expected before one was
seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from seedance_dagster.api.webhook import make_mark, order_of
from seedance_dagster.api.wire import Task
from seedance_dagster.engine.account import of_account
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.order import Order

MARKS = "marks"
"""Observation of an account: what the last known task echoed, a number of `MarkEcho`."""


class MarkEcho(IntEnum):
    """The mark that known tasks of an account were seen to echo."""

    WRONG = -1
    """Another order's mark, at least once: marks prove nothing on this account, for good."""
    NONE = 0
    OWN = 1


def mark_of_post(worker: Worker, order: Order) -> str | None:
    """Return the mark of a claimed order's POST; None where POSTs carry none."""
    if not worker.client.sends_marks:
        return None
    identity = worker.services.ledger.identity
    return make_mark(identity.ledger_id, order.order_id, order.claimed_at or order.ordered_at)


def mark_echo(worker: Worker) -> MarkEcho:
    """Return whose mark known tasks of the account echo."""
    name = of_account(MARKS, worker)
    observed = worker.services.ledger.observations.recall(name).get(name)
    return MarkEcho.NONE if observed is None else MarkEcho(observed.value)


def marks_prove(worker: Worker, tasks: Iterable[Task]) -> bool:
    """Return True where the marks of tasks that no order owns prove which orders made them.

    The account's known tasks must give back their own marks. None of the tasks in question may give back the
    mark of a POST that is known to have made another task: the vendor may keep one address for the whole
    account.
    """
    if mark_echo(worker) is not MarkEcho.OWN:
        return False
    ledger = worker.services.ledger
    marks = {task.mark for task in tasks if task.mark is not None}
    numbers = (order_of(mark, ledger.identity.ledger_id) for mark in marks)
    named = ledger.queries.get_many([number for number in numbers if number is not None])
    return not any(order.task_id is not None and order.mark in marks for order in named)


def remember_mark(worker: Worker, order: Order, task: Task) -> None:
    """Remember whose mark an order's task echoes, if the POST's own reply named the task."""
    if order.mark is None or order.lost_at is not None:
        return
    echoes = {order.mark: MarkEcho.OWN, None: MarkEcho.NONE}
    seen, known = echoes.get(task.mark, MarkEcho.WRONG), mark_echo(worker)
    if known not in (seen, MarkEcho.WRONG):
        worker.services.ledger.observations.remember({of_account(MARKS, worker): seen})
