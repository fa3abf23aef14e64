"""Evidence for or against the absence of a task: the reach of a complete history, and the account's balance.

Only the history can prove that no task was made. The balance can only contradict it: payments, refunds and
other programs move it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from seedance_dagster.api.errors import UnknownPriceError
from seedance_dagster.api.wire import GenerationRequest, HistoryRow
from seedance_dagster.engine.account import BALANCE, BALANCE_OUTFLOW, of_account, read_account
from seedance_dagster.engine.reconcile.clocks import Window
from seedance_dagster.engine.reconcile.history import HistoryScan
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.order import Order
from seedance_dagster.money import usd_text
from seedance_dagster.threads import in_thread

_CLOCKS_APART = timedelta(seconds=10)  # within it the order of two events on two clocks is unknown
_PRICE_CUT = 4  # promotions have halved prices and formulas; a few penalties are far less


class OrdersMovedError(Exception):
    """Orders moved while the balance was read, so it proves nothing this time."""


@dataclass(frozen=True)
class Patience:
    """The time that the vendor may take for a task of one type.

    Attributes:
        task_type: The type.
        grace: The time between two scans that prove an absence.
        seed: The time allowed while no task of the type has ended: a queue may last for all the peak hours.
        longest: The longest time that a task of the type took on the account; None when none has ended yet.
    """

    task_type: str
    grace: timedelta
    seed: timedelta
    longest: timedelta | None = None

    @property
    def task(self) -> timedelta:
        """The time from its POST until a task has probably ended and is listed in any history."""
        return self.seed if self.longest is None else max(2 * self.longest, self.grace)

    @property
    def over(self) -> timedelta:
        """The same with a wide margin: afterwards nothing more is expected."""
        return max(self.task, self.seed)

    def __str__(self) -> str:
        known = (
            f"the longest on this account took {format_span(self.longest)}"
            if self.longest
            else "none has ended on this account yet"
        )
        return f"a {self.task_type} task may take {format_span(self.over)} ({known})"


def format_span(length: timedelta) -> str:
    """Return a length of time in words, rounded up to minutes."""
    minutes = -(-int(length.total_seconds()) // 60)
    hours, minutes = divmod(minutes, 60)
    return " ".join([f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes or not hours))


async def read_patience(worker: Worker, task_types: Iterable[str]) -> dict[str, Patience]:
    """Return how long the vendor may take, by task type, from the times it has taken on the account."""
    policy = worker.services.policy
    grace, seed = timedelta(seconds=policy.grace_s), timedelta(seconds=policy.stale_after_s)
    ledger = worker.services.ledger
    longest = await in_thread(ledger.reconciliation.longest_tasks, worker.client.account_name)
    return {name: Patience(name, grace, seed, longest.get(name)) for name in task_types}


def unproved(  # noqa: PLR0911  a table reads best flat
    scan: HistoryScan, window: Window, now: datetime, patience: Patience
) -> str | None:
    """Return the reason why a scan does not prove that nothing was made in a window; None when it does.

    Args:
        scan: The scan.
        window: The time in question, by the vendor's clock.
        now: The vendor's time.
        patience: How long the vendor may take for such a task.
    """
    if scan.doubt is not None:
        return scan.doubt
    if scan.unlisted is not None:
        return f"the history does not list task {scan.unlisted}, which exists"
    if scan.misdated is not None:
        return (
            f"the history dates task {scan.misdated} otherwise than the task itself: its times prove nothing"
        )
    # Two scans a grace period apart must reach this far: then a history that forgets by age held the window.
    if scan.first is None or scan.first > window.start + patience.grace:
        return f"the history lists no task from before {window.start:%Y-%m-%d %H:%M:%S} UTC"
    over_at = window.end + patience.over
    if now > over_at:
        return None
    if scan.last is None or scan.last <= window.end:
        missing = f"the history lists no task from after {window.end:%Y-%m-%d %H:%M:%S} UTC yet"
    elif not scan.lists_unfinished:
        missing = "the history never listed an unfinished task, so the order's own may be running"
    else:
        return None
    return f"{missing}; nothing more is expected after {over_at:%Y-%m-%d %H:%M} UTC, since {patience}"


@dataclass(frozen=True)
class BalanceEvidence:
    """The balance as evidence against an absence.

    Attributes:
        points: Points that left the account for no known task; None when the balance says nothing.
        moved: True when orders moved meanwhile, so that the account must be read again.
    """

    points: int | None = None
    moved: bool = False

    def against(self, least_points: int) -> str | None:
        """Return the contradiction to the absence of a task of at least `least_points`, if there is one."""
        if self.points is not None and self.points >= least_points:
            return f"{usd_text(self.points)} left the account for no task that is known"
        return None


async def read_balance(worker: Worker, scan: HistoryScan, adopted: set[str]) -> BalanceEvidence:
    """Compare the balance with a scan of the history, after some of its tasks were adopted."""
    if scan.unseen_end:
        return BalanceEvidence(moved=True)
    unmatched = [row for row in scan.unmatched if row.task_id not in adopted]
    try:
        return BalanceEvidence(await unexplained_points(worker, unmatched))
    except OrdersMovedError:
        return BalanceEvidence(moved=True)


async def unexplained_points(worker: Worker, unmatched: Sequence[HistoryRow]) -> int | None:
    """Return the points that left the account for no known task: an unknown task may hold them.

    Args:
        worker: The worker that reads the account.
        unmatched: Tasks in the vendor's history that no order owns; what they took is explained.

    Returns:
        The points; None when the numbers prove nothing: the account does not report its balance, there is
        more than there should be, such as after a payment into it, or an unmatched task of about the time of
        the remembered balance may have taken what is missing.

    Raises:
        OrdersMovedError: The numbers must be read again.
    """
    ledger = worker.services.ledger
    names = of_account(BALANCE, worker), of_account(BALANCE_OUTFLOW, worker)
    remembered = await in_thread(ledger.observations.recall, *names)
    before = await in_thread(ledger.workload.flow, worker.client.account_name)
    account = await read_account(worker)
    if account is None or account.points_remaining is None or len(remembered) < len(names):
        return None
    if before.claimed or await in_thread(ledger.workload.flow, worker.client.account_name) != before:
        raise OrdersMovedError
    balance, outflow = (remembered[name] for name in names)
    explained, undated = before.outflow - outflow.value, 0
    for row in unmatched:
        if row.created_at is None or abs(row.created_at - balance.at) < _CLOCKS_APART:
            undated += row.points or 0
        elif row.created_at > balance.at:
            explained += row.points or 0
    unexplained = balance.value - account.points_remaining - explained
    return unexplained if unexplained >= 0 and not (undated and unexplained) else None


def least_points(worker: Worker, order: Order) -> int:
    """Return the fewest points that a task of the order may hold: for its output, far below the known price.

    Never a share of the estimate, which is an upper bound where the length of input videos is not known.
    """
    if order.source_order_id is not None:
        return max(1, order.estimated_points // _PRICE_CUT)
    request = GenerationRequest.model_validate(order.request, strict=False)
    try:
        catalog = worker.services.load_catalog()
        output = catalog.estimate(request.model_copy(update={"video_urls": ()}), at=order.ordered_at)
    except UnknownPriceError:
        return 1
    return max(1, output.points // _PRICE_CUT)
