"""Workers of the ledger in a test: each does one thing to it and says in the model what came of it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import strategies as st
from ledger_model import ESTIMATE, LEASE_S, Known, Model

from seedance_dagster.ledger.errors import StaleOrderError, TaskOwnedError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order, State

FOLLOWED = (State.SUBMITTED, State.SUCCEEDED)


class Workers:
    """What workers do, and what happens to them; draws what is left open."""

    model: Model
    ledger: Ledger

    # What a worker does.

    def claim(self, data: st.DataObject, worker: str) -> None:
        limit, at_once = data.draw(st.integers(1, 4)), data.draw(st.sampled_from((None, None, None, 0, 2, 4)))
        self.live(worker)
        queued = self.model.due(State.QUEUED)
        at_vendor = len(self.model.with_state(State.CLAIMED, State.UNCERTAIN, State.SUBMITTED))
        room = limit if at_once is None else min(limit, max(0, at_once - at_vendor))
        taken = self.ledger.claims.take(worker, limit=limit, max_in_flight=at_once)
        assert len(taken) == min(room, len(queued))
        for order in taken:
            assert order.order_id in queued
            self.model.moved(order.order_id, State.CLAIMED, owner=worker)
            self.model.hands[order.order_id] = order

    def take(self, data: st.DataObject, worker: str) -> None:
        state = data.draw(st.sampled_from([each for each in FOLLOWED if self.model.due(each)]))
        limit = data.draw(st.integers(1, 3))
        self.live(worker)
        free = {number for number in self.model.due(state) if not self.model.held(number)}
        taken = self.ledger.tasks.lease_due(worker, state, limit=limit)
        assert len(taken) == min(limit, len(free))
        assert {order.order_id for order in taken} <= free
        for order in taken:
            self.model.lost(order.order_id)
            self.model.orders[order.order_id].owner = worker
            self.model.hands[order.order_id] = order

    def hear_of_the_post(self, data: st.DataObject, _worker: str) -> None:
        order = self.draw(data, State.CLAIMED)
        number = order.order_id
        match data.draw(st.sampled_from(("task", "task", "task", "queue", "invalid", "lost"))):
            case "task":
                task = {"task_id": self.model.new_task(), "points_held": ESTIMATE}
                self.ledger.tasks.submitted(order, actor="w", due_at=self.model.now, task=task)
                self.model.moved(number, State.SUBMITTED, task_id=task["task_id"], due_at=self.model.now)
            case "queue":
                due_at = self.model.now + timedelta(seconds=30)
                self.ledger.claims.requeue(order, actor="w", due_at=due_at, reason="429")
                self.model.moved(number, State.QUEUED, due_at=due_at)
            case "invalid":
                self.ledger.tasks.ended(
                    order, State.FAILED, actor="w", error_class="invalid", reason="no", task={}
                )
                self.model.moved(number, State.FAILED)
            case "lost":
                self.ledger.claims.mark_uncertain(order, actor="w", reason="lost")
                self.model.moved(number, State.UNCERTAIN)

    def poll(self, data: st.DataObject, _worker: str) -> None:
        order = self.draw(data, State.SUBMITTED)
        number, known = order.order_id, self.model.orders[order.order_id]
        charge = data.draw(st.integers(0, ESTIMATE))
        paid = {"points_charged": charge}
        match data.draw(st.sampled_from(("working", "done", "done", "refused", "trouble", "trouble again"))):
            case "working":
                due_at = self.model.now + timedelta(seconds=10)
                self.ledger.tasks.polled(order, due_at=due_at, seen={"points_held": ESTIMATE})
                known.due_at, known.owner = due_at, None
                self.model.hands.pop(number)
            case "done":
                self.ledger.tasks.succeeded(order, actor="w", task=paid)
                self.model.moved(number, State.SUCCEEDED, charged=charge, due_at=self.model.now)
            case "refused":
                self.ledger.tasks.ended(
                    order, State.REJECTED, actor="w", error_class="moderation", reason="no", task=paid
                )
                self.model.moved(number, State.REJECTED, charged=charge)
            case end:
                again_at = (
                    self.model.now + timedelta(seconds=30) if end == "trouble" and known.retries else None
                )
                self.fail(order, known, again_at)

    def fail(self, order: Order, known: Known, again_at: datetime | None) -> None:
        task = {"points_charged": 0}
        _, again = self.ledger.tasks.ended(
            order, State.FAILED, actor="w", error_class="vendor", reason="oops", task=task, retry_at=again_at
        )
        self.model.moved(order.order_id, State.FAILED, charged=0)
        assert (again is None) == (again_at is None)
        if again is not None:
            assert self.ledger.queries.next_attempt(order) == again
            self.model.orders[again.order_id] = Known(
                known.identity,
                known.attempt + 1,
                State.QUEUED,
                known.idempotency_key,
                known.booked_at,
                again_at,
                retries=0,
            )

    def transfer(self, data: st.DataObject, _worker: str) -> None:
        order = self.draw(data, State.SUCCEEDED)
        if data.draw(st.booleans()):
            self.ledger.tasks.stored(order, actor="w", artifacts={"sha256": "ab"})
            self.model.moved(order.order_id, State.STORED)
        else:
            due_at = self.model.now + timedelta(seconds=5)
            self.ledger.tasks.transfer_failed(order, actor="w", due_at=due_at, reason="S3")
            self.model.moved(order.order_id, State.SUCCEEDED, due_at=due_at)

    def reconcile(self, data: st.DataObject, _worker: str) -> None:
        number = data.draw(st.sampled_from(self.model.with_state(State.UNCERTAIN)))
        order = self.ledger.queries.get(number)
        owned = sorted(each.task_id for each in self.model.orders.values() if each.task_id)
        match data.draw(st.sampled_from(("found", "absent", "unknown", "freed", *["owned"] * bool(owned)))):
            case "found":
                task = {"task_id": self.model.new_task(), "points_held": ESTIMATE}
                self.ledger.tasks.submitted(order, actor="s", due_at=self.model.now, task=task, how="adopted")
                self.model.moved(number, State.SUBMITTED, task_id=task["task_id"], due_at=self.model.now)
            case "owned":
                task = {"task_id": data.draw(st.sampled_from(owned))}
                with pytest.raises(TaskOwnedError):
                    self.ledger.tasks.submitted(order, actor="s", due_at=self.model.now, task=task)
            case "absent":
                self.ledger.reconciliation.note_absence(order, due_at=self.model.now, since=self.model.now)
            case "unknown":
                self.ledger.reconciliation.note_doubt(order, due_at=self.model.now, reason="no history")
            case "freed":
                self.ledger.claims.requeue(order, actor="s", due_at=self.model.now, reason="absent")
                self.model.moved(number, State.QUEUED, due_at=self.model.now)

    def live(self, worker: str) -> None:
        assert self.ledger.leases.acquire(worker, worker, seconds=LEASE_S)
        self.model.holds(worker)

    def draw(self, data: st.DataObject, state: State) -> Order:
        return self.model.hands[data.draw(st.sampled_from(self.model.in_hand(state)))]

    # What goes wrong.

    def kill(self, _data: st.DataObject, worker: str) -> None:
        # It writes nothing any more; its lease runs out by itself.
        for number in [number for number in self.model.hands if self.model.orders[number].owner == worker]:
            self.model.stale.append(self.model.hands.pop(number))

    def end(self, data: st.DataObject, worker: str) -> None:
        sent = data.draw(st.sets(st.integers(1, 12)))
        self.ledger.tasks.release(worker, possibly_sent=sent)
        self.model.leases.pop(worker, None)
        self.model.let_go(worker, set(self.model.orders), sent)

    def return_orders(self, data: st.DataObject, worker: str) -> None:
        dropped, sent = (data.draw(st.sets(st.integers(1, 12))) for _ in range(2))
        self.ledger.tasks.return_orders(worker, dropped, possibly_sent=sent)
        self.model.let_go(worker, dropped, sent)

    def expire(self, _data: st.DataObject, _worker: str) -> None:
        gone = {number for number in self.model.with_state(State.CLAIMED) if not self.model.held(number)}
        assert {order.order_id for order in self.ledger.claims.expire(actor="s")} == gone
        for number in gone:
            self.model.lost(number)
            self.model.moved(number, State.UNCERTAIN, due_at=self.model.now)

    def come_late(self, data: st.DataObject, _worker: str) -> None:
        order = data.draw(st.sampled_from(self.model.stale))
        now = self.ledger.queries.get(order.order_id)
        if (now.state, now.lease_owner, now.claimed_at) == (order.state, order.lease_owner, order.claimed_at):
            return  # nobody took it over yet, so it may still write
        with pytest.raises(StaleOrderError):
            self.write_late(order)

    def write_late(self, order: Order) -> None:
        match order.state:
            case State.CLAIMED:
                self.ledger.claims.mark_uncertain(order, actor="late", reason="late")
            case State.SUBMITTED:
                self.ledger.tasks.succeeded(order, actor="late", task={"points_charged": 99})
            case _:
                self.ledger.tasks.stored(order, actor="late", artifacts={"sha256": "late"})
