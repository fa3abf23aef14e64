"""Placing orders: requests are matched with earlier orders in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

import sqlalchemy as sa

from seedance_dagster.api.refusals import FailureClass
from seedance_dagster.ledger.asked import RequestedTake
from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.budgets import Budget, check_budgets, points_under_key, read_usage
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import NewOrder, NewRemoval, Order, State
from seedance_dagster.ledger.orders import OrderRequest, Outcome, Refusals, find_existing_order, is_void
from seedance_dagster.ledger.partitions import Link, answers, link_orders
from seedance_dagster.ledger.references import content_hashes, newer_links, replace_request
from seedance_dagster.ledger.tables.schema import links, ordered_values, orders, requests, to_order
from seedance_dagster.ledger.transitions import insert_orders

Histories = Mapping[tuple[str, int], list[Order]]
"""Orders by fingerprint and take."""

Label = tuple[str, str]
"""Set and partition."""

# Built once: SQLAlchemy takes longer to build a statement than the database to run it.
_HISTORY = sa.select(orders).where(orders.c.fingerprint.in_(sa.bindparam("fingerprints", expanding=True)))
_REQUESTED_AT = sa.select(requests.c.requested_at).where(
    requests.c.idempotency_key == sa.bindparam("idempotency_key")
)

_HAS_VIDEO = frozenset({State.SUCCEEDED, State.STORED})


class Orders(LedgerPart):
    """The part of the ledger that places orders."""

    def existing_orders(
        self, new_orders: Sequence[NewOrder], request: OrderRequest
    ) -> list[tuple[Order, Outcome] | None]:
        """Return the existing order that `place` would answer with; None where it would place a new one."""
        return self._existing([(_label(new), new) for new in new_orders], request)

    def existing_answers(
        self, prompt_set: str, wanted: Mapping[str, RequestedTake], request: OrderRequest
    ) -> dict[str, tuple[Order, Outcome] | None]:
        """Return the existing orders that answer partitions of a set, by key, like `existing_orders`."""
        labelled = [((prompt_set, key), asked) for key, asked in wanted.items()]
        return dict(zip(wanted, self._existing(labelled, request), strict=True))

    def _existing(
        self, wanted: Sequence[tuple[Label, RequestedTake]], request: OrderRequest
    ) -> list[tuple[Order, Outcome] | None]:
        requested_at = self._first_requested(request)
        with self._database.reading() as connection:
            histories = _histories(connection, [asked for _, asked in wanted])
            linked_ids = _linked_ids(connection, histories)
        return [
            find_existing_order(
                histories[asked.fingerprint, asked.take],
                request,
                asked.scope,
                requested_at,
                content_hashes(asked),
                linked_ids=linked_ids[label],
            )
            for label, asked in wanted
        ]

    def refusals(self, wanted: Sequence[RequestedTake]) -> list[Refusals]:
        """Return how often the vendor refused each of some requests as invalid."""
        with self._database.reading() as connection:
            histories = _histories(connection, wanted)
        return [
            Refusals.of(
                order
                for step in _with_source(asked)
                for order in histories[step.fingerprint, step.take]
                if order.error_class == FailureClass.INVALID and is_void(order)
            )
            for asked in wanted
        ]

    def remaining_points(self, request: OrderRequest) -> int | None:
        """Return the points that a request may still cost: its limit minus all orders under its key."""
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
            new_orders: One for each partition; equal requests become one order. The removal of a watermark
                also places the order of its source, where no earlier one answers it.
            request: Who requests, and on what terms.
            budgets: The budgets that the new orders must fit.
            quoted: Ids of orders that answered when the request was quoted. What one of them answered is not
                ordered, since it was not checked: where that order has ended meanwhile, the partition is
                skipped.

        Returns:
            The order that now stands for each partition, in the order of `new_orders`.

        Raises:
            BudgetExceededError: The new orders do not fit every budget; none was placed.
        """
        now = self._clock()
        requested_at = self._first_requested(request)
        with self._database.writing() as connection:
            used = points_under_key(connection, request.idempotency_key) if request.max_points else 0
            usages = [read_usage(connection, budget, now=now) for budget in budgets]
            histories = _histories(connection, new_orders)
            linked_ids = _linked_ids(connection, histories)
            placement = _Placement(connection, request, requested_at, now, quoted, histories, linked_ids)
            answered = [placement.answer(new) for new in new_orders]
            check_budgets(usages, placement.points, run_limit=request.max_points, run_used=used)
            inserted = insert_orders(
                connection, list(placement.placed.values()), actor=request.run_id, at=now
            )
            links = (
                replace(link, order_id=inserted[link.order_id].order_id)
                if link.order_id in inserted
                else link
                for link in placement.links
            )
            link_orders(connection, links, at=now)
        return [(inserted.get(order.order_id, order), outcome) for order, outcome in answered]

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
        key = {"idempotency_key": request.idempotency_key}
        with self._database.reading() as connection:
            known: datetime | None = connection.scalar(_REQUESTED_AT, key)
        if known is not None:
            return known
        with self._database.writing() as connection:
            known = connection.scalar(_REQUESTED_AT, key)
            if known is None:
                connection.execute(requests.insert(), {**key, "requested_at": at})
        return at if known is None else known


@dataclass
class _Placement:
    """The placing of orders in one transaction; the new ones are inserted together at its end.

    Attributes:
        points: The points that the new orders of each partition reserve, where it has any.
        links: The links of partitions to their orders.
        placed: The new orders by their provisional ids, which count down from -1.
    """

    connection: sa.Connection
    request: OrderRequest
    requested_at: datetime | None
    at: datetime
    quoted: Collection[int]
    histories: Histories
    linked_ids: defaultdict[Label, set[int]]
    points: list[int] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    placed: dict[int, Order] = field(default_factory=dict)

    def answer(self, new: NewOrder) -> tuple[Order, Outcome]:
        """Return the order that stands for a partition now; place one where no earlier one answers."""
        before = len(self.placed)
        answered = self._answer(new)
        if len(self.placed) > before:
            added = islice(reversed(self.placed.values()), len(self.placed) - before)
            self.points.append(sum(order.reserved_points for order in added))
        return answered

    def _answer(self, new: NewOrder) -> tuple[Order, Outcome]:
        order, outcome = self._find(new) or self._place(new)
        order_ids = {order.order_id}
        if outcome is Outcome.JOINED and order.source_order_id is not None:
            order_ids.add(order.source_order_id)  # its video is shown if the watermark cannot be removed
        self.links += [Link(new.prompt_set, new.partition, order_id) for order_id in order_ids]
        return order, outcome

    def _find(self, new: NewOrder) -> tuple[Order, Outcome] | None:
        history = self.histories[new.fingerprint, new.take]
        contents, linked_ids = content_hashes(new), self.linked_ids[_label(new)]
        answer = find_existing_order(
            history, self.request, new.scope, self.requested_at, contents, linked_ids=linked_ids
        )
        if answer is None:
            ended = (
                order
                for order in history
                if order.order_id in self.quoted and answers(new.scope, order.scope)
            )
            return next(((order, Outcome.SKIPPED) for order in ended), None)
        order, outcome = answer
        if order.state is State.QUEUED and outcome is Outcome.JOINED:
            return self._with_links_of(order, new), outcome
        return answer

    def _with_links_of(self, order: Order, new: NewOrder) -> Order:
        """Update a queued order's URLs to those of a request that joins it, and return the order."""
        order = self.placed.get(order.order_id, order)
        request = newer_links(order, new)
        if request is None:
            return order
        if order.order_id in self.placed:
            self.placed[order.order_id] = replace(order, request=request)
            return self.placed[order.order_id]
        return replace_request(self.connection, order, request)

    def _place(self, new: NewOrder) -> tuple[Order, Outcome]:
        source = None
        if isinstance(new, NewRemoval):
            source, outcome = self._answer(new.source)
            if outcome is Outcome.SKIPPED:
                return source, outcome
        history = self.histories[new.fingerprint, new.take]
        due_at = self.at if source is None or source.state in _HAS_VIDEO else None
        order = Order(
            **ordered_values(new),
            order_id=-1 - len(self.placed),
            attempt=1 + max((order.attempt for order in history), default=0),
            state=State.QUEUED,
            idempotency_key=self.request.idempotency_key,
            run_id=self.request.run_id,
            job_name=self.request.job_name,
            run_tags=dict(self.request.run_tags),
            ordered_at=self.at,
            booked_at=self.at,
            source_order_id=None if source is None else source.order_id,
            due_at=due_at,
        )
        history.append(order)
        self.placed[order.order_id] = order
        return order, Outcome.ORDERED


def _histories(
    connection: sa.Connection, wanted: Iterable[RequestedTake]
) -> defaultdict[tuple[str, int], list[Order]]:
    histories: defaultdict[tuple[str, int], list[Order]] = defaultdict(list)
    for chunk in chunked({step.fingerprint for asked in wanted for step in _with_source(asked)}):
        for order in map(to_order, connection.execute(_HISTORY, {"fingerprints": chunk})):
            histories[order.fingerprint, order.take].append(order)
    return histories


def _linked_ids(connection: sa.Connection, histories: Histories) -> defaultdict[Label, set[int]]:
    """Return the orders that are linked to each partition, of requests that have several."""
    linked_ids: defaultdict[Label, set[int]] = defaultdict(set)
    several = (order.order_id for history in histories.values() if len(history) > 1 for order in history)
    for chunk in chunked(several):
        query = sa.select(links.c.prompt_set, links.c.partition, links.c.order_id)
        for prompt_set, partition, order_id in connection.execute(query.where(links.c.order_id.in_(chunk))):
            linked_ids[prompt_set, partition].add(order_id)
    return linked_ids


def _label(new: NewOrder) -> Label:
    return new.prompt_set, new.partition


def _with_source(asked: RequestedTake) -> Iterator[RequestedTake]:
    """Yield a requested take, and for the removal of a watermark the take that renders the video."""
    yield asked
    if isinstance(asked, NewRemoval):
        yield asked.source
