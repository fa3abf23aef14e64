"""Judgements on what needs attention: one answer for the checks in Dagster, `status` and the audit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

from seedance_dagster.api.prices import ANY_RESOLUTION
from seedance_dagster.api.refusals import FailureClass
from seedance_dagster.counting import counted
from seedance_dagster.ledger.order import (
    KEY_REFUSED,
    MANY_TRANSFER_FAILURES,
    UNFAMILIAR,
    UNREADABLE,
    WITHDRAWN,
    Order,
    State,
)
from seedance_dagster.money import usd_text
from seedance_dagster.prompts.identity import default_resolution

if TYPE_CHECKING:
    from seedance_dagster.ledger.budgets import BudgetUsage

_LOW_BUDGET_SHARE = 0.1
_PRICE_TOLERANCE = 0.02
_NEWEST_CHARGES = 20  # prices change: old charges say nothing about today's table
_FEW_CHARGES = 2  # this many may be off by chance
_NO_REASON = "no reason given"
_EDIT_OR_RESUBMIT = "edit the prompt, or set resubmit_rejected in a run's config"
_PAY_AGAIN = "it was paid for: to pay again, set resubmit_rejected in a run's config"
_FREE_TO_RETRY = "it cost nothing: materialize it again for another attempt"


@dataclass(frozen=True)
class NoVideoReason:
    """The reason why a partition has no video.

    Attributes:
        reason: What happened, in the vendor's words where they are known.
        advice: What a person can do; empty where the reason says it.
    """

    reason: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.reason}; {self.advice}" if self.advice else self.reason


@dataclass(frozen=True)
class PriceDrift:
    """The drift of the newest charges from their estimates, for one task type and resolution.

    Attributes:
        newest: The newest 20 videos that were estimated exactly and by the newest price table.
        deviating: Those of them whose charge is more than 2 % off.
    """

    task_type: str
    resolution: str
    price_table: str
    newest: tuple[Order, ...]
    deviating: tuple[Order, ...]

    @property
    def outdated(self) -> bool:
        """True where the price table is to blame: typical charges are off, or too many for coincidence.

        Too many are more than a tenth of them, and at least three.
        """
        many = len(self.deviating) > max(len(self.newest) // 10, _FEW_CHARGES)
        return many or _deviates(self.factor)

    @property
    def price(self) -> str:
        """The price in words, such as "seedance-2 at 480p"."""
        return f"{self.task_type} at {self.resolution}" if self.resolution else self.task_type

    @property
    def factor(self) -> float:
        """The ratio of a typical charge to its estimate."""
        return median(map(_charge_factor, self.newest))

    @property
    def difference_points(self) -> int:
        """The points charged above the estimates; below 0 where less was charged."""
        return sum((order.points_charged or 0) - order.estimated_points for order in self.newest)

    def __str__(self) -> str:
        return (
            f"{len(self.deviating)} of the newest {counted(len(self.newest), 'video')} did not cost what "
            f"was estimated, typically {median(map(_charge_factor, self.deviating)):.3g} times as much"
        )


def stuck_reason(order: Order, *, now: datetime, stale_after: timedelta) -> str | None:
    """Return why an open order needs a person; None when it proceeds on its own."""
    if order.state is State.UNCERTAIN:
        return (
            f"it is unknown whether the vendor received order {order.order_id} "
            f"({order.error_message or 'the reply was lost'}); it is not sent again until "
            f"`seedance-dagster reconcile` has resolved it, or {_end(order)}"
        )
    if order.state is State.SUBMITTED:
        return _submitted_reason(order, stale=now - stale_after)
    if transfer_is_broken(order):
        return (
            f"paid for, and its video could not be stored in {counted(order.transfer_failures, 'attempt')}; "
            f"it is fetched again until {_end(order)}: {order.error_message or _NO_REASON}"
        )
    return None


def _submitted_reason(order: Order, *, stale: datetime) -> str | None:
    """Return why a submitted order needs a person; one submitted before `stale` has waited too long."""
    if order.error_class == UNREADABLE:
        return (
            f"the vendor does not show task {order.task_id} of order {order.order_id}; it is polled again "
            f"until {_end(order)}: {order.error_message}"
        )
    if order.error_class == KEY_REFUSED:
        return f"task {order.task_id} of order {order.order_id} is polled again: {order.error_message}"
    if order.error_class == UNFAMILIAR:
        return f"task {order.task_id} of order {order.order_id} is still polled: {order.error_message}"
    if order.submitted_at and order.submitted_at < stale:
        trouble = f", and it could not be read lately: {order.error_message}" if order.error_message else ""
        return f"task {order.task_id} has been running since {order.submitted_at:%Y-%m-%d %H:%M} UTC{trouble}"
    return None


def unknown_charge_reason(order: Order) -> str | None:
    """Return the amount that an ended order counts as while its charge is unknown; None where it is known."""
    if not order.charge_unknown:
        return None
    return (
        f"the vendor did not report the charge of task {order.task_id}: it counts as "
        f"{usd_text(order.charge_or_hold)}, until `seedance-dagster reconcile {order.order_id} "
        "--end --charged USD` records it"
    )


def _end(order: Order) -> str:
    return f"`seedance-dagster reconcile {order.order_id} --end` gives it up"


def transfer_is_broken(order: Order) -> bool:
    """Return True for a finished video that could not be stored so often that a person should know."""
    return order.state is State.SUCCEEDED and order.transfer_failures >= MANY_TRANSFER_FAILURES


def no_video_reason(order: Order) -> NoVideoReason | None:
    """Return why an order ended without a video, and what helps; None when it did not."""
    reason = order.error_message or _NO_REASON
    known = order.error_class in (None, "", FailureClass.MODERATION)
    kind = "" if known else f" ({order.error_class})"
    if order.state is State.REJECTED:
        return NoVideoReason(f"rejected by moderation{kind}: {reason}", _EDIT_OR_RESUBMIT)
    if order.error_class == WITHDRAWN:
        return NoVideoReason(f"withdrawn: {reason}; it cost nothing", "to order it, materialize it again")
    if order.state is State.FAILED:
        paid = order.points_charged or order.charge_unknown
        return NoVideoReason(f"failed{kind}: {reason}", _PAY_AGAIN if paid else _FREE_TO_RETRY)
    return None


def price_drifts(orders: Iterable[Order]) -> list[PriceDrift]:
    """Return the drift of each type and resolution; estimates that are upper bounds do not count."""
    newest_table: dict[tuple[str, str], PriceDrift] = {}
    for (task_type, resolution, table), charged in _newest_charges(orders).items():
        other = newest_table.get((task_type, resolution))
        if other is None or other.newest[-1].order_id < charged[-1].order_id:
            deviating = tuple(order for order in charged if _deviates(_charge_factor(order)))
            drift = PriceDrift(task_type, resolution, table, tuple(charged), deviating)
            newest_table[task_type, resolution] = drift
    return [drift for _, drift in sorted(newest_table.items())]


def priced_orders(orders: Iterable[Order]) -> list[Order]:
    """Return the orders that `price_drifts` needs."""
    return [order for charged in _newest_charges(orders).values() for order in charged]


def low_budgets(budgets: Iterable[BudgetUsage]) -> list[BudgetUsage]:
    """Return the budgets of which less than a tenth remains."""
    return [usage for usage in budgets if usage.remaining < _LOW_BUDGET_SHARE * usage.budget.points]


def _newest_charges(orders: Iterable[Order]) -> dict[tuple[str, str, str], list[Order]]:
    """Return the newest orders that were estimated exactly, by type, resolution and price table."""
    by_price: defaultdict[tuple[str, str, str], list[Order]] = defaultdict(list)
    for order in sorted(orders, key=lambda order: order.order_id):
        exact = order.points_charged and order.estimated_points and _is_estimated_exactly(order)
        if order.state is State.STORED and exact:
            by_price[order.task_type, _resolution(order), order.price_table].append(order)
    return {price: charged[-_NEWEST_CHARGES:] for price, charged in by_price.items()}


def _resolution(order: Order) -> str:
    if order.source_order_id is not None:
        return ANY_RESOLUTION
    return str(order.request.get("resolution") or default_resolution(order.task_type))


def _charge_factor(order: Order) -> float:
    return (order.points_charged or 0) / order.estimated_points


def _deviates(factor: float) -> bool:
    return abs(factor - 1) > _PRICE_TOLERANCE


def _is_estimated_exactly(order: Order) -> bool:
    """Return False where an input video's length was unknown, so that the vendor's maximum was estimated."""
    lengths = [fact.get("duration_s") for fact in order.reference_facts or () if fact.get("kind") == "video"]
    urls = order.request.get("video_urls")
    return not urls or (len(lengths) == len(urls) and None not in lengths)
