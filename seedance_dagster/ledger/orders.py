"""Placing orders: what is requested meets what was ordered before, in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from seedance_dagster.api.refusals import FailureClass
from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.budgets import Budget, check_budgets, points_under_key, read_usage
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import MANY_TRANSFER_FAILURES, OPEN, NewOrder, Order, State
from seedance_dagster.ledger.partitions import Link, Wanted, answers, link_orders
from seedance_dagster.ledger.references import NO_HASHES, content_hashes, was_changed, with_links_of
from seedance_dagster.ledger.schema import ordered_values, orders, requests, to_order
from seedance_dagster.ledger.transitions import insert_order


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
    """

    idempotency_key: str
    run_id: str
    created_at: datetime | None = None
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
    history: Iterable[Order],
    request: OrderRequest,
    scope: str = "",
    requested_at: datetime | None = None,
    contents: Mapping[tuple[str, int], str] = NO_HASHES,
) -> tuple[Order, Outcome] | None:
    """Return the earlier order of the same take of a request that answers it, if one does.

    Orders of its own scope come first; a request without a scope is answered by any other as well. A failed
    order whose points came back answers nothing, so it may be placed again. One whose video was paid for and
    could not be fetched so far is joined, but a stored video comes before it. An order that is over answers
    nothing either where a file behind its links is known to be another one now.

    Args:
        history: Orders of one fingerprint and take, in whatever scope.
        request: Who requests, and on what terms.
        scope: The scope that is asked for.
        requested_at: When the request was first made; only what had ended by then is paid for again.
        contents: The hashes of its references as they are now.
    """
    history = [order for order in history if order.state in OPEN or not was_changed(order, contents)]
    newest_first = sorted(history, key=lambda order: order.attempt, reverse=True)

    def may_pay_again(order: Order, ended_at: datetime | None) -> bool:
        own = order.idempotency_key == request.idempotency_key
        return not own and ended_at is not None and requested_at is not None and ended_at <= requested_at

    own_scope = [order for order in newest_first if order.scope == scope and not _is_void(order)]
    candidates = own_scope or [order for order in newest_first if answers(scope, order.scope)]
    for order in candidates:
        if order.state in OPEN and not _is_unfetchable(order):
            return order, Outcome.JOINED
    for order in candidates:
        again = request.regenerate and may_pay_again(order, order.stored_at)
        if order.state is State.STORED and not again:
            return order, Outcome.REUSED
    for order in candidates:
        if _is_unfetchable(order):
            return order, Outcome.JOINED
    for order in candidates:
        ended = order.state in {State.REJECTED, State.FAILED} and not _is_void(order)
        again = request.resubmit_rejected and may_pay_again(order, order.ended_at)
        if ended and not again:
            return order, Outcome.SKIPPED
    return None


def _is_void(order: Order) -> bool:
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


class Orders(LedgerPart):
    """The part of the ledger that places orders."""

    def existing_orders(
        self, wanted: Sequence[Wanted | NewOrder], request: OrderRequest
    ) -> list[tuple[Order, Outcome] | None]:
        """Return the existing order that `place` would answer with; None where it would place a new one."""
        requested_at = self._first_requested(request)
        with self._database.reading() as connection:
            histories = _histories(connection, wanted)
        return [
            find_existing_order(
                histories[asked.fingerprint, asked.take],
                request,
                asked.scope,
                requested_at,
                content_hashes(asked),
            )
            for asked in wanted
        ]

    def refusals(self, wanted: Sequence[Wanted]) -> list[Refusals]:
        """Return how often the vendor refused to make each of some requests, since they are invalid."""
        with self._database.reading() as connection:
            histories = _histories(connection, wanted)
        return [
            Refusals.of(
                order
                for order in histories[asked.fingerprint, asked.take]
                if order.error_class == FailureClass.INVALID and _is_void(order)
            )
            for asked in wanted
        ]

    def remaining_points(self, request: OrderRequest) -> int | None:
        """Return what a request may still cost, in points: its limit less all orders under its key."""
        if request.max_points is None:
            return None
        with self._database.reading() as connection:
            return max(0, request.max_points - points_under_key(connection, request.idempotency_key))

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
        requested_at = self._first_requested(request)
        answered: list[tuple[Order, Outcome]] = []
        with self._database.writing() as connection:
            used = points_under_key(connection, request.idempotency_key) if request.max_points else 0
            usages = [read_usage(connection, budget, now=now) for budget in budgets]
            histories = _histories(connection, new_orders)
            for new in new_orders:
                history = histories[new.fingerprint, new.take]
                answer = find_existing_order(history, request, new.scope, requested_at, content_hashes(new))
                if answer is None:
                    ended = (
                        order
                        for order in history
                        if order.order_id in quoted and answers(new.scope, order.scope)
                    )
                    answer = next(((order, Outcome.SKIPPED) for order in ended), None)
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
                if answer[0].state is State.QUEUED and answer[1] is Outcome.JOINED:
                    answer = with_links_of(connection, answer[0], new), Outcome.JOINED
                answered.append(answer)
            link_orders(
                connection,
                [
                    Link(new.prompt_set, new.partition, order.order_id)
                    for new, (order, _) in zip(new_orders, answered, strict=True)
                ],
                at=now,
            )
            new_points = [order.reserved_points for order, outcome in answered if outcome is Outcome.ORDERED]
            check_budgets(usages, new_points, run_limit=request.max_points, run_used=used)
        return answered

    def _first_requested(self, request: OrderRequest) -> datetime | None:
        """Return when a request that pays again was first made, and remember it.

        That is the earlier of this clock's time then and the creation time that Dagster gives: where the
        clocks differ, less is paid for again.
        """
        if not request.pays_again:
            return None
        now = self._clock()
        at = now if request.created_at is None else min(now, request.created_at)
        if not request.idempotency_key:
            return at  # a plan, which orders nothing
        query = sa.select(requests.c.requested_at).where(
            requests.c.idempotency_key == request.idempotency_key
        )
        with self._database.reading() as connection:
            known: datetime | None = connection.scalar(query)
        if known is not None:
            return known
        with self._database.writing() as connection:
            known = connection.scalar(query)
            if known is None:
                values = {"idempotency_key": request.idempotency_key, "requested_at": at}
                connection.execute(requests.insert().values(values))
        return at if known is None else known


def _histories(
    connection: sa.Connection, wanted: Iterable[Wanted]
) -> defaultdict[tuple[str, int], list[Order]]:
    histories: defaultdict[tuple[str, int], list[Order]] = defaultdict(list)
    for chunk in chunked({asked.fingerprint for asked in wanted}):
        rows = connection.execute(sa.select(orders).where(orders.c.fingerprint.in_(chunk)))
        for order in map(to_order, rows):
            histories[order.fingerprint, order.take].append(order)
    return histories
