"""Reconciliation: a lost answer is looked for in the vendor's task history before anything is sent again.

An absence counts only when two clean readings a grace period apart agree, and when neither the account's
balance nor what the history was seen to list speaks against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from seedance_dagster.api.errors import UnknownPriceError
from seedance_dagster.api.wire import GenerationRequest, Task
from seedance_dagster.engine.account import OrdersMovedError, unexplained_points
from seedance_dagster.engine.lifecycle import task_columns
from seedance_dagster.engine.reconcile.history import LISTS_UNFINISHED, Reading, read_history
from seedance_dagster.engine.reconcile.matching import CLOCK_SKEW, match
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.errors import StaleOrderError, TaskOwnedError
from seedance_dagster.ledger.leases import LONGEST_DELAY
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.money import points_to_usd
from seedance_dagster.threads import in_thread

_LAG = timedelta(minutes=2)  # until the history should list a task
_LOOK_AGAIN = timedelta(seconds=60)
_WRONG_CLOCK = timedelta(days=1)  # a task that a clock wrong by hours puts elsewhere must not seem absent
_DOUBTFUL = (
    "a task without an order has the same text but other parameters, was made before the order, or does not "
    "tell its text"
)
_PRICE_CUT = 4  # promotions have halved prices and formulas; a few penalties are far less


@dataclass(frozen=True)
class ReconcileResult:
    """What a reconciliation came to; the rest stays uncertain, each with its reason in the ledger."""

    adopted: tuple[Order, ...] = ()
    freed: tuple[Order, ...] = ()
    uncertain: tuple[Order, ...] = ()


async def reconcile(worker: Worker, *, now: bool = False) -> ReconcileResult:
    """Settle uncertain orders against the vendor's history.

    Args:
        worker: The worker; its name goes into the journal.
        now: Look at all uncertain orders, not only at those that are due.
    """
    services = worker.services
    clock = services.clock()
    orders = [
        order
        for order in await in_thread(services.ledger.queries.find, states={State.UNCERTAIN})
        if now or order.due_at is None or not clock < order.due_at <= clock + LONGEST_DELAY
    ]
    if not orders:
        return ReconcileResult()
    # From the acceptance on: an earlier claim of the same order may have made a task as well.
    accepted = [order.ordered_at for order in orders]
    claimed = [order.claimed_at for order in orders if order.claimed_at is not None]
    reading = await read_history(
        worker,
        start=min(clock, *accepted) - _WRONG_CLOCK,
        end=max(clock, *accepted, *claimed) + _WRONG_CLOCK,
        old=min(accepted) - CLOCK_SKEW,
        lag=_LAG,
        types={order.task_type for order in orders},
    )
    return await _settle(worker, orders, reading)


async def adopt(worker: Worker, order: Order, task: Task, *, how: str) -> Order:
    """Give an uncertain order its task; raises `TaskOwnedError` or `StaleOrderError`."""
    services = worker.services
    return await in_thread(
        services.ledger.tasks.submitted,
        order,
        actor=worker.name,
        due_at=services.clock(),
        task=task_columns(task),
        how=how,
    )


async def _settle(worker: Worker, orders: Sequence[Order], reading: Reading) -> ReconcileResult:
    matches = match(orders, reading.tasks)
    settled: dict[str, list[Order]] = {"adopted": [], "freed": [], "uncertain": []}
    absent, raced = [], False
    for order in orders:
        task = matches.adopted.get(order.order_id)
        try:
            if task is not None:
                settled["adopted"].append(await adopt(worker, order, task, how="adopted"))
            elif reading.doubt is not None:
                settled["uncertain"].append(await _unknown(worker, order, reading.doubt))
            elif order.order_id in matches.doubtful:
                settled["uncertain"].append(await _unknown(worker, order, _DOUBTFUL))
            else:
                absent.append(order)
        except (StaleOrderError, TaskOwnedError):
            raced = True  # another worker settles at the same time
    if absent:
        adopted = {task.task_id for task in matches.adopted.values()}
        evidence = _Evidence(moved=True) if raced else await _evidence(worker, reading, adopted)
        for order in absent:
            try:
                freed, seen = await _absent(worker, order, reading, evidence)
            except StaleOrderError:
                continue
            settled["freed" if freed else "uncertain"].append(seen)
    return ReconcileResult(**{name: tuple(found) for name, found in settled.items()})


@dataclass(frozen=True)
class _Evidence:
    """What speaks for or against absences beside the history.

    Attributes:
        points: Points that left the account for no task that is known; None when it proves nothing.
        lists_unfinished: True when the history was seen to list tasks that were at work.
        moved: True when the account must be looked at again.
    """

    points: int | None = None
    lists_unfinished: bool = False
    moved: bool = False

    def against(self, least_points: int) -> str | None:
        """What speaks against the absence of a task that holds at least so much, in words."""
        if self.points is None:
            if self.lists_unfinished:
                return None
            return "the account's balance proves nothing, and the history never listed an unfinished task"
        if self.points >= least_points:
            return f"{points_to_usd(self.points)} USD left the account for no task that is known"
        return None


async def _evidence(worker: Worker, reading: Reading, adopted: set[str]) -> _Evidence:
    if reading.unseen_end:
        return _Evidence(moved=True)
    # What was adopted just now is an order's already.
    unmatched = [row for row in reading.unmatched if row.task_id not in adopted]
    try:
        points = await unexplained_points(worker, unmatched)
    except OrdersMovedError:
        return _Evidence(moved=True)
    lists_unfinished = bool(await in_thread(worker.services.ledger.observations.recall, LISTS_UNFINISHED))
    return _Evidence(points, lists_unfinished)


async def _absent(worker: Worker, order: Order, reading: Reading, evidence: _Evidence) -> tuple[bool, Order]:
    services = worker.services
    grace = timedelta(seconds=services.policy.grace_s)
    against = None if evidence.moved else evidence.against(_least_points(worker, order))
    if against is not None:
        return False, await _unknown(worker, order, against)
    since = order.absent_since
    if since is None or since > reading.at:  # the clock was put back
        since = reading.at
    if evidence.moved or since == reading.at or reading.at - since < grace:
        due_at = services.clock() + min(_LOOK_AGAIN, grace)
        return False, await in_thread(
            services.ledger.reconciliation.note_absence, order, due_at=due_at, since=since
        )
    reason = "no task was made: the history was read twice without it"
    now = services.clock()
    return True, await in_thread(
        services.ledger.claims.requeue, order, actor=worker.name, due_at=now, reason=reason
    )


def _least_points(worker: Worker, order: Order) -> int:
    """What a task of the order holds at least, in points: its output alone, far under the known price.

    Never a share of the estimate, which is an upper bound where the length of input videos is not known.
    """
    request = GenerationRequest.model_validate(order.request, strict=False)
    try:
        output = worker.services.prices.estimate(request.model_copy(update={"video_urls": None}))
    except UnknownPriceError:
        return 1
    return max(1, output.points // _PRICE_CUT)


async def _unknown(worker: Worker, order: Order, why: str) -> Order:
    services = worker.services
    due_at = services.clock() + min(_LOOK_AGAIN, timedelta(seconds=services.policy.grace_s))
    return await in_thread(services.ledger.reconciliation.note_doubt, order, due_at=due_at, reason=why)
