"""The index after random histories of a set: what every reader gets is what the ledger has."""

from __future__ import annotations

import random
from contextlib import suppress
from types import SimpleNamespace

import pytest
from index_support import assert_current, rows_of
from order_factory import OrderFactory
from stores import MemoryStore

from seedance_dagster.engine import index_writer
from seedance_dagster.engine.indexing import refresh_index
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.errors import VerdictError
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.verdict import Judgement, Verdict

KEYS = [f"p{number}" for number in range(7)]
REQUESTS = ["a", "b", "c"]


class History:
    """Random things that happen to a set, among them writers that are killed or held up."""

    def __init__(self, seed: int, services: Services, orders: OrderFactory) -> None:
        self.random = random.Random(seed)
        self.services, self.orders, self.store = services, orders, services.store
        self.asked = {key: PartitionRequest(f"a {key}") for key in KEYS}

    def step(self) -> None:
        """Let one thing happen."""
        happenings = [self.make, self.ask, self.judge, self.undo, self.lose, self.link, self.kill, self.stall]
        weights = [6, 4, 3, 1, 1, 1, 2, 2]
        self.random.choices(happenings, weights)[0]()

    def make(self) -> None:
        key, state = self.random.choice(KEYS), self.random.choice([State.STORED, State.STORED, State.FAILED])
        wanted = self.asked.get(key) or PartitionRequest(f"a {key}")
        fetched_again = self.services.ledger.queries.find(states=[State.SUCCEEDED])
        for order in fetched_again:
            self.orders.advance(order, State.STORED)
        self.orders.make(state, key, fingerprint=wanted.fingerprint)

    def ask(self) -> None:
        key = self.random.choice(KEYS)
        request = f"{self.random.choice(REQUESTS)} {key}"
        tags = {"team": self.random.choice("xy")}
        removed = self.random.random() < 0.2
        self.asked = {name: asked for name, asked in self.asked.items() if name != key}
        self.asked |= {} if removed else {key: PartitionRequest(request, tags=tags)}
        self.services.ledger.partitions.update("spots", self.asked)

    def judge(self) -> None:
        verdict = self.random.choice([Verdict.ACCEPTED, Verdict.DISCARDED])
        judgement = {self.random.choice(KEYS): Judgement(verdict)}
        with suppress(VerdictError):  # it shows no video
            self.services.ledger.verdicts.give("spots", judgement, reviewer="ann")

    def undo(self) -> None:
        with suppress(VerdictError):  # there is nothing to take back
            self.services.ledger.verdicts.undo("spots", [self.random.choice(KEYS)], reviewer="ann")

    def lose(self) -> None:
        stored = self.services.ledger.queries.find(states=[State.STORED])
        if stored:
            order = self.random.choice(stored)
            self.services.ledger.repairs.fetch_again(order, actor="x", video_url="https://x/v", reason="lost")

    def link(self) -> None:
        stored = self.services.ledger.queries.find(states=[State.STORED])
        if stored:
            key = self.random.choice(["other", *KEYS])
            self.services.ledger.partitions.link("spots", {key: self.random.choice(stored).order_id})

    def kill(self) -> None:
        """Kill a writer before one of its writes."""
        self._before_put(lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        try:
            self.refresh()
        except KeyboardInterrupt:
            partitions = [row["partition"] for row in rows_of(self.store)]
            assert len(partitions) == len(set(partitions))
        self.store.before_put = lambda _: None

    def stall(self) -> None:
        """Hold a writer up until its lease has run out, while another one writes what came meanwhile."""

        def take_over() -> None:
            self.services.clock.forward(seconds=31)
            self.make()
            self.refresh()

        self._before_put(take_over)
        self.refresh()
        self.store.before_put = lambda _: None

    def refresh(self) -> None:
        owner = f"writer {self.random.random()}"
        force = self.random.random() < 0.3
        refresh_index(self.services, "spots", owner=owner, force=force, rebuild=self.random.random() < 0.1)

    def _before_put(self, act) -> None:
        left = self.random.randrange(4)

        def before(_key: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                self.store.before_put = lambda _: None
                act()

        self.store.before_put = before


@pytest.mark.parametrize(("seed", "conditions"), [(1, True), (2, False), (3, True)])
def test_the_index_is_what_the_ledger_has_after_any_history(ledger, clock, monkeypatch, seed, conditions):
    """After any history of changes, killed writers and late ones, readers get what the ledger has."""
    monkeypatch.setattr(index_writer, "PART_ROWS", 2)
    store = MemoryStore(prefix="p")
    store.writer = SimpleNamespace(knows_conditions=conditions)
    services = Services(ledger=ledger, open_client=lambda: None, store=store, clock=clock)
    history = History(seed, services, OrderFactory(ledger, clock, paced=True, prefix="p"))
    history.make()
    for _ in range(9):
        for _ in range(history.random.randrange(1, 4)):
            history.step()
        clock.forward(seconds=31)  # until the lease of a killed writer has run out
        history.refresh()
        assert_current(services)
