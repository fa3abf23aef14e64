"""The ledger against a simple model, through random histories of orders and workers."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise

import pytest
from archive_support import services_of
from factories import columns_of, remove_row
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from ledger_model import ESTIMATE, Model, ModelOrder, new_order
from ledger_workers import FOLLOWED, Workers
from stores import MemoryStore

from seedance_dagster.engine.archiving import archive_journal
from seedance_dagster.engine.journals import JournalReader
from seedance_dagster.ledger.asked import PartitionRequest
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


class Killed(BaseException):
    """Ends a process at once."""


def raise_killed(*_: object) -> None:
    raise Killed


class LedgerMachine(Workers, RuleBasedStateMachine):
    """Each rule does one thing to the ledger and records in the model what must have come of it."""

    @initialize()
    def begin(self) -> None:
        self.model = Model()
        self.ledger = Ledger(Database("sqlite://"), clock=lambda: self.model.now)
        self.services = services_of(self.ledger, MemoryStore(), lambda: self.model.now)
        for prompt_set in "ab":
            self.place(
                prompt_set, {"p", "q"}, ("1", 1, ""), "one", regenerate=False, resubmit=False, run_limit=None
            )

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.journals_are_legal_chains()
            self.ledger.close()

    # Steps of people and runs.

    @rule(
        prompt_set=st.sampled_from("ab"),
        partitions=st.sets(st.sampled_from("pqr"), min_size=1),
        identity=st.tuples(
            st.sampled_from("12"), st.sampled_from((1, 1, 2)), st.sampled_from(("", "", "a/p"))
        ),
        idempotency_key=st.sampled_from(("one", "two", "three", "four")),
        regenerate=st.booleans(),
        resubmit=st.booleans(),
        run_limit=st.sampled_from((None, None, None, 3, 4, 9)),
    )
    def place(self, prompt_set, partitions, identity, idempotency_key, *, regenerate, resubmit, run_limit):
        """Some partitions ask for one take of one request."""
        keys = sorted(partitions)
        wanted = [new_order(prompt_set, key, identity) for key in keys]
        request = OrderRequest(
            idempotency_key=idempotency_key,
            run_id="r",
            regenerate=regenerate,
            resubmit_rejected=resubmit,
            max_points=run_limit,
        )
        expected = {key: self.model.answer((prompt_set, key), identity, request) for key in keys}
        is_new = expected[keys[0]][0] is Outcome.ORDERED
        cost = ESTIMATE * is_new
        budgets = [budget for budget in BUDGETS if budget.prompt_set in (None, prompt_set)]
        remaining = [budget.points - sum(self.model.money(budget)) for budget in budgets]
        if run_limit is not None:
            remaining.append(max(0, run_limit - self.model.under_key(idempotency_key)))
        if cost > min(remaining):
            with pytest.raises(BudgetExceededError) as caught:
                self.ledger.orders.place(wanted, request, budgets)
            assert caught.value.affordable == max(0, min(remaining)) // ESTIMATE
            return
        answers = self.ledger.orders.place(wanted, request, budgets)
        number = answers[0][0].order_id
        if is_new:
            expected = dict.fromkeys(keys, (Outcome.JOINED, number)) | {keys[0]: (Outcome.ORDERED, number)}
        assert [(outcome, order.order_id) for order, outcome in answers] == list(expected.values())
        for key, (_, order_id) in expected.items():
            self.model.linked[prompt_set, key].add(order_id)
        if not is_new:
            return
        attempt = self.model.next_attempt(identity)
        assert answers[0][0].attempt == attempt
        now = self.model.now
        self.model.orders[number] = ModelOrder(
            prompt_set, identity, attempt, State.QUEUED, idempotency_key, now, now, retries=1
        )

    @rule(
        prompt_set=st.sampled_from("ab"),
        wanted=st.dictionaries(
            st.sampled_from("pqr"),
            st.tuples(st.sampled_from("12"), st.sampled_from((1, 1, 2)), st.sampled_from(("", "", "a/p"))),
        ),
    )
    def read_file(self, prompt_set, wanted):
        """A file was edited: prompts are renamed, sorted, removed, undone, or moved to the other set."""
        asked = {key: PartitionRequest(*identity) for key, identity in wanted.items()}
        digest = repr(sorted(wanted.items()))
        if self.ledger.partitions.digests().get(prompt_set) != digest:  # as ticks and runs do
            self.ledger.partitions.update(prompt_set, asked, digest=digest)
        self.ledger.withdrawals.unwanted([prompt_set], actor="sync")
        self.model.read(prompt_set, wanted)

    @rule(seconds=st.sampled_from((1, 31, 61, 3600, 40_000)))
    def wait(self, seconds):
        self.model.now += timedelta(seconds=seconds)

    @rule(data=st.data(), worker=st.sampled_from(WORKERS), steps=st.integers(2, 12))
    def work(self, data, worker, steps):
        """A worker takes some of the steps that are possible."""
        for _ in range(steps):
            doable = [
                *([self.claim] if self.model.due(State.QUEUED) else []),
                *([self.send] if self.model.held_with_state(State.CLAIMED) else []),
                *([self.lease] if any(map(self.model.due, FOLLOWED)) else []),
                *([self.receive_reply] if self.model.held_with_state(State.CLAIMED) else []),
                *([self.poll] if self.model.held_with_state(State.SUBMITTED) else []),
                *([self.transfer] if self.model.held_with_state(State.SUCCEEDED) else []),
                *([self.reconcile] if self.model.with_state(State.UNCERTAIN) else []),
            ]
            if not doable:
                return
            data.draw(st.sampled_from(doable))(data, worker)

    @rule(worker=st.sampled_from(WORKERS))
    def render_all(self, worker):
        """A worker does all the work that there is."""
        self.render(worker)

    @precondition(lambda self: self.model.held or self.model.with_state(State.CLAIMED) or self.model.lost)
    @rule(data=st.data(), worker=st.sampled_from(WORKERS))
    def trouble(self, data, worker):
        """A worker is killed, ends or returns orders, a claim expires, or one writes an order it lost."""
        late = [self.write_after_losing] if self.model.lost else []
        doable = [self.kill, self.end, self.return_orders, self.expire, *late]
        data.draw(st.sampled_from(doable))(data, worker)

    @precondition(lambda self: self.model.with_state(State.STORED))
    @rule(data=st.data())
    def restore(self, data):
        """The row of a stored order is deleted and restored: it answers and counts as before."""
        number = data.draw(st.sampled_from(self.model.with_state(State.STORED)))
        before = self.ledger.queries.get(number)
        remove_row(self.ledger, number)
        after = self.ledger.repairs.restore(columns_of(before), order_id=number, actor="audit", source="m")
        assert after == before

    @rule(killed=st.booleans())
    def archive(self, killed):
        """The journals of orders that are over move into S3, or a process is killed while they do."""
        self.model.now += timedelta(seconds=1)
        with pytest.MonkeyPatch.context() as patch:
            if killed:
                patch.setattr(self.ledger.archive, "finish", raise_killed)
            with suppress(Killed):
                list(archive_journal(self.services, self.model.now, owner="archive"))

    # Invariants after every step.

    @invariant()
    def the_ledger_is_as_the_model_says(self):
        in_ledger = {
            order.order_id: (
                order.prompt_set,
                (order.fingerprint, order.take, order.scope),
                order.attempt,
                order.state,
                order.task_id,
                order.points_charged,
                order.lease_owner,
            )
            for order in self.ledger.queries.find()
        }
        assert in_ledger == {
            number: (
                order.prompt_set,
                order.identity,
                order.attempt,
                order.state,
                order.task_id,
                order.charged,
                order.owner,
            )
            for number, order in self.model.orders.items()
        }

    @invariant()
    def partitions_keep_the_orders_that_they_were_given(self):
        linked = defaultdict(set)
        for number, links in self.ledger.partitions.links_of(self.model.orders).items():
            for link in links:
                linked[link.prompt_set, link.partition].add(number)
        assert linked == self.model.linked

    @invariant()
    def at_most_one_order_is_open_and_attempts_count_up(self):
        attempts, open_ = defaultdict(list), defaultdict(int)
        for order in self.model.orders.values():
            attempts[order.identity[:2]].append(order.attempt)
            open_[order.identity] += order.state in OPEN
        assert all(sorted(numbers) == list(range(1, len(numbers) + 1)) for numbers in attempts.values())
        assert all(count <= 1 for count in open_.values())

    @invariant()
    def nothing_is_charged_twice_for_one_wish(self):
        """A take of a request in a scope is charged once, and once more for each request to pay again."""
        charged = defaultdict(lambda: defaultdict(int))
        for order in self.model.orders.values():
            if order.state not in (State.FAILED, State.REJECTED):
                charged[order.identity][order.idempotency_key] += 1
        for by_key in charged.values():
            assert all(count == 1 for count in by_key.values())
            assert len(by_key.keys() - self.model.requests.keys()) <= 1

    @invariant()
    def a_task_has_one_owner(self):
        owned = [order.task_id for order in self.model.orders.values() if order.task_id]
        assert len(owned) == len(set(owned))

    @invariant()
    def no_budget_is_crossed_and_its_money_adds_up(self):
        for usage in self.ledger.budgets.usage(BUDGETS):
            assert (usage.reserved, usage.spent) == self.model.money(usage.budget)
            assert usage.reserved + usage.spent <= usage.budget.points

    def journals_are_legal_chains(self) -> None:
        reader = JournalReader(self.ledger, lambda: self.services.store)
        for number, order in self.model.orders.items():
            [journal] = reader.read([number]).values()
            assert journal.is_whole
            entries = journal.entries
            assert entries[0].from_state is None
            assert entries[0].to_state == State.QUEUED
            for before, after in pairwise(entries):
                if "restored_from" in after.detail:
                    assert after.to_state == before.to_state
                    continue
                assert after.from_state == before.to_state
                assert State(after.to_state) in TRANSITIONS[State(before.to_state)]
            assert entries[-1].to_state == order.state


class TestLedgerAgainstAModel(LedgerMachine.TestCase):
    """Some histories."""

    settings = settings(
        max_examples=10,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


@pytest.mark.long
class TestLedgerAgainstAModelForLonger(LedgerMachine.TestCase):
    """More histories."""

    settings = settings(TestLedgerAgainstAModel.settings, max_examples=30)
