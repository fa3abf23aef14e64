"""A model of the ledger: what a simple mind would expect of orders, leases and money."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.order import OPEN, RESERVED_STATES, NewOrder, Order, State
from seedance_dagster.ledger.orders import OrderRequest, Outcome
from seedance_dagster.money import Window

LEASE_S = 60
ESTIMATE = 4
Identity = tuple[str, str, str]


@dataclass
class Known:
    """What the model knows of an order."""

    identity: Identity
    attempt: int
    state: State
    idempotency_key: str
    booked_at: datetime
    due_at: datetime | None
    retries: int
    owner: str | None = None
    task_id: str | None = None
    charged: int | None = None


def new_order(identity: Identity) -> NewOrder:
    prompt_set, partition, fingerprint = identity
    return NewOrder(
        prompt_set=prompt_set,
        partition=partition,
        fingerprint=fingerprint,
        request={"task_type": "seedance-2-fast"},
        estimated_points=ESTIMATE,
        price_table="t",
        price_formula="f",
    )


@dataclass
class Model:
    """All orders, who holds which, and what time it is."""

    now: datetime = datetime(2026, 4, 29, 18, 0, tzinfo=UTC)
    orders: dict[int, Known] = field(default_factory=dict)
    leases: dict[str, datetime] = field(default_factory=dict)
    hands: dict[int, Order] = field(default_factory=dict)  # as workers that still live hold them
    stale: list[Order] = field(default_factory=list)  # as workers held them that lost them
    tasks: int = 0

    def of(self, identity: Identity) -> dict[int, Known]:
        return {number: each for number, each in self.orders.items() if each.identity == identity}

    def answer(self, identity: Identity, asking: OrderRequest) -> tuple[Outcome, int | None]:
        found = sorted(self.of(identity).items(), key=lambda item: -item[1].attempt)
        for number, each in found:
            if each.state in OPEN:
                return Outcome.JOINED, number
        for number, each in found:
            if each.state is State.STORED and (
                not asking.regenerate or each.idempotency_key == asking.idempotency_key
            ):
                return Outcome.REUSED, number
        for number, each in found:
            again = asking.resubmit_rejected and each.idempotency_key != asking.idempotency_key
            if each.state is State.REJECTED and not again:
                return Outcome.SKIPPED, number
        return Outcome.ORDERED, None

    def money(self, budget: Budget) -> tuple[int, int]:
        midnight = self.now.replace(hour=0, minute=0, second=0)
        start = {Window.DAY: midnight, Window.MONTH: midnight.replace(day=1)}.get(budget.window)
        counted = [
            each
            for each in self.orders.values()
            if budget.prompt_set in (None, each.identity[0]) and (start is None or each.booked_at >= start)
        ]
        reserved = ESTIMATE * sum(each.state in RESERVED_STATES for each in counted)
        return reserved, sum(each.charged or 0 for each in counted if each.state not in RESERVED_STATES)

    def due(self, state: State) -> set[int]:
        return {
            number
            for number, each in self.orders.items()
            if each.state is state and each.due_at is not None and each.due_at <= self.now
        }

    def with_state(self, *states: State) -> list[int]:
        return [number for number, each in self.orders.items() if each.state in states]

    def in_hand(self, state: State) -> list[int]:
        return sorted(number for number in self.hands if self.orders[number].state is state)

    def held(self, number: int) -> bool:
        owner = self.orders[number].owner
        return owner is not None and self.leases.get(owner, self.now) > self.now

    def new_task(self) -> str:
        self.tasks += 1
        return f"t{self.tasks}"

    def moved(self, number: int, to: State, **changes: object) -> None:
        due = {"due_at": None} if to in (State.STORED, State.REJECTED, State.FAILED) else {}
        self.orders[number] = replace(self.orders[number], **{"state": to, "owner": None, **due, **changes})
        self.hands.pop(number, None)

    def lost(self, number: int) -> None:
        if number in self.hands:
            self.stale.append(self.hands.pop(number))

    def let_go(self, worker: str, numbers: set[int], sent: set[int]) -> None:
        for number, each in list(self.orders.items()):
            if each.owner != worker or number not in numbers:
                continue
            self.lost(number)
            if each.state is State.CLAIMED:
                to = State.UNCERTAIN if number in sent else State.QUEUED
                self.moved(number, to, due_at=self.now)
            else:
                self.orders[number].owner = None

    def holds(self, worker: str) -> None:
        self.leases[worker] = self.now + timedelta(seconds=LEASE_S)
