"""A simple model of the ledger: what it must answer about orders, leases and money."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
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
    ended_at: datetime | None = None


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
        linked: The orders that each partition has pointed at, by set and key.
        held: Orders as the workers that still run hold them.
        lost: Orders as workers held them before they lost them.
        requests: When each request that pays again was first made, by its key.
        asks: The order that each partition asks for, and when it was removed, by set and key.
    """

    now: datetime = datetime(2026, 4, 29, 18, 0, tzinfo=UTC)
    orders: dict[int, ModelOrder] = field(default_factory=dict)
    linked: defaultdict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))
    held: dict[int, Order] = field(default_factory=dict)
    lost: list[Order] = field(default_factory=list)
    tasks: int = 0
    requests: dict[str, datetime] = field(default_factory=dict)
    asks: dict[tuple[str, str], tuple[Identity, datetime | None]] = field(default_factory=dict)

    def next_attempt(self, identity: Identity) -> int:
        """Return the number of the next attempt; attempts count over all scopes."""
        same = [order.attempt for order in self.orders.values() if order.identity[:2] == identity[:2]]
        return 1 + max(same, default=0)

    def candidates(self, identity: Identity) -> dict[int, ModelOrder]:
        """Return the orders that did not fail in a scope; without a scope, or with none there, in any."""
        of_any_scope = {
            number: order
            for number, order in self.orders.items()
            if order.identity[:2] == identity[:2] and order.state is not State.FAILED
        }
        own = {number: order for number, order in of_any_scope.items() if order.identity == identity}
        return own or ({} if identity[2] else of_any_scope)

    def answer(
        self, label: tuple[str, str], identity: Identity, request: OrderRequest
    ) -> tuple[Outcome, int | None]:
        newest_first = sorted(self.candidates(identity).items(), key=lambda item: -item[1].attempt)
        own_first = [item for item in newest_first if item[0] in self.linked[label]], newest_first
        since = self.requests.setdefault(request.idempotency_key, self.now) if request.pays_again else None

        def answers(order: ModelOrder, *, again: bool) -> bool:
            own = order.idempotency_key == request.idempotency_key
            return own or not again or order.ended_at > since

        for some in own_first:
            for number, order in some:
                if order.state in OPEN:
                    return Outcome.JOINED, number
            for number, order in some:
                if order.state is State.STORED and answers(order, again=request.regenerate):
                    return Outcome.REUSED, number
        for number, order in newest_first:
            if order.state is State.REJECTED and answers(order, again=request.resubmit_rejected):
                return Outcome.SKIPPED, number
        return Outcome.ORDERED, None

    def under_key(self, key: str) -> int:
        """Return the cost so far of all orders of a request."""
        return sum(
            ESTIMATE if order.state in RESERVED_STATES else order.charged or 0
            for order in self.orders.values()
            if order.idempotency_key == key
        )

    def read(self, prompt_set: str, wanted: dict[str, Identity]) -> None:
        """Read a set's file; withdraw queued orders that no partition asks for any longer."""
        for (name, key), (identity, removed_at) in self.asks.items():
            if name == prompt_set and key not in wanted and removed_at is None:
                self.asks[name, key] = identity, self.now
        self.asks |= {(prompt_set, key): (identity, None) for key, identity in wanted.items()}
        doubtful = {
            number
            for (name, key), numbers in self.linked.items()
            for number in numbers
            if name == prompt_set and (name, key) in self.asks and not self.is_asked(number, [(name, key)])
        }
        for number in doubtful.intersection(self.with_state(State.QUEUED)):
            if not self.is_wanted(number):
                self.withdraw(number)

    def is_asked(
        self, number: int, partitions: Iterable[tuple[str, str]], since: datetime | None = None
    ) -> bool:
        """Return True when one of some partitions asks for an order, or did so after a time."""
        fingerprint, take, scope = self.orders[number].identity
        return any(
            asked[:2] == (fingerprint, take)
            and asked[2] in ("", scope)
            and (removed_at is None if since is None else removed_at is not None and removed_at > since)
            for asked, removed_at in map(self.asks.__getitem__, partitions)
        )

    def is_wanted(self, number: int) -> bool:
        """Return True while a partition asks for an order, or points at it and may still ask."""
        partitions = [partition for partition, numbers in self.linked.items() if number in numbers]
        return any(partition not in self.asks for partition in partitions) or self.is_asked(number, self.asks)

    def withdraw(self, number: int) -> None:
        """End a queued order that is not wanted; it waits if its prompt was removed just now."""
        if self.is_asked(number, self.asks, self.now - timedelta(seconds=60)):
            self.orders[number].due_at = self.now + timedelta(seconds=60)
        else:
            self.move(number, State.FAILED)

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
        ended = to in (State.STORED, State.REJECTED, State.FAILED)
        due = {"due_at": None, "ended_at": self.now} if ended else {}
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
