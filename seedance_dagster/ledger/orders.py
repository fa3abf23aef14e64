"""Placing orders: what is requested meets what was ordered before, in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.budgets import Budget, check_budgets, read_usage
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import MANY_TRANSFER_FAILURES, OPEN, NewOrder, Order, State
from seedance_dagster.ledger.partitions import Link, Wanted, answers, link_orders
from seedance_dagster.ledger.schema import order_subscribers, ordered_values, orders, to_order
from seedance_dagster.ledger.transitions import insert_order


class Outcome(StrEnum):
    """The result of requesting a video for one partition.

    A video that was ordered before is joined while its order is open, reused when it is stored, and skipped
    when the order ended without a video and is not placed again.
    """

    ORDERED = "ordered"
    JOINED = "joined"
    REUSED = "reused"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class OrderRequest:
    """Who requests videos, and on what terms.

    Attributes:
        idempotency_key: The backfill or root run that requests. Under the same key no further attempt is
            ever placed, so retrying a run that regenerates does not pay again.
        run_id: The Dagster run that places the orders.
        job_name: Its job.
        run_tags: Tags that people gave it.
        max_points: The new orders together may not cost more, in points; None for no limit.
        regenerate: Generate again what is already stored.
        resubmit_rejected: Send again what moderation rejected, or what failed and was charged.
    """

    idempotency_key: str
    run_id: str
    job_name: str | None = None
    run_tags: Mapping[str, str] = field(default_factory=dict)
    max_points: int | None = None
    regenerate: bool = False
    resubmit_rejected: bool = False

    @property
    def pays_again(self) -> bool:
        """Return True when what was ordered before may be ordered again."""
        return self.regenerate or self.resubmit_rejected


def find_existing_order(
    history: Iterable[Order], request: OrderRequest, scope: str = "", joined: Collection[int] = ()
) -> tuple[Order, Outcome] | None:
    """Return the earlier order of the same take of a request that answers it, if one does.

    Orders of its own scope come first; a request without a scope is answered by any other as well. A failed
    order whose points came back answers nothing, so it may be placed again. One whose video was paid for and
    could not be fetched so far is joined, but a stored video comes before it.

    Args:
        history: Orders of one fingerprint and take, in whatever scope.
        request: Who requests, and on what terms.
        scope: The scope that is asked for.
        joined: Ids of orders that a request with this idempotency key joined: they count as its own.
    """
    newest_first = sorted(history, key=lambda order: order.attempt, reverse=True)
    # A further attempt after vendor trouble has the key of the first, whoever joined that order.
    own_keys = {request.idempotency_key} | {
        order.idempotency_key for order in newest_first if order.order_id in joined
    }

    def is_own(order: Order) -> bool:
        return order.idempotency_key in own_keys

    own_scope = [order for order in newest_first if order.scope == scope and not _is_void(order)]
    candidates = own_scope or [order for order in newest_first if answers(scope, order.scope)]
    for order in candidates:
        if order.state in OPEN and not _is_unfetchable(order):
            return order, Outcome.JOINED
    for order in candidates:
        if order.state is State.STORED and (not request.regenerate or is_own(order)):
            return order, Outcome.REUSED
    for order in candidates:
        if _is_unfetchable(order):
            return order, Outcome.JOINED
    for order in candidates:
        ended = order.state in {State.REJECTED, State.FAILED} and not _is_void(order)
        if ended and (not request.resubmit_rejected or is_own(order)):
            return order, Outcome.SKIPPED
    return None


def _is_void(order: Order) -> bool:
    """Return True for a failed order whose points came back, or that was never sent."""
    return order.state is State.FAILED and not order.points_charged and not order.charge_unknown


def _is_unfetchable(order: Order) -> bool:
    return order.state is State.SUCCEEDED and order.transfer_failures >= MANY_TRANSFER_FAILURES


class Orders(LedgerPart):
    """The part of the ledger that places orders."""

    def existing_orders(
        self, wanted: Sequence[Wanted], request: OrderRequest
    ) -> list[tuple[Order, Outcome] | None]:
        """Return the existing order that `place` would answer with; None where it would place a new one."""
        with self._database.reading() as connection:
            histories = _histories(connection, wanted)
            joined = _joined_orders(connection, request)
        return [
            find_existing_order(histories[asked.fingerprint, asked.take], request, asked.scope, joined)
            for asked in wanted
        ]

    def place(
        self,
        new_orders: Sequence[NewOrder],
        request: OrderRequest,
        budgets: Sequence[Budget] = (),
        *,
        quoted: Collection[int] = (),
    ) -> list[tuple[Order, Outcome]]:
        """Queue each new order that no existing order answers; all or nothing.

        Args:
            new_orders: One for each partition; those that ask for the same are one order.
            request: Who requests, and on what terms.
            budgets: Limits that the new orders are reserved in.
            quoted: Ids of orders that answered when the request was quoted. What one of them answered is not
                ordered, since nothing was checked for it: where it has ended meanwhile, it is skipped.

        Returns:
            The order that now stands for each partition, in the order of `new_orders`.

        Raises:
            BudgetExceededError: The new orders do not fit every budget; none was placed.
        """
        now = self._clock()
        answered: list[tuple[Order, Outcome]] = []
        with self._database.writing() as connection:
            usages = [read_usage(connection, budget, now=now) for budget in budgets]
            histories = _histories(connection, new_orders)
            joined = _joined_orders(connection, request)
            for new in new_orders:
                history = histories[new.fingerprint, new.take]
                answer = find_existing_order(history, request, new.scope, joined)
                if answer is None:
                    answer = next(
                        ((order, Outcome.SKIPPED) for order in history if order.order_id in quoted), None
                    )
                if answer is None:
                    attempt = 1 + max((order.attempt for order in history), default=0)
                    values = ordered_values(new) | {
                        "attempt": attempt,
                        "idempotency_key": request.idempotency_key,
                        "run_id": request.run_id,
                        "job_name": request.job_name,
                        "run_tags": dict(request.run_tags),
                        **dict.fromkeys(("ordered_at", "booked_at", "due_at"), now),
                    }
                    order = insert_order(
                        connection,
                        State.QUEUED,
                        values,
                        actor=request.run_id,
                        at=now,
                        detail={"attempt": attempt},
                    )
                    history.append(order)
                    answer = (order, Outcome.ORDERED)
                answered.append(answer)
            link_orders(
                connection,
                [
                    Link(new.prompt_set, new.partition, order.order_id)
                    for new, (order, _) in zip(new_orders, answered, strict=True)
                ],
                at=now,
            )
            new_points = [order.estimated_points for order, outcome in answered if outcome is Outcome.ORDERED]
            check_budgets(usages, new_points, run_limit=request.max_points)
            if request.pays_again:
                _note_joined(connection, answered, request, joined)
        return answered


def _joined_orders(connection: sa.Connection, request: OrderRequest) -> set[int]:
    if not request.pays_again:
        return set()
    same_key = order_subscribers.c.idempotency_key == request.idempotency_key
    return set(connection.scalars(sa.select(order_subscribers.c.order_id).where(same_key)))


def _note_joined(
    connection: sa.Connection,
    answers: Iterable[tuple[Order, Outcome]],
    request: OrderRequest,
    joined: Collection[int],
) -> None:
    """Note the orders that a request joined: a retry of it is answered by them, and pays for nothing else."""
    ids = {
        order.order_id
        for order, outcome in answers
        if outcome is Outcome.JOINED and order.idempotency_key != request.idempotency_key
    }
    rows = [
        {"order_id": order_id, "idempotency_key": request.idempotency_key}
        for order_id in sorted(ids.difference(joined))
    ]
    if rows:
        connection.execute(order_subscribers.insert(), rows)


def _histories(
    connection: sa.Connection, wanted: Iterable[Wanted]
) -> defaultdict[tuple[str, int], list[Order]]:
    histories: defaultdict[tuple[str, int], list[Order]] = defaultdict(list)
    for chunk in chunked({asked.fingerprint for asked in wanted}):
        rows = connection.execute(sa.select(orders).where(orders.c.fingerprint.in_(chunk)))
        for order in map(to_order, rows):
            histories[order.fingerprint, order.take].append(order)
    return histories
