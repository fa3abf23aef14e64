"""An engine on an emulated vendor without a network, both on one clock that is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import httpx
import stamina
from pydantic import SecretStr

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
from seedance_dagster.ledger.order import NewOrder, Order, State
from seedance_dagster.ledger.orders import OrderRequest

T = TypeVar("T")
_CALLS = {
    "faults": control.set_faults,
    "outage": control.set_outage,
    "settings": control.set_settings,
    "charge": control.set_charge,
    "tasks": control.create_out_of_band,
}
BASE_URL = "http://127.0.0.1"
POINTS = 4_000_000
"""What each order is estimated at, and what the vendor takes for it."""


class Bench:
    """What a test works with; every step is a whole worker's life."""

    def __init__(self, folder: Path, clock: Callable[..., Any], **settings: Any) -> None:
        self.clock = clock
        plain = {"queue_seconds": 60, "render_seconds": 600, "jitter": 0, "plan_limit": 1000}
        self.app = create_app(EmulatorSettings(**plain | settings), clock=clock)
        self.transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 1))
        self.ledger = Ledger.open(f"sqlite:///{folder}/ledger.db", clock=clock)
        self.services = Services(
            ledger=self.ledger,
            open_client=self.open_client,
            store=SimpleNamespace(check_writable=lambda: None),
            clock=clock,
        )
        self.events: list[Event] = []

    @property
    def vendor(self) -> Any:
        """The emulator's inside."""
        return self.app.state.emulator.vendor

    def open_client(self) -> SeedanceClient:
        return SeedanceClient(
            api_key=SecretStr("emulator-key"),
            base_url=BASE_URL,
            transport=self.transport,
            requests_per_second=1_000_000,
        )

    def under(self, **policy: Any) -> None:
        """Work under another policy from now on."""
        self.services = replace(self.services, policy=replace(Policy(), **policy))

    def tell(self, path: str, **body: Any) -> Any:
        """One of the emulator's own calls, without the way over HTTP."""
        return _CALLS[path](self.app.state.emulator, body)

    def stranger(self, text: str, *, task_type: str = "seedance-2-fast", **given: Any) -> str:
        """A task that another program makes with the same account; its id."""
        request = {"prompt": text, "mode": "text_to_video", "duration": 5, **given}
        return str(self.tell("tasks", model="seedance", task_type=task_type, input=request)["task_id"])

    def accept(self, *texts: str, name: str = "spots") -> list[Order]:
        """Orders of some texts, whose partitions count on."""
        done = len(self.ledger.queries.find(prompt_set=name))
        wanted = [
            NewOrder(
                prompt_set=name,
                partition=f"p{done + number}",
                fingerprint=f"f{done + number}",
                request={
                    "task_type": "seedance-2-fast",
                    "prompt": text,
                    "mode": "text_to_video",
                    "duration": 5,
                    "aspect_ratio": None,
                },
                estimated_points=POINTS,
                price_table="t",
                price_formula="f",
            )
            for number, text in enumerate(texts)
        ]
        return [
            order
            for order, _ in self.ledger.orders.place(wanted, OrderRequest(idempotency_key="c", run_id="r"))
        ]

    def live(self, work: Callable[[Worker], Awaitable[T]], name: str = "w") -> T:
        """Do something as a worker."""

        async def life() -> T:
            async with working(self.services, name) as worker:
                return await work(worker)

        return asyncio.run(life())

    def submit(self) -> list[Order]:
        """POST whatever may be sent now; the orders afterwards."""

        async def work(worker: Worker) -> list[Order]:
            await remember_account(worker)
            submitter = Submitter(worker, self._emit)
            taken = await submitter.take(1000, None)
            for order in taken:
                await submitter.handle(order)
            return taken

        return self.ledger.queries.get_many([order.order_id for order in self.live(work)])

    def lose(self, *texts: str, fault: str = "500-after") -> list[Order]:
        """Orders whose POST gets no clear answer; a fault that ends in -before makes no task."""
        orders = self.accept(*texts)
        self.tell("faults", **{fault: 1.0})
        self.submit()
        self.tell("faults")
        found = self.orders(*orders)
        assert all(order.state is State.UNCERTAIN for order in found)
        return found

    def poll(self) -> None:
        """Look at every task that is due."""

        async def work(worker: Worker) -> None:
            poller = Poller(worker, self._emit)
            for order in await poller.take(1000, None):
                await poller.handle(order)

        self.live(work)

    def learn(self) -> None:
        """Ask for the account."""
        self.live(remember_account)

    def reconcile(self, **options: Any) -> ReconcileResult:
        return self.live(lambda worker: reconcile(worker, **options))

    def orders(self, *orders: Order) -> list[Order]:
        """Orders as they stand now."""
        return self.ledger.queries.get_many([order.order_id for order in orders])

    def close(self) -> None:
        self.ledger.close()
        self.app.state.emulator.close()

    async def _emit(self, event: Event) -> None:
        self.events.append(event)


@contextmanager
def bench(folder: Path, clock: Callable[..., Any], **settings: Any) -> Iterator[Bench]:
    """A bench for as long as the block runs; GETs that fail are tried again without waiting."""
    with stamina.set_testing(True, attempts=3, cap=True):
        made = Bench(folder, clock, **settings)
        yield made
        made.close()
