"""An engine whose clock only the test moves, each step the whole life of a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
import stamina
from factories import open_ledger
from harness import API_KEY, BASE_URL, KNOWN
from order_factory import OrderFactory
from pydantic import SecretStr
from stores import MemoryStore

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.emulator import control
from seedance_dagster.emulator.app import create_app
from seedance_dagster.emulator.vendor_settings import EmulatorSettings
from seedance_dagster.engine.account import remember_account
from seedance_dagster.engine.events import Event
from seedance_dagster.engine.policy import Policy
from seedance_dagster.engine.reconcile.reconcile import ReconcileResult, reconcile
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.poll import Poller
from seedance_dagster.engine.stages.submit import Submitter
from seedance_dagster.engine.worker import Worker, working
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order, State

T = TypeVar("T")

_CONTROLS = {
    "faults": control.set_faults,
    "outage": control.set_outage,
    "settings": control.set_settings,
    "charge": control.set_charge,
    "tasks": control.create_out_of_band,
}


class SteppedEngine:
    """An engine whose vendor is an emulator in this process, both on one clock that only the test moves.

    Each step is the whole life of a worker.

    Attributes:
        orders: Orders in the ledger, in any state; the vendor knows nothing of those.
        events: What the stages reported.
    """

    def __init__(self, ledger: Ledger, clock: Callable[..., Any], **settings: Any) -> None:
        self.ledger, self.clock = ledger, clock
        slow = {"queue_seconds": 60, "render_seconds": 600, "jitter": 0, "plan_limit": 1000}
        self.app = create_app(EmulatorSettings(**slow | settings), clock=clock)
        self.transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 1))
        self.services = Services(
            ledger=ledger, open_client=self.open_client, store=MemoryStore(), clock=clock
        )
        self.orders = OrderFactory(ledger, clock)
        self.events: list[Event] = []

    @property
    def vendor(self) -> Any:
        """The emulator behind the API."""
        return self.app.state.emulator.vendor

    def open_client(self, base_url: str = BASE_URL) -> SeedanceClient:
        return SeedanceClient(
            api_key=SecretStr(API_KEY),
            base_url=base_url,
            upload_url=f"{BASE_URL}/api/ephemeral_resource",
            transport=self.transport,
            requests_per_second=1_000_000,
        )

    @property
    def account_name(self) -> str:
        """The name of the account that it uses."""
        return self.open_client().account_name

    def set_policy(self, **policy: Any) -> None:
        """Work under another policy from now on."""
        self.services = replace(self.services, policy=replace(Policy(), **policy))

    def control(self, path: str, **body: Any) -> Any:
        """Change how the emulator behaves, without HTTP."""
        return _CONTROLS[path](self.app.state.emulator, body)

    def create_out_of_band(self, text: str, *, task_type: str = "seedance-2-fast", **fields: Any) -> str:
        """Make a task as another program with the same account would; return its id."""
        request = {"prompt": text, "mode": "text_to_video", "duration": 5, **fields}
        return str(self.control("tasks", model="seedance", task_type=task_type, input=request)["task_id"])

    def place(
        self, *texts: str, name: str = "spots", task_type: str = "seedance-2-fast", **fields: Any
    ) -> list[Order]:
        """Order some texts; the numbers of their partitions continue from the last."""
        done = len(self.ledger.queries.find(prompt_set=name))
        placed = []
        for number, text in enumerate(texts, done):
            request = {
                "task_type": task_type,
                "prompt": text,
                "mode": "text_to_video",
                "duration": 5,
                "aspect_ratio": None,
                **fields,
            }
            placed += self.orders.place(
                f"p{number}",
                prompt_set=name,
                fingerprint=f"{name}-{number}",
                request=request,
                idempotency_key="c",
            )
        return placed

    def work(self, step: Callable[[Worker], Awaitable[T]], name: str = "w") -> T:
        """Do something as a worker."""

        async def life() -> T:
            async with working(self.services, name) as worker:
                return await step(worker)

        return asyncio.run(life())

    def submit(self) -> list[Order]:
        """POST all orders that may be sent now; return them as they are afterwards."""

        async def step(worker: Worker) -> list[Order]:
            await remember_account(worker)
            submitter = Submitter(worker, self._emit)
            taken = await submitter.take(1000, None)
            for order in taken:
                await submitter.handle(order)
            return taken

        return self.read(*self.work(step))

    def know(self, *, task_type: str = "seedance-2-fast") -> Order:
        """Make a task of ours whose POST is answered, which the history must list to be trusted."""
        [order] = self.place("a known one", name=KNOWN, task_type=task_type)
        [known] = self.submit_only(order)
        return known

    def submit_only(self, *orders: Order) -> list[Order]:
        """POST some orders and no others."""

        async def step(worker: Worker) -> None:
            submitter = Submitter(worker, self._emit)
            for order in await submitter.take(1000, [order.order_id for order in orders]):
                await submitter.handle(order)

        self.work(step)
        return self.read(*orders)

    def lose(self, *texts: str, fault: str = "500-after") -> list[Order]:
        """Order texts whose POST gets no clear answer; a fault that ends in -before makes no task."""
        orders = self.place(*texts)
        self.control("faults", **{fault: 1.0})
        self.submit()
        self.control("faults")
        lost = self.read(*orders)
        assert all(order.state is State.UNCERTAIN for order in lost)
        return lost

    def poll(self) -> None:
        """Poll all tasks that are due."""

        async def step(worker: Worker) -> None:
            poller = Poller(worker, self._emit)
            for order in await poller.take(1000, None):
                await poller.handle(order)

        self.work(step)

    def read_account(self) -> None:
        """Ask the vendor for the account."""
        self.work(remember_account)

    def reconcile(self, **options: Any) -> ReconcileResult:
        return self.work(lambda worker: reconcile(worker, **options))

    def reconcile_twice(self) -> ReconcileResult:
        """Reconcile, and again after the grace period; a task of ours was made meanwhile."""
        self.clock.forward(seconds=5)
        self.know()
        self.reconcile(now=True)
        self.clock.forward(seconds=self.services.policy.grace_s + 60)
        self.poll()
        return self.reconcile(now=True)

    def read(self, *orders: Order) -> list[Order]:
        """Return orders as they are in the ledger now."""
        return self.ledger.queries.get_many([order.order_id for order in orders])

    def states(self) -> list[State]:
        """Return the states of all orders but the known ones."""
        return [order.state for order in self.ledger.queries.find() if order.prompt_set != KNOWN]

    def doubts(self) -> list[str]:
        """Return the reason of each uncertain order."""
        return [order.error_message or "" for order in self.ledger.queries.find(states={State.UNCERTAIN})]

    def steps_of(self, order: Order) -> list[str]:
        """Return the states that an order went through."""
        return [entry.to_state for entry in self.ledger.queries.journal(order.order_id)]

    async def _emit(self, event: Event) -> None:
        self.events.append(event)


@contextmanager
def stepped_engine(folder: Path, clock: Callable[..., Any], **settings: Any) -> Iterator[SteppedEngine]:
    """Run an engine on an emulator in this process; GETs that fail are tried again without waiting."""
    with stamina.set_testing(True, attempts=3, cap=True), open_ledger(folder, clock) as ledger:
        engine = SteppedEngine(ledger, clock, **settings)
        yield engine
        engine.app.state.emulator.close()
