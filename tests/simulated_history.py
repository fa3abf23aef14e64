"""Random histories of lost replies on an account that others use too, and what must hold in each."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path

from factories import NOW, Clock, make_request
from order_factory import OrderFactory
from simulated_vendor import Oddities, SimulatedClient, SimulatedVendor
from stores import MemoryStore

from seedance_dagster.api.limits import Limits
from seedance_dagster.api.webhook import make_mark
from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.engine.account import remember_account
from seedance_dagster.engine.marks import MarkEcho, mark_echo, mark_of_post
from seedance_dagster.engine.reconcile.reconcile import reconcile
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.poll import Poller
from seedance_dagster.engine.stages.submit import Submitter
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order, State

_TEXTS = (
    'a "cat" & a dog',
    "a cafe\N{COMBINING ACUTE ACCENT} by night",
    " a bird,  flying\n",
    "a plain fish",
)
_STEPS = 20
_STORE, _LIMITS = MemoryStore(), Limits.load()
# The least time between our POSTs and another program's equal task: nearer, nothing could tell them apart.
_APART_S = 200.0


class History:
    """One random history, drawn from its seed alone.

    Attributes:
        tally: Counts of what happened.
        violations: A message for each thing that happened and never may.
    """

    def __init__(self, seed: int, ledger: Ledger, clock: Clock) -> None:
        self.rng = random.Random(seed)
        self.ledger, self.clock = ledger, clock
        self.orders = OrderFactory(ledger, clock)
        odd = Oddities.draw(self.rng)
        self.vendors = [SimulatedVendor(f"mine-{seed}", clock, self.rng, odd)]
        self.vendors.append(SimulatedVendor(f"another-{seed}", clock, self.rng, replace(odd)))
        self.vendor = self.vendors[0]
        self.tally: Counter[str] = Counter()
        self.violations: list[str] = []
        self._number = 0

    def worker(self) -> Worker:
        vendor = self.vendor
        client = SimulatedClient(vendor)
        services = Services(
            ledger=self.ledger,
            open_client=lambda: client,
            store=_STORE,
            limits=_LIMITS,
            clock=self.clock,
        )
        self._number += 1
        return Worker(f"w{self._number}", services, client)

    async def run(self) -> None:
        steps = (
            *[self.submit] * 6,
            *[self.place] * 4,
            *[self.wait] * 5,
            *[self.look] * 4,
            *[self.poll] * 2,
            *[self.other_program] * 3,
            self.pay,
            self.change_key,
        )
        for _ in range(_STEPS):
            await self.rng.choice(steps)()
        for vendor in self.vendors:
            self.vendor = vendor
            for seconds in (60, 700, 60_000, 700):
                await self.submit(calm=True)
                self.clock.forward(seconds=seconds)
                await self.poll()
                await self.look()
        self.check()
        self.count()

    async def place(self) -> None:
        for _ in range(self.rng.choice((1, 1, 2, 3))):
            text, task_type, ratio = self.draw_request()
            request = make_request(text, task_type=task_type, duration=5, aspect_ratio=ratio)
            name = f"p{len(self.ledger.queries.find())}"
            self.orders.place(name, fingerprint=name, request=request.model_dump(mode="json"))

    def draw_request(self) -> tuple[str, str, str | None]:
        task_type = self.rng.choice(("seedance-2-fast", "seedance-2-fast", "seedance-2"))
        return self.rng.choice(_TEXTS), task_type, self.rng.choice((None, None, "9:16"))

    async def submit(self, *, calm: bool = False) -> None:
        if calm:
            await self.place()
        worker, vendor, rng = self.worker(), self.vendor, self.rng
        await remember_account(worker)
        submitter = Submitter(worker, self.emit)
        for order in await submitter.take(rng.choice((1, 2, 5)), None):
            fates = (*["answered", "lost after", "lost before"] * 2, "refused", "killed")
            vendor.fate = "answered" if calm else rng.choice(fates)
            self.tally[vendor.fate] += 1
            vendor.order_id = order.order_id
            vendor.sends_marks = rng.random() < 0.8
            self.draw_beside(order)
            if vendor.fate == "killed":
                self.kill(worker, order)
            else:
                await submitter.handle(order)
            self.clock.forward(seconds=rng.choice((0, 0, 1, 5, 30)))
        self.ledger.tasks.release(worker.name, possibly_sent=worker.possibly_sent)
        if any(order.state is State.CLAIMED for order in self.ledger.queries.find()):
            self.clock.forward(seconds=_APART_S)

    def draw_beside(self, order: Order) -> None:
        """Let another program make an equal task beside a POST, where something can tell them apart."""
        vendor, rng = self.vendor, self.rng
        vendor.foreign_mark = rng.choice((None, make_mark(str(uuid.UUID(int=rng.getrandbits(128))), 1, NOW)))
        # Marks tell them apart where they are known to be echoed.
        echoes = vendor.odd.marks == 1 and not vendor.odd.one_address
        known = mark_echo(self.worker()) is MarkEcho.OWN
        distinct = echoes and known and (vendor.foreign_mark is not None or vendor.sends_marks)
        share = {"lost after": 0.15, "lost before": 0.6 if distinct else 0}.get(vendor.fate, 0)
        vendor.beside = rng.random() < share and self.is_alone(order)
        self.tally["equal task beside a POST that made nothing"] += (
            vendor.beside and vendor.fate == "lost before"
        )

    def kill(self, worker: Worker, order: Order) -> None:
        """End a worker before it noted its POST, before the POST left, or after."""
        where = self.rng.choice(("before", "between", "after"))
        mark = mark_of_post(worker, order)
        if where != "before":
            self.ledger.claims.mark_sent(order, account=worker.client.account_name, mark=mark)
        if where == "after":
            request = GenerationRequest.model_validate(order.request, strict=False)
            self.vendor.make(request, order.order_id, mark)
        with self.ledger.claims._database.writing() as connection:
            from seedance_dagster.ledger.tables.schema import orders

            connection.execute(
                orders.update().where(orders.c.order_id == order.order_id).values(lease_owner="dead")
            )

    def is_alone(self, order: Order) -> bool:
        """Return True when no other order may be taken for this one."""
        same = [candidate for candidate in self.ledger.queries.find() if candidate.request == order.request]
        return all(
            other.order_id == order.order_id or other.state not in (State.UNCERTAIN, State.CLAIMED)
            for other in same
        )

    async def wait(self) -> None:
        self.clock.forward(seconds=self.rng.choice((1, 10, 60, 300, 700, 3600, 30_000)))

    async def look(self) -> None:
        worker = self.worker()
        self.ledger.claims.expire(actor=worker.name)
        await remember_account(worker)
        result = await reconcile(worker, now=True)
        self.tally["adopted"] += len(result.adopted)
        tasks = {task.task_id: task for task in self.vendor.tasks}
        self.tally["adopted by mark"] += sum(
            tasks[str(order.task_id)].mark is not None for order in result.adopted
        )
        self.tally["requeued"] += len(result.requeued)

    async def poll(self) -> None:
        worker = self.worker()
        poller = Poller(worker, self.emit)
        for order in await poller.take(100, None):
            await poller.handle(order)
        self.ledger.tasks.release(worker.name)

    async def other_program(self) -> None:
        """Make a task as another program on the account, often with a text of ours."""
        self.clock.forward(seconds=_APART_S)
        text, task_type, ratio = self.draw_request()
        fields = self.rng.choice(({}, {}, {"resolution": "1080p"}, {"duration": 6}))
        plain = {"task_type": task_type, "duration": 5, "aspect_ratio": ratio}
        request = make_request(text, **plain | fields)
        self.vendor.make(request, None)
        self.clock.forward(seconds=_APART_S)

    async def pay(self) -> None:
        """Change the balance, as a payment, a refund or other spending would."""
        self.vendor.points += self.rng.choice((4_000_000, 8_000_000, 10**9, -4_000_000, -100_000))

    async def change_key(self) -> None:
        self.vendor = self.rng.choice(self.vendors)

    async def emit(self, event: object) -> None:
        """Ignore the event: the ledger has everything."""

    def check(self) -> None:
        orders = {order.order_id: order for order in self.ledger.queries.find()}
        made = [task for vendor in self.vendors for task in vendor.tasks]
        posts = Counter(task.source for task in made if task.source is not None)
        by_request: Counter[str] = Counter()
        for order in orders.values():
            by_request[str(order.request)] += posts[order.order_id] - 1
            open_or_free = order.state is State.QUEUED or order.error_class == "invalid"
            by_request[str(order.request)] += open_or_free and not posts[order.order_id]
        # Equal orders may own each other's tasks: together they never have more tasks than orders.
        self.violations += [
            f"{more} tasks too many for {request}" for request, more in by_request.items() if more > 0
        ]
        tasks = {task.task_id: task for task in made}
        for order in orders.values():
            if order.task_id is None:
                continue
            source = tasks[order.task_id].source
            if source is None or orders[source].request != order.request:
                self.violations.append(f"order {order.order_id} adopted {order.task_id} of {source}")

    def count(self) -> None:
        orders = self.ledger.queries.find()
        self.tally["orders"] += len(orders)
        self.tally["still uncertain"] += sum(order.state is State.UNCERTAIN for order in orders)
        self.tally["tasks of other programs"] += sum(
            task.source is None for vendor in self.vendors for task in vendor.tasks
        )
        journals = self.ledger.queries.journals([order.order_id for order in orders])
        self.tally["uncertain"] += sum(
            entry.to_state == State.UNCERTAIN for entries in journals.values() for entry in entries
        )


def run_history(seed: int, template: Path, folder: Path) -> History:
    """Run the history of a seed on a copy of an empty ledger."""
    path = folder / f"{seed}.db"
    shutil.copy(template, path)
    clock = Clock()
    random.seed(seed)  # polls are spread at random
    ledger = Ledger.open(f"sqlite:///{path}", clock=clock)
    try:
        history = History(seed, ledger, clock)
        asyncio.run(history.run())
        return history
    finally:
        ledger.close()
        for file in folder.glob(f"{seed}.db*"):
            file.unlink()


def run_histories(seeds: range) -> tuple[Counter[str], list[str]]:
    """Run the histories of some seeds; return what was counted, and each violation with its seed."""
    tally: Counter[str] = Counter()
    violations: list[str] = []
    with tempfile.TemporaryDirectory(prefix="histories-") as name:
        folder = Path(name)
        template = folder / "empty.db"
        Ledger.open(f"sqlite:///{template}").close()
        for seed in seeds:
            history = run_history(seed, template, folder)
            tally += history.tally
            tally["histories"] += 1
            violations += [f"seed {seed}: {violation}" for violation in dict.fromkeys(history.violations)]
    return tally, violations
