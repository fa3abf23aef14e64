"""Requests for orders: who asks, on what terms, and which earlier order answers."""

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

    What was ordered before is joined while its order is open, reused when its video is stored, and skipped
    when it ended without one and is not placed again.
    """

    ORDERED = "ordered"
    JOINED = "joined"
    REUSED = "reused"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class OrderRequest:
    """Who requests videos, and on what terms.

    Attributes:
        idempotency_key: The first backfill or run that requests: its retries and re-executions have the same.
            Under one key nothing is paid for twice.
        created_at: When that backfill or run was created; None where that is unknown.
        run_id: The Dagster run that places the orders.
        job_name: Its job.
        run_tags: Tags that people gave it.
        max_points: All orders under the key together may not cost more, in points; None for no limit.
        regenerate: Generate again what was stored when the request was first made.
        resubmit_rejected: Send again what moderation had rejected then, or what had failed and was charged.
        discarded: Orders whose videos a reviewer had discarded then: those are generated again.
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
        """Return True when what was ordered before may be ordered again."""
        return self.regenerate or self.resubmit_rejected or bool(self.discarded)


def find_existing_order(
    history: Iterable[Order],
    request: OrderRequest,
    scope: str = "",
    requested_at: datetime | None = None,
    contents: Mapping[tuple[str, int], str] = NO_HASHES,
    *,
    given: Collection[int] = (),
) -> tuple[Order, Outcome] | None:
    """Return the earlier order of the same take of a request that answers it, if one does.

    Orders of its own scope come first; a request without a scope is answered by any other as well. Of these,
    what the partition was given comes first: a video that another partition ordered again does not take the
    place of its own. A failed order whose points came back answers nothing, so it may be placed again. One
    whose video was paid for and could not be fetched so far is joined, but a stored video comes before it. An
    order that is over answers nothing either where a file behind its links is known to be another one now.

    Args:
        history: Orders of one fingerprint and take, in whatever scope.
        request: Who requests, and on what terms.
        scope: The scope that is asked for.
        requested_at: When the request was first made; only what had ended by then is paid for again.
        contents: The hashes of its references as they are now.
        given: Ids of the orders that the partition was given before.
    """
    history = [order for order in history if order.state in OPEN or not was_changed(order, contents)]
    newest_first = sorted(history, key=lambda order: order.attempt, reverse=True)

    def may_pay_again(order: Order, ended_at: datetime | None) -> bool:
        own = order.idempotency_key == request.idempotency_key
        return not own and ended_at is not None and requested_at is not None and ended_at <= requested_at

    own_scope = [order for order in newest_first if order.scope == scope and not is_void(order)]
    candidates = own_scope or [order for order in newest_first if answers(scope, order.scope)]
    own = [order for order in candidates if order.order_id in given]
    answer = _of_video(own, request, may_pay_again) or _of_video(candidates, request, may_pay_again)
    if answer is not None:
        return answer
    for order in candidates:
        if _is_unfetchable(order):
            return order, Outcome.JOINED
    for order in candidates:
        ended = order.state in {State.REJECTED, State.FAILED} and not is_void(order)
        again = request.resubmit_rejected and may_pay_again(order, order.ended_at)
        if ended and not again:
            return order, Outcome.SKIPPED
    return None


def _of_video(
    newest_first: Sequence[Order],
    request: OrderRequest,
    may_pay_again: Callable[[Order, datetime | None], bool],
) -> tuple[Order, Outcome] | None:
    """Return the order that is open, else the newest with a video that need not be ordered again."""
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
    """Return True for a failed order whose points came back, or that was never sent."""
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
