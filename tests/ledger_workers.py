"""Workers of the ledger in a test; each does one thing to it and records the result in the model."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Protocol

import pytest
from hypothesis import strategies as st
from ledger_model import ESTIMATE, LEASE_S, Model, ModelOrder

from seedance_dagster.ledger.errors import StaleOrderError, TaskOwnedError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order, State

FOLLOWED = (State.SUBMITTED, State.SUCCEEDED)


class Draws(Protocol):
    """A source of choices: hypothesis, or a script."""

    def draw(self, strategy: Any) -> Any:
        """Choose a value."""


class Script:
    """Choices that were made in advance, in order."""

    def __init__(self, *values: object) -> None:
        self._values = iter(values)

    def draw(self, strategy: object) -> Any:
        return next(self._values)


class Workers:
    """The steps of workers and their accidents; hypothesis draws the choices."""

    model: Model
    ledger: Ledger

    # Steps of a worker.

    def claim(self, data: Draws, worker: str) -> None:
        limit, max_in_flight = (
            data.draw(st.integers(1, 4)),
            data.draw(st.sampled_from((None, None, None, 0, 2, 4))),
        )
        self.renew(data, worker)
        in_flight = len(self.model.with_state(State.CLAIMED, State.UNCERTAIN, State.SUBMITTED))
        room = limit if max_in_flight is None else min(limit, max(0, max_in_flight - in_flight))
        taken = self.ledger.claims.take(worker, limit=limit, max_in_flight=max_in_flight, lease_s=LEASE_S)
        due = self.model.due(State.QUEUED)
        wanted = set(filter(self.model.is_wanted, due))
        assert len(taken) == min(room, len(wanted))
        for number in due - wanted:
            order = self.ledger.queries.get(number)
            if (order.state, order.due_at) == (State.QUEUED, self.model.orders[number].due_at):
                assert len(taken) == room  # there was no room to reach it
            else:
                self.model.withdraw(number)
        for order in taken:
            assert order.order_id in wanted
            self.model.move(order.order_id, State.CLAIMED, sent=False)
            self.model.lease(worker, order.order_id)
            self.model.held[order.order_id] = order

    def send(self, data: Draws, _worker: str) -> None:
        order = self.draw(data, State.CLAIMED)
        self.ledger.claims.mark_sent(order, account="mine")
        self.model.orders[order.order_id].sent = True

    def lease(self, data: Draws, worker: str) -> None:
        state = data.draw(st.sampled_from([state for state in FOLLOWED if self.model.due(state)]))
        limit = data.draw(st.integers(1, 3))
        self.renew(data, worker)
        free = {number for number in self.model.due(state) if not self.model.is_leased(number)}
        taken = self.ledger.tasks.lease_due(worker, state, limit=limit, lease_s=LEASE_S)
        assert len(taken) == min(limit, len(free))
        assert {order.order_id for order in taken} <= free
        for order in taken:
            self.model.lose(order.order_id)
            self.model.lease(worker, order.order_id)
            self.model.held[order.order_id] = order

    def receive_reply(self, data: Draws, _worker: str) -> None:
        order = self.draw(data, State.CLAIMED)
        number = order.order_id
        match data.draw(st.sampled_from(("task", "task", "task", "queue", "invalid", "content", "lost"))):
            case "task":
                task = {"task_id": self.model.new_task(), "points_held": ESTIMATE}
                self.ledger.tasks.submitted(order, actor="w", due_at=self.model.now, task=task)
                self.model.move(number, State.SUBMITTED, task_id=task["task_id"], due_at=self.model.now)
            case "queue":
                due_at = self.model.now + timedelta(seconds=30)
                self.ledger.claims.requeue(order, actor="w", due_at=due_at, reason="429")
                self.model.move(number, State.QUEUED, due_at=due_at)
            case "invalid":
                self.ledger.tasks.ended(
                    order, State.FAILED, actor="w", error_class="invalid", reason="no", task={}
                )
                self.model.move(number, State.FAILED)
            case "content":
                self.ledger.tasks.ended(
                    order, State.REJECTED, actor="w", error_class="moderation", reason="no", task={}
                )
                self.model.move(number, State.REJECTED)
            case "lost":
                self.ledger.claims.mark_uncertain(order, actor="w", reason="lost")
                self.model.move(number, State.UNCERTAIN)

    def poll(self, data: Draws, _worker: str) -> None:
        order = self.draw(data, State.SUBMITTED)
        number, known = order.order_id, self.model.orders[order.order_id]
        charge = data.draw(st.integers(0, ESTIMATE))
        paid = {"points_charged": charge}
        match data.draw(st.sampled_from(("working", "done", "done", "rejected", "trouble", "trouble again"))):
            case "working":
                due_at = self.model.now + timedelta(seconds=10)
                self.ledger.tasks.polled(order, due_at=due_at, task={"points_held": ESTIMATE})
                known.due_at, known.owner = due_at, None
                self.model.held.pop(number)
            case "done":
                self.ledger.tasks.succeeded(order, actor="w", task=paid)
                self.model.move(number, State.SUCCEEDED, charged=charge, due_at=self.model.now)
            case "rejected":
                self.ledger.tasks.ended(
                    order, State.REJECTED, actor="w", error_class="moderation", reason="no", task=paid
                )
                self.model.move(number, State.REJECTED, charged=charge)
            case end:
                again_at = (
                    self.model.now + timedelta(seconds=30) if end == "trouble" and known.retries else None
                )
                self.fail(order, known, again_at)

    def fail(self, order: Order, known: ModelOrder, again_at: datetime | None) -> None:
        task = {"points_charged": 0}
        _, again = self.ledger.tasks.ended(
            order, State.FAILED, actor="w", error_class="vendor", reason="oops", task=task, retry_at=again_at
        )
        self.model.move(order.order_id, State.FAILED, charged=0)
        assert (again is None) == (again_at is None)
        if again is not None:
            assert self.ledger.queries.next_attempt(order) == again
            for orders in self.model.linked.values():
                if order.order_id in orders:
                    orders.add(again.order_id)
            attempt = self.model.next_attempt(known.identity)
            self.model.orders[again.order_id] = ModelOrder(
                known.prompt_set,
                known.identity,
                attempt,
                State.QUEUED,
                known.idempotency_key,
                known.booked_at,
                again_at,
                retries=0,
            )

    def transfer(self, data: Draws, _worker: str) -> None:
        order = self.draw(data, State.SUCCEEDED)
        if data.draw(st.booleans()):
            self.ledger.tasks.stored(order, actor="w", artifacts={"sha256": "ab"})
            self.model.move(order.order_id, State.STORED)
        else:
            due_at = self.model.now + timedelta(seconds=5)
            self.ledger.tasks.transfer_failed(order, actor="w", due_at=due_at, reason="S3")
            self.model.move(order.order_id, State.SUCCEEDED, due_at=due_at)

    def reconcile(self, data: Draws, _worker: str) -> None:
        number = data.draw(st.sampled_from(self.model.with_state(State.UNCERTAIN)))
        order = self.ledger.queries.get(number)
        owned = sorted(order.task_id for order in self.model.orders.values() if order.task_id)
        match data.draw(
            st.sampled_from(("found", "absent", "unknown", "requeued", *["owned"] * bool(owned)))
        ):
            case "found":
                task = {"task_id": self.model.new_task(), "points_held": ESTIMATE}
                self.ledger.tasks.submitted(order, actor="s", due_at=self.model.now, task=task, how="adopted")
                self.model.move(number, State.SUBMITTED, task_id=task["task_id"], due_at=self.model.now)
            case "owned":
                task = {"task_id": data.draw(st.sampled_from(owned))}
                with pytest.raises(TaskOwnedError):
                    self.ledger.tasks.submitted(order, actor="s", due_at=self.model.now, task=task)
            case "absent":
                self.ledger.reconciliation.note_absence(
                    order, due_at=self.model.now, since=self.model.now, reason="the first scan"
                )
            case "unknown":
                self.ledger.reconciliation.note_doubt(order, due_at=self.model.now, reason="no history")
            case "requeued":
                self.ledger.claims.requeue(order, actor="s", due_at=self.model.now, reason="absent")
                self.model.move(number, State.QUEUED, due_at=self.model.now)

    def renew(self, data: Draws, worker: str) -> None:
        in_hand = {number for number in self.model.held if self.model.orders[number].owner == worker}
        renewed = in_hand if data.draw(st.booleans()) else set(sorted(in_hand)[:1])
        self.ledger.leases.renew(worker, renewed, seconds=LEASE_S)
        for number in renewed:
            self.model.lease(worker, number)

    def draw(self, data: Draws, state: State) -> Order:
        return self.model.held[data.draw(st.sampled_from(self.model.held_with_state(state)))]

    def render(self, worker: str) -> None:
        """Take all orders that are held or can be claimed to stored videos, without any fault."""
        self.claim(Script(4, None, True), worker)
        for number in self.model.held_with_state(State.CLAIMED):
            self.receive_reply(Script(number, "task"), worker)
        self.lease(Script(State.SUBMITTED, 3, True), worker)
        for number in self.model.held_with_state(State.SUBMITTED):
            self.poll(Script(number, ESTIMATE, "done"), worker)
        self.lease(Script(State.SUCCEEDED, 3, True), worker)
        for number in self.model.held_with_state(State.SUCCEEDED):
            self.transfer(Script(number, True), worker)

    # Accidents.

    def kill(self, _data: Draws, worker: str) -> None:
        # It writes nothing any more; its lease runs out.
        for number in [number for number in self.model.held if self.model.orders[number].owner == worker]:
            self.model.lost.append(self.model.held.pop(number))

    def end(self, data: Draws, worker: str) -> None:
        sent = data.draw(st.sets(st.integers(1, 12)))
        self.ledger.tasks.release(worker, possibly_sent=sent)
        self.model.return_orders(worker, set(self.model.orders), sent)

    def return_orders(self, data: Draws, worker: str) -> None:
        returned, sent = (data.draw(st.sets(st.integers(1, 12))) for _ in range(2))
        self.ledger.tasks.return_orders(worker, returned, possibly_sent=sent)
        self.model.return_orders(worker, returned, sent)

    def expire(self, _data: Draws, _worker: str) -> None:
        gone = {number for number in self.model.with_state(State.CLAIMED) if not self.model.is_leased(number)}
        assert {order.order_id for order in self.ledger.claims.expire(actor="s")} == gone
        for number in gone:
            self.model.lose(number)
            to = State.UNCERTAIN if self.model.orders[number].sent else State.QUEUED
            self.model.move(number, to, due_at=self.model.now)

    def write_after_losing(self, data: Draws, _worker: str) -> None:
        order = data.draw(st.sampled_from(self.model.lost))
        now = self.ledger.queries.get(order.order_id)
        if (now.state, now.lease_owner, now.claimed_at) == (order.state, order.lease_owner, order.claimed_at):
            return  # no other worker has taken it over yet, so it may still write
        with pytest.raises(StaleOrderError):
            self.write_lost(order)

    def write_lost(self, order: Order) -> None:
        match order.state:
            case State.CLAIMED:
                self.ledger.claims.mark_uncertain(order, actor="late", reason="late")
            case State.SUBMITTED:
                self.ledger.tasks.succeeded(order, actor="late", task={"points_charged": 99})
            case _:
                self.ledger.tasks.stored(order, actor="late", artifacts={"sha256": "late"})
