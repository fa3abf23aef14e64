"""The ledger against a simple model, through random lives of orders and workers."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from ledger_model import ESTIMATE, Known, Model, new_order
from ledger_workers import FOLLOWED, Workers

from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.database import Database
from seedance_dagster.ledger.errors import BudgetExceededError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import OPEN, State
from seedance_dagster.ledger.orders import OrderRequest, Outcome
from seedance_dagster.ledger.transitions import TRANSITIONS
from seedance_dagster.money import Window

WORKERS = ("x", "y")
BUDGETS = (
    Budget(window=Window.DAY, points=27),
    Budget(window=Window.MONTH, points=60),
    Budget(window=Window.TOTAL, points=40, prompt_set="a"),
)


class LedgerMachine(Workers, RuleBasedStateMachine):
    """Each rule does one thing to the ledger and says, in the model, what must have come of it."""

    @initialize()
    def begin(self) -> None:
        self.model = Model()
        self.ledger = Ledger(Database("sqlite://"), clock=lambda: self.model.now)
        for prompt_set in "ab":
            self.accept(prompt_set, {"p", "q"}, "1", "one", regenerate=False, resubmit=False, run_limit=None)

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.journals_are_legal_chains()
            self.ledger.close()

    # What people and runs do.

    @rule(
        prompt_set=st.sampled_from("ab"),
        partitions=st.sets(st.sampled_from("pqr"), min_size=1),
        fingerprint=st.sampled_from("12"),
        idempotency_key=st.sampled_from(("one", "two")),
        regenerate=st.booleans(),
        resubmit=st.booleans(),
        run_limit=st.sampled_from((None, None, None, 3, 4, 9)),
    )
    def accept(
        self, prompt_set, partitions, fingerprint, idempotency_key, *, regenerate, resubmit, run_limit
    ):
        identities = [(prompt_set, partition, fingerprint) for partition in sorted(partitions)]
        wanted = [new_order(identity) for identity in identities]
        asking = OrderRequest(
            idempotency_key=idempotency_key,
            run_id="r",
            regenerate=regenerate,
            resubmit_rejected=resubmit,
            max_points=run_limit,
        )
        expected = [self.model.answer(identity, asking) for identity in identities]
        cost = ESTIMATE * sum(outcome is Outcome.ORDERED for outcome, _ in expected)
        budgets = [each for each in BUDGETS if each.prompt_set in (None, prompt_set)]
        rooms = [each.points - sum(self.model.money(each)) for each in budgets]
        rooms += [] if run_limit is None else [run_limit]
        if cost > min(rooms):
            with pytest.raises(BudgetExceededError) as caught:
                self.ledger.orders.place(wanted, asking, budgets)
            assert caught.value.affordable == max(0, min(rooms)) // ESTIMATE
            return
        answers = self.ledger.orders.place(wanted, asking, budgets)
        assert [outcome for _, outcome in answers] == [outcome for outcome, _ in expected]
        for (order, outcome), (_, standing), identity in zip(answers, expected, identities, strict=True):
            if outcome is not Outcome.ORDERED:
                assert order.order_id == standing
                continue
            attempt = 1 + max((each.attempt for each in self.model.of(identity).values()), default=0)
            assert order.attempt == attempt
            self.model.orders[order.order_id] = Known(
                identity, attempt, State.QUEUED, idempotency_key, self.model.now, self.model.now, retries=1
            )

    @rule(seconds=st.sampled_from((1, 31, 61, 3600, 40_000)))
    def time_goes_on(self, seconds):
        self.model.now += timedelta(seconds=seconds)

    @rule(data=st.data(), worker=st.sampled_from(WORKERS), steps=st.integers(2, 12))
    def work(self, data, worker, steps):
        """A worker goes on with whatever can be gone on with."""
        for _ in range(steps):
            doable = [
                *([self.claim] if self.model.due(State.QUEUED) else []),
                *([self.take] if any(map(self.model.due, FOLLOWED)) else []),
                *([self.hear_of_the_post] if self.model.in_hand(State.CLAIMED) else []),
                *([self.poll] if self.model.in_hand(State.SUBMITTED) else []),
                *([self.transfer] if self.model.in_hand(State.SUCCEEDED) else []),
                *([self.reconcile] if self.model.with_state(State.UNCERTAIN) else []),
            ]
            if not doable:
                return
            data.draw(st.sampled_from(doable))(data, worker)

    @precondition(lambda self: self.model.hands or self.model.with_state(State.CLAIMED) or self.model.stale)
    @rule(data=st.data(), worker=st.sampled_from(WORKERS))
    def trouble(self, data, worker):
        """A worker is killed, ends or lets go, a claim runs out, or one that lost its order comes late."""
        late = [self.come_late] if self.model.stale else []
        doable = [self.kill, self.end, self.return_orders, self.expire, *late]
        data.draw(st.sampled_from(doable))(data, worker)

    # What must hold after every step.

    @invariant()
    def the_ledger_is_as_the_model_says(self):
        found = {
            order.order_id: (
                (order.prompt_set, order.partition, order.fingerprint),
                order.attempt,
                order.state,
                order.task_id,
                order.points_charged,
                order.lease_owner,
            )
            for order in self.ledger.queries.find()
        }
        assert found == {
            number: (each.identity, each.attempt, each.state, each.task_id, each.charged, each.owner)
            for number, each in self.model.orders.items()
        }

    @invariant()
    def one_order_is_open_and_attempts_count_up(self):
        attempts, open_ = defaultdict(list), defaultdict(int)
        for each in self.model.orders.values():
            attempts[each.identity].append(each.attempt)
            open_[each.identity] += each.state in OPEN
        assert all(sorted(found) == list(range(1, len(found) + 1)) for found in attempts.values())
        assert all(count <= 1 for count in open_.values())

    @invariant()
    def a_task_has_one_owner(self):
        owned = [each.task_id for each in self.model.orders.values() if each.task_id]
        assert len(owned) == len(set(owned))

    @invariant()
    def no_budget_is_crossed_and_its_money_adds_up(self):
        for standing in self.ledger.budgets.usage(BUDGETS):
            assert (standing.reserved, standing.spent) == self.model.money(standing.budget)
            assert standing.reserved + standing.spent <= standing.budget.points

    def journals_are_legal_chains(self) -> None:
        for number, each in self.model.orders.items():
            entries = self.ledger.queries.journal(number)
            assert entries[0].from_state is None
            assert entries[0].to_state == State.QUEUED
            for before, after in pairwise(entries):
                assert after.from_state == before.to_state
                assert State(after.to_state) in TRANSITIONS[State(before.to_state)]
            assert entries[-1].to_state == each.state


LedgerMachine.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLedgerAgainstAModel = LedgerMachine.TestCase
