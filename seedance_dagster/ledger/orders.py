"""Requests for orders, and the earlier orders that answer them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from seedance_dagster.ledger.order import MANY_TRANSFER_FAILURES, OPEN, Order, State
from seedance_dagster.ledger.partitions import answers
from seedance_dagster.ledger.references import NO_HASHES, was_changed


class Outcome(StrEnum):
    """The result of requesting a video for one partition.

    An earlier order is joined while it is open, reused when its video is stored, and skipped when it ended
    without a video and is not placed again.
    """

    ORDERED = "ordered"
    JOINED = "joined"
    REUSED = "reused"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class OrderRequest:
    """A request for videos: who makes it, and on what terms.

    Attributes:
        idempotency_key: The first backfill or run that requests; its retries and re-executions have the same
            key. Nothing is paid for twice under one key.
        created_at: When that backfill or run was created; None where that is unknown.
        run_id: The Dagster run that places the orders.
        job_name: Its job.
        run_tags: The tags that users gave that run.
        max_points: The most that all orders under the key may cost together, in points; None for no limit.
        regenerate: Generate videos again that were stored when the request was first made.
        resubmit_rejected: Order again what moderation had rejected by then, or what had failed and was
            charged.
        discarded: Orders whose videos a reviewer had discarded by then; these are generated again.
    """

    idempotency_key: str
    run_id: str
    created_at: datetime | None = None
    job_name: str | None = None
    run_tags: Mapping[str, str] = field(default_factory=dict)
    max_points: int | None = None
    regenerate: bool = False
    resubmit_rejected: bool = False
    discarded: frozenset[int] = frozenset()

    @property
    def pays_again(self) -> bool:
        """Return True when a request may be ordered again although an earlier order answers it."""
        return self.regenerate or self.resubmit_rejected or bool(self.discarded)


def find_existing_order(
    history: Iterable[Order],
    request: OrderRequest,
    scope: str = "",
    requested_at: datetime | None = None,
    contents: Mapping[tuple[str, int], str] = NO_HASHES,
    *,
    linked_ids: Collection[int] = (),
) -> tuple[Order, Outcome] | None:
    """Return the earlier order that answers a request for a take, if there is one.

    Orders of the request's own scope come first; a request without a scope accepts any other as well. Among
    these, orders that are linked to the partition come first, so that a video that another partition ordered
    again does not replace its own. A failed order whose points were refunded answers nothing, so the request
    may be ordered again. An order whose video is paid for, but could not be fetched so far, is joined unless
    there is a stored video. A finished order answers nothing if a file behind its links is known to have
    changed since.

    Args:
        history: Orders of one fingerprint and take, in any scope.
        request: Who requests, and on what terms.
        scope: The scope of the request.
        requested_at: When the request was first made; only what had ended by then is paid for again.
        contents: The hashes of its references as they are now.
        linked_ids: Ids of the orders that are linked to the partition.
    """
    history = [order for order in history if order.state in OPEN or not was_changed(order, contents)]
    newest_first = sorted(history, key=lambda order: order.attempt, reverse=True)

    def may_pay_again(order: Order, ended_at: datetime | None) -> bool:
        own = order.idempotency_key == request.idempotency_key
        return not own and ended_at is not None and requested_at is not None and ended_at <= requested_at

    own_scope = [order for order in newest_first if order.scope == scope and not is_void(order)]
    candidates = own_scope or [order for order in newest_first if answers(scope, order.scope)]
    own = [order for order in candidates if order.order_id in linked_ids]
    answer = _of_video(own, request, may_pay_again) or _of_video(candidates, request, may_pay_again)
    if answer is not None:
        return answer
    for order in candidates:
        if _is_unfetchable(order):
            return order, Outcome.JOINED
    for order in candidates:
        ended = order.state in {State.REJECTED, State.FAILED} and not is_void(order)
        may_order_again = request.resubmit_rejected and may_pay_again(order, order.ended_at)
        if ended and not may_order_again:
            return order, Outcome.SKIPPED
    return None


def _of_video(
    newest_first: Sequence[Order],
    request: OrderRequest,
    may_pay_again: Callable[[Order, datetime | None], bool],
) -> tuple[Order, Outcome] | None:
    """Return the open order, else the newest with a stored video that need not be ordered again."""
    for order in newest_first:
        if order.state in OPEN and not _is_unfetchable(order):
            return order, Outcome.JOINED
    stored = [order for order in newest_first if order.state is State.STORED]
    unwanted = request.regenerate or (bool(stored) and stored[0].order_id in request.discarded)
    for order in stored:
        if not (unwanted and may_pay_again(order, order.stored_at)):
            return order, Outcome.REUSED
    return None


def is_void(order: Order) -> bool:
    """Return True for a failed order whose points were refunded, or that was never sent."""
    return order.state is State.FAILED and not order.points_charged and not order.charge_unknown


def _is_unfetchable(order: Order) -> bool:
    return order.state is State.SUCCEEDED and order.transfer_failures >= MANY_TRANSFER_FAILURES


@dataclass(frozen=True)
class Refusals:
    """The number of times that the vendor refused a request as invalid, and the last time (UTC)."""

    count: int
    last_at: datetime | None

    @classmethod
    def of(cls, refused: Iterable[Order]) -> Refusals:
        """Count refused orders."""
        times = [order.ended_at for order in refused]
        return cls(len(times), max(filter(None, times), default=None))
