"""An engine on an emulated vendor, a store in memory, and a real S3 server."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import stamina
from factories import make_prompt_set, open_ledger
from pydantic import SecretStr

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.emulator.server import RunningEmulator, running_emulator
from seedance_dagster.emulator.vendor_settings import EmulatorSettings
from seedance_dagster.engine.events import Event, Placed
from seedance_dagster.engine.ordering.place import place_orders
from seedance_dagster.engine.ordering.quote import quote
from seedance_dagster.engine.policy import Pacing, Policy
from seedance_dagster.engine.runtime.background import in_background
from seedance_dagster.engine.runtime.pipeline import advance
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.storage.s3 import VideoStore

T = TypeVar("T")
FAST = Pacing(take_s=0.1, end_check_s=0.05, maintenance_s=0.1, signed_s=300.0)
API_KEY = "emulator-key"
BASE_URL = "http://127.0.0.1"
LOOPBACK: dict[str, Any] = {"trust_env": False, "verify": False}
"""Options of httpx for a server on this machine; reading certificates takes longer than the request."""
KNOWN = "known"
"""The set of orders that only show what the vendor does."""


def no_client() -> SeedanceClient:
    """Fail: these services must not reach the vendor."""
    raise AssertionError("nothing may be sent to the vendor")


def control_emulator(url: str, path: str, **body: Any) -> Any:
    """Change how a running emulator behaves."""
    reply = httpx.post(f"{url}/emulator/{path}", json=body, timeout=60, **LOOPBACK)
    assert reply.is_success, reply.text
    return reply.json()


def read_books(url: str, part: str = "") -> Any:
    """Return a running emulator's own accounts, or a part of them, such as "/summary"."""
    return httpx.get(f"{url}/emulator/books{part}", timeout=60, **LOOPBACK).json()


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
    """An engine whose vendor is an emulator reached over HTTP."""

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
        """Do all pending work, or wait for some orders; return the events."""
        only = None if placed is None else [placement.order.order_id for placement in placed]
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
