"""A simple model of the ledger: what it must answer about orders, leases and money."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from factories import make_new_order

from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.order import OPEN, RESERVED_STATES, NewOrder, Order, State
from seedance_dagster.ledger.orders import OrderRequest, Outcome
from seedance_dagster.money import Window

LEASE_S = 60
ESTIMATE = 4
Identity = tuple[str, int, str]
"""A fingerprint, a take and a scope."""


@dataclass
class ModelOrder:
    """An order as the model knows it; `prompt_set` is the one that it was made for."""

    prompt_set: str
    identity: Identity
    attempt: int
    state: State
    idempotency_key: str
    booked_at: datetime
    due_at: datetime | None
    retries: int
    sent: bool = False
    owner: str | None = None
    leased_until: datetime | None = None
    task_id: str | None = None
    charged: int | None = None


def new_order(prompt_set: str, partition: str, identity: Identity) -> NewOrder:
    fingerprint, take, scope = identity
    return make_new_order(
        partition,
        prompt_set=prompt_set,
        fingerprint=fingerprint,
        take=take,
        scope=scope,
        estimated_points=ESTIMATE,
    )


@dataclass
class Model:
    """All orders, the workers that hold them, and the time.

    Attributes:
        given: The orders that each partition was given, by set and key.
        held: Orders as the workers that still live hold them.
        lost: Orders as workers held them before they lost them.
        joined: Orders in flight that a request which pays again joined, each with its idempotency key.
    """

    now: datetime = datetime(2026, 4, 29, 18, 0, tzinfo=UTC)
    orders: dict[int, ModelOrder] = field(default_factory=dict)
    given: defaultdict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))
    held: dict[int, Order] = field(default_factory=dict)
    lost: list[Order] = field(default_factory=list)
    tasks: int = 0
    joined: set[tuple[int, str]] = field(default_factory=set)

    def next_attempt(self, identity: Identity) -> int:
        """Attempts count over all scopes."""
        same = [order.attempt for order in self.orders.values() if order.identity[:2] == identity[:2]]
        return 1 + max(same, default=0)

    def candidates(self, identity: Identity) -> dict[int, ModelOrder]:
        """Return the orders of a scope that are not void; for no scope, and without one, of any scope."""
        of_any_scope = {
            number: order
            for number, order in self.orders.items()
            if order.identity[:2] == identity[:2] and order.state is not State.FAILED
        }
        own = {number: order for number, order in of_any_scope.items() if order.identity == identity}
        return own or ({} if identity[2] else of_any_scope)

    def answer(self, identity: Identity, request: OrderRequest) -> tuple[Outcome, int | None]:
        newest_first = sorted(self.candidates(identity).items(), key=lambda item: -item[1].attempt)
        keys = {order.idempotency_key for number, order in newest_first if self.has_joined(number, request)}
        for number, order in newest_first:
            if order.state in OPEN:
                return Outcome.JOINED, number
        for number, order in newest_first:
            own = order.idempotency_key in {request.idempotency_key, *keys}
            if order.state is State.STORED and (own or not request.regenerate):
                return Outcome.REUSED, number
        for number, order in newest_first:
            own = order.idempotency_key in {request.idempotency_key, *keys}
            if order.state is State.REJECTED and (own or not request.resubmit_rejected):
                return Outcome.SKIPPED, number
        return Outcome.ORDERED, None

    def has_joined(self, number: int, request: OrderRequest) -> bool:
        return request.pays_again and (number, request.idempotency_key) in self.joined

    def join(self, number: int, request: OrderRequest) -> None:
        if request.pays_again:
            self.joined.add((number, request.idempotency_key))

    def money(self, budget: Budget) -> tuple[int, int]:
        midnight = self.now.replace(hour=0, minute=0, second=0)
        start = {Window.DAY: midnight, Window.MONTH: midnight.replace(day=1)}.get(budget.window)
        counted = [
            order
            for order in self.orders.values()
            if budget.prompt_set in (None, order.prompt_set) and (start is None or order.booked_at >= start)
        ]
        reserved = ESTIMATE * sum(order.state in RESERVED_STATES for order in counted)
        return reserved, sum(order.charged or 0 for order in counted if order.state not in RESERVED_STATES)

    def due(self, state: State) -> set[int]:
        return {
            number
            for number, order in self.orders.items()
            if order.state is state and order.due_at is not None and order.due_at <= self.now
        }

    def with_state(self, *states: State) -> list[int]:
        return [number for number, order in self.orders.items() if order.state in states]

    def held_with_state(self, state: State) -> list[int]:
        return sorted(number for number in self.held if self.orders[number].state is state)

    def is_leased(self, number: int) -> bool:
        order = self.orders[number]
        return order.owner is not None and order.leased_until is not None and order.leased_until > self.now

    def new_task(self) -> str:
        self.tasks += 1
        return f"t{self.tasks}"

    def move(self, number: int, to: State, **changes: object) -> None:
        due = {"due_at": None} if to in (State.STORED, State.REJECTED, State.FAILED) else {}
        self.orders[number] = replace(self.orders[number], **{"state": to, "owner": None, **due, **changes})
        self.held.pop(number, None)

    def lose(self, number: int) -> None:
        if number in self.held:
            self.lost.append(self.held.pop(number))

    def return_orders(self, worker: str, numbers: set[int], sent: set[int]) -> None:
        for number, order in list(self.orders.items()):
            if order.owner != worker or number not in numbers:
                continue
            self.lose(number)
            if order.state is State.CLAIMED:
                to = State.UNCERTAIN if number in sent else State.QUEUED
                self.move(number, to, due_at=self.now)
            else:
                self.orders[number].owner = None

    def lease(self, worker: str, number: int) -> None:
        order = self.orders[number]
        order.owner, order.leased_until = worker, self.now + timedelta(seconds=LEASE_S)
