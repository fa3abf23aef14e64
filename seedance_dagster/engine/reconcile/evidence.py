"""Evidence beside the history for or against the absence of a task: the account's balance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from seedance_dagster.api.errors import UnknownPriceError
from seedance_dagster.api.wire import GenerationRequest, HistoryRow
from seedance_dagster.engine.account import BALANCE, BALANCE_OUTFLOW, read_account
from seedance_dagster.engine.reconcile.history import LISTS_UNFINISHED, HistoryScan
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.order import Order
from seedance_dagster.money import points_to_usd
from seedance_dagster.threads import in_thread

_CLOCKS_APART = timedelta(seconds=10)  # within it the order of two events on two clocks is unknown
_PRICE_CUT = 4  # promotions have halved prices and formulas; a few penalties are far less


class OrdersAddressError(Exception):
    """Orders moved while the balance was read, so it proves nothing this time."""


@dataclass(frozen=True)
class Evidence:
    """Evidence outside the history that supports or contradicts an absence.

    Attributes:
        points: Points that left the account for no known task; None when the balance proves nothing.
        lists_unfinished: True when the history was seen to list running tasks.
        moved: True when orders moved meanwhile, so that the account must be read again.
    """

    points: int | None = None
    lists_unfinished: bool = False
    moved: bool = False

    def against(self, least_points: int) -> str | None:
        """Return what contradicts the absence of a task that holds at least so many points, if anything."""
        if self.points is None:
            if self.lists_unfinished:
                return None
            return "the account's balance proves nothing, and the history never listed an unfinished task"
        if self.points >= least_points:
            return f"{points_to_usd(self.points)} USD left the account for no task that is known"
        return None


async def gather_evidence(worker: Worker, scan: HistoryScan, adopted: set[str]) -> Evidence:
    """Gather the evidence for a scan of the history, after some of its tasks were adopted."""
    if scan.unseen_end:
        return Evidence(moved=True)
    unmatched = [row for row in scan.unmatched if row.task_id not in adopted]
    try:
        points = await unexplained_points(worker, unmatched)
    except OrdersAddressError:
        return Evidence(moved=True)
    lists_unfinished = bool(await in_thread(worker.services.ledger.observations.recall, LISTS_UNFINISHED))
    return Evidence(points, lists_unfinished)


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
        OrdersAddressError: The numbers must be read again.
    """
    ledger = worker.services.ledger
    remembered = await in_thread(ledger.observations.recall, BALANCE, BALANCE_OUTFLOW)
    before = await in_thread(ledger.workload.flow)
    account = await read_account(worker)
    if account is None or account.points_remaining is None or remembered.keys() < {BALANCE, BALANCE_OUTFLOW}:
        return None
    if before.claimed or await in_thread(ledger.workload.flow) != before:
        raise OrdersAddressError
    balance, outflow = remembered[BALANCE], remembered[BALANCE_OUTFLOW]
    explained, undated = before.outflow - outflow.value, 0
    for row in unmatched:
        if row.created_at is None or abs(row.created_at - balance.at) < _CLOCKS_APART:
            undated += row.points or 0
        elif row.created_at > balance.at:
            explained += row.points or 0
    unexplained = balance.value - account.points_remaining - explained
    return unexplained if unexplained >= 0 and not (undated and unexplained) else None


def least_points(worker: Worker, order: Order) -> int:
    """Return what a task of the order holds at least, in points: its output alone, far under the known price.

    Never a share of the estimate, which is an upper bound where the length of input videos is not known.
    """
    request = GenerationRequest.model_validate(order.request, strict=False)
    try:
        output = worker.services.prices.estimate(request.model_copy(update={"video_urls": None}))
    except UnknownPriceError:
        return 1
    return max(1, output.points // _PRICE_CUT)
