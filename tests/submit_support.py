"""A submitter whose vendor answers as the test says."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from types import SimpleNamespace

import stamina
from factories import make_task

from seedance_dagster.api import errors
from seedance_dagster.api.webhook import order_of
from seedance_dagster.engine.events import Delayed
from seedance_dagster.engine.policy import Pacing, Policy
from seedance_dagster.engine.stages.submit import Submitter
from seedance_dagster.engine.throttle import Throttle
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.errors import LedgerUnavailableError


class World:
    """A submitter on a real ledger with one claimed order, and a vendor that answers as the test says."""

    account_name = "mine"
    sends_marks = True
    requests_per_second = 10.0

    def __init__(self, ledger, clock, order) -> None:
        self.ledger = ledger
        self.clock = clock
        self.answer: object = make_task(7)
        self.account_answer: object = errors.AuthenticationError("bad key")
        self.throttle = Throttle(5)
        self.events: list[object] = []
        self.posts = 0
        self.before_look = lambda: None
        self.sent, self.reply = asyncio.Event(), asyncio.Event()
        self.reply.set()
        self.claimed = order
        self.under(Pacing())

    def under(self, pacing: Pacing) -> None:
        """Work with these waits from now on."""
        policy = Policy(lease_s=60, pacing=pacing)
        services = SimpleNamespace(
            ledger=self.ledger, policy=policy, clock=self.clock, throttle=lambda: self.throttle
        )
        self.worker = Worker("w", services, self)
        self.submitter = Submitter(self.worker, self.emit)

    async def create_task(self, request, *, mark, last_look):
        assert request.prompt == "a cat"
        assert mark == self.order.mark
        assert order_of(mark, self.ledger.identity.ledger_id) == self.order.order_id
        self.before_look()
        await last_look.look()
        assert self.worker.possibly_sent == set()
        last_look.leave()
        assert self.worker.possibly_sent == {self.claimed.order_id}
        self.posts += 1
        self.sent.set()
        await self.reply.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def account(self):
        if isinstance(self.account_answer, Exception):
            raise self.account_answer
        return self.account_answer

    async def emit(self, event):
        self.events.append(event)

    async def handle(self) -> list[str]:
        """Send the order; return the reasons of the delays that were reported."""
        with stamina.set_testing(True, attempts=2), contextlib.suppress(LedgerUnavailableError):
            await self.submitter.handle(self.claimed)
        return [event.reason for event in self.events if isinstance(event, Delayed)]

    @property
    def order(self):
        """The order as it is in the ledger now."""
        return self.ledger.queries.get(self.claimed.order_id)

    @property
    def wait(self) -> timedelta:
        """The time until the order is due."""
        return self.order.due_at - self.clock()

    @property
    def pauses(self) -> dict[str, float]:
        """Seconds that each pause lasts, by kind."""
        pauses, start = {}, self.clock.now
        while active := self.ledger.pauses.active():
            self.clock.forward(seconds=1)
            pauses |= dict.fromkeys(active, (self.clock.now - start).total_seconds())
        self.clock.now = start
        return pauses
