"""An engine on an emulated vendor, a store in memory, and a real S3 server."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import boto3
import httpx
import stamina
from factories import NOW, OrderFactory, make_prompt_set, open_ledger
from pydantic import SecretStr

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.cli.environ import for_children
from seedance_dagster.cli.local.ports import free_port
from seedance_dagster.cli.local.programs import S3Service, s3
from seedance_dagster.emulator import control
from seedance_dagster.emulator.app import create_app
from seedance_dagster.emulator.server import RunningEmulator, running_emulator
from seedance_dagster.emulator.vendor_settings import EmulatorSettings
from seedance_dagster.engine.account import remember_account
from seedance_dagster.engine.events import Event, Placed
from seedance_dagster.engine.ordering.place import place_orders
from seedance_dagster.engine.ordering.quote import quote
from seedance_dagster.engine.policy import Pacing, Policy
from seedance_dagster.engine.reconcile.reconcile import ReconcileResult, reconcile
from seedance_dagster.engine.runtime.background import in_background
from seedance_dagster.engine.runtime.pipeline import advance
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.poll import Poller
from seedance_dagster.engine.stages.submit import Submitter
from seedance_dagster.engine.worker import Worker, working
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.storage.s3 import ListedObject, ObjectInfo, StoreError, VideoStore, write_freely

T = TypeVar("T")
FAST = Pacing(take_s=0.02, end_check_s=0.02, maintenance_s=0.1, signed_s=300.0)
API_KEY = "emulator-key"
BASE_URL = "http://127.0.0.1"
KNOWN = "known"
"""The set of orders that only show what the vendor does."""


class MemoryStore(VideoStore):
    """A video store whose bucket is a dictionary.

    Attributes:
        objects: The bucket's content by key.
        reads: The keys that were read, in order.
        puts: How many objects were written.
        before_put: Called with each key before it is written.
    """

    def __init__(self, objects: Mapping[str, bytes] | None = None, *, prefix: str = "seedance") -> None:
        super().__init__(None, "videos", prefix)  # type: ignore[arg-type]
        self.objects: dict[str, bytes] = dict(objects or {})
        self.reads: list[str] = []
        self.puts = 0
        self.before_put: Callable[[str], None] = lambda _: None

    def check_writable(self) -> None:
        """Accept it: a dictionary can be written."""

    def put_if_absent(self, key: str, body: bytes, *, content_type: str) -> None:
        self.objects.setdefault(key, body)

    def listing(self, folder: str) -> dict[str, ListedObject]:
        return {
            key: ListedObject(len(body), hashlib.md5(body).hexdigest(), NOW)
            for key, body in self.objects.items()
            if key.startswith(f"{self.prefix}/{folder}")
        }

    def head(self, key: str) -> ObjectInfo | None:
        body = self.objects.get(key)
        return None if body is None else ObjectInfo(len(body), "", {})

    def digest(self, key: str, into: BinaryIO | None = None) -> str:
        body = self.get_bytes(key)
        if into is not None:
            into.write(body)
        return hashlib.sha256(body).hexdigest()

    def copy(self, key: str, to: str) -> None:
        self.objects[to] = self.get_bytes(key)

    def get_bytes(self, key: str) -> bytes:
        self.reads.append(key)
        if key not in self.objects:
            raise StoreError(f"nothing at {key}")
        return self.objects[key]

    def put_bytes(
        self,
        key: str,
        body: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        overwrite: bool = False,
        before_write: Callable[[], None] = write_freely,
    ) -> None:
        self.puts += 1
        self.before_put(key)
        self.objects[key] = body


def no_client() -> SeedanceClient:
    """Fail: what uses these services must not reach the vendor."""
    raise AssertionError("nothing may be sent to the vendor")


def control_emulator(url: str, path: str, **body: Any) -> Any:
    """Change how a running emulator behaves."""
    reply = httpx.post(f"{url}/emulator/{path}", json=body, timeout=60, trust_env=False)
    assert reply.is_success, reply.text
    return reply.json()


def read_books(url: str, part: str = "") -> Any:
    """Return a running emulator's own accounts, or a part of them, such as "/summary"."""
    return httpx.get(f"{url}/emulator/books{part}", timeout=60, trust_env=False).json()


class FastClock:
    """A wall clock that starts now and runs many times as fast, so that waits are short."""

    def __init__(self, speed: float = 100) -> None:
        self._start, self._began, self._speed = datetime.now(UTC), time.monotonic(), speed

    def __call__(self) -> datetime:
        return self._start + timedelta(seconds=(time.monotonic() - self._began) * self._speed)

    def forward(self, **span: float) -> None:
        """Jump ahead."""
        self._start += timedelta(**span)


@dataclass
class Engine:
    """An engine whose vendor is an emulator that is reached by HTTP."""

    emulator: RunningEmulator
    services: Services
    folder: Path

    @property
    def ledger(self) -> Ledger:
        return self.services.ledger

    def books(self) -> dict[str, Any]:
        return read_books(self.emulator.url)

    def control(self, path: str, **body: Any) -> Any:
        return control_emulator(self.emulator.url, path, **body)

    def place(
        self, *texts: str, idempotency_key: str = "c", name: str = "spots", **options: Any
    ) -> list[Placed]:
        """Order the prompts of a set with these texts."""
        key = idempotency_key
        request = OrderRequest(idempotency_key=key, run_id=f"run-{key}", **options)
        partitions = list(make_prompt_set(*texts, name=name).partitions.values())
        quotes = quote(self.services, partitions, request, prompt_set=name)
        return place_orders(self.services, quotes, request)

    def run(self, placed: list[Placed] | None = None, owner: str = "w") -> list[Event]:
        """Do all the work there is, or wait for some orders; return the events."""
        only = None if placed is None else [each.order.order_id for each in placed]
        with in_background(partial(advance, self.services, owner=owner, only=only)) as events:
            return list(events)

    def states(self, prompt_set: str = "spots") -> dict[str, State]:
        """Return the state of each partition's newest order."""
        return {name: order.state for name, order in self.ledger.queries.latest(prompt_set).items()}

    def assert_paid_once(self, prompts: int) -> None:
        """Check that each prompt was accepted once, and that the ledger booked what the vendor charged."""
        books = self.books()
        assert {text: entry["tasks"] for text, entry in books["prompts"].items()} == dict.fromkeys(
            books["prompts"], 1
        )
        assert len(books["prompts"]) == prompts
        assert books["summary"]["balanced"]
        assert books["summary"]["key_leaks"] == 0
        charged = sum(order.points_charged or 0 for order in self.ledger.queries.find())
        assert charged == books["summary"]["points_charged"]


@contextmanager
def running_engine(
    folder: Path,
    store: VideoStore,
    policy: Mapping[str, Any] | None = None,
    *,
    speed: float = 100,
    **settings: Any,
) -> Iterator[Engine]:
    """Run an emulator and an engine on it until the block ends; nothing waits longer than it must."""
    quick = {"queue_seconds": 0.0, "render_seconds": 0.0, "hang_seconds": 1.2, "slow_seconds": 0.3}
    waits = {"linger_s": 3.0, "grace_s": 1.0, "lease_s": 36_000.0, "pacing": FAST}
    clock = FastClock(speed)
    with (
        running_emulator(EmulatorSettings(**{"plan_limit": 100} | quick | settings)) as emulator,
        open_ledger(folder, clock) as ledger,
        stamina.set_testing(True, attempts=10, cap=True),
    ):

        def open_client() -> SeedanceClient:
            return SeedanceClient(
                api_key=SecretStr(API_KEY),
                base_url=emulator.url,
                upload_url=f"{emulator.url}/api/ephemeral_resource",
                requests_per_second=1000,
                timeout_s=10,  # a busy machine answers late; a call that hangs is closed by the emulator
                post_timeout_s=10,
            )

        services = Services(
            ledger=ledger,
            open_client=open_client,
            store=store,
            policy=Policy(**{"allow_private_hosts": True} | waits | dict(policy or {})),
            clock=clock,
        )
        yield Engine(emulator, services, folder)


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
        """The emulator's inside."""
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
        """Change how the emulator behaves, without the way over HTTP."""
        return _CONTROLS[path](self.app.state.emulator, body)

    def create_out_of_band(self, text: str, *, task_type: str = "seedance-2-fast", **fields: Any) -> str:
        """Make a task as another program with the same account would; return its id."""
        request = {"prompt": text, "mode": "text_to_video", "duration": 5, **fields}
        return str(self.control("tasks", model="seedance", task_type=task_type, input=request)["task_id"])

    def place(
        self, *texts: str, name: str = "spots", task_type: str = "seedance-2-fast", **fields: Any
    ) -> list[Order]:
        """Order some texts; the numbers of their partitions go on from the last."""
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
        """Make a task of ours that is certain, with a reply at once; the history is held against it."""
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


@contextmanager
def running_s3(folder: Path) -> Iterator[S3Service]:
    """Run a real S3 server on a folder."""
    with s3(folder, folder.parent / "s3.log", for_children(os.environ), port=free_port()) as service:
        yield service


def open_store(server: S3Service, bucket: str, prefix: str) -> VideoStore:
    """Return a store on a server."""
    client = boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.environ["AWS_REGION"],
    )
    return VideoStore(client, bucket, prefix)
