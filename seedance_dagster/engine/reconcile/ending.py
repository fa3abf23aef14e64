"""Ending by hand an order that nothing else will end: a person decides its charge."""

from __future__ import annotations

from seedance_dagster.engine.reconcile.manual import ManualResolutionError, moved_on
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.errors import StaleOrderError
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.money import usd_text
from seedance_dagster.threads import in_thread

ENDABLE = frozenset({State.UNCERTAIN, State.SUBMITTED, State.SUCCEEDED})
"""States that may last for ever: a reply is lost, the vendor hides a task, or a video is gone."""

_ENDED_BY_HAND = "ended_by_hand"


def may_be_ended(order: Order) -> bool:
    """Return True for an order that a person may end, or whose charge only a person can supply or correct."""
    return order.state in ENDABLE or order.charge_unknown or order.error_class == _ENDED_BY_HAND


async def end_by_hand(worker: Worker, order: Order, *, charged_points: int | None) -> Order:
    """End an order without a video, or book the charge of one that has ended, or that was ended by hand.

    It is not sent, polled or fetched any more, and its slot is free. Nothing looks for a video of its task.

    Args:
        worker: Its name goes into the journal.
        order: The order.
        charged_points: What it cost, in points; None for what the vendor reported, else for what was held.

    Raises:
        ManualResolutionError: The order moves on automatically, or moved on meanwhile; or it was ended by
            hand before, and no charge is given.
    """
    name = f"order {order.order_id} ({order.prompt_set}/{order.partition})"
    if not may_be_ended(order):
        raise ManualResolutionError(
            f"{name} is {order.state}; only orders that are {', '.join(sorted(ENDABLE))}, or whose charge is "
            "unknown, can be ended by hand"
        )
    before = usd_text(order.charge_or_hold)
    if order.error_class == _ENDED_BY_HAND and charged_points is None:
        raise ManualResolutionError(
            f"{name} was ended by hand as {before} before: --charged USD corrects that, if it cost another "
            "amount"
        )
    ledger = worker.services.ledger
    points = order.charge_or_hold if charged_points is None else charged_points
    try:
        if order.state not in ENDABLE:
            reason = order.error_message
            if order.error_class == _ENDED_BY_HAND and reason:
                reason = reason.replace(f"as {before}", f"as {usd_text(points)}", 1)
            book = ledger.tasks.book_charge
            return await in_thread(book, order, actor=worker.name, points=points, reason=reason)
        why = f": {order.error_message}" if order.error_message else ""
        ended, _ = await in_thread(
            ledger.tasks.ended,
            order,
            State.FAILED,
            actor=worker.name,
            error_class=_ENDED_BY_HAND,
            reason=f"ended by hand as {usd_text(points)}, it was {order.state}{why}",
            task={"points_charged": points},
        )
    except StaleOrderError as error:
        raise moved_on(error) from None
    return ended
