"""An engine on a real emulator and a real S3 server, on a clock that runs fast."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import stamina
from file_host import FileHost, running_file_host
from pydantic import SecretStr

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.cli.environ import for_children
from seedance_dagster.cli.local.ports import free_port
from seedance_dagster.cli.local.programs import S3Service, s3
from seedance_dagster.emulator.server import RunningEmulator, running_emulator
from seedance_dagster.emulator.vendor_settings import EmulatorSettings
from seedance_dagster.engine.events import Event, Placed
from seedance_dagster.engine.ordering.place import place_orders
from seedance_dagster.engine.ordering.quote import quote
from seedance_dagster.engine.policy import Policy
from seedance_dagster.engine.runtime import pipeline
from seedance_dagster.engine.runtime.background import in_background
from seedance_dagster.engine.runtime.pipeline import advance
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages import stage
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.prompts.models import Prompt, PromptSet
from seedance_dagster.storage.s3 import VideoStore

KEY = "emulator-key"
AT_ONCE = {
    "queue_seconds": 0.0,
    "render_seconds": 0.0,
    "plan_limit": 100,
    "hang_seconds": 1.2,
    "slow_seconds": 0.3,
}


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
class Plant:
    """The engine's surroundings in a test, and the emulator's side of the story."""

    emulator: RunningEmulator
    services: Services
    folder: Path

    def books(self) -> dict[str, Any]:
        return httpx.get(f"{self.emulator.url}/emulator/books", trust_env=False).json()

    def tell(self, path: str, **body: Any) -> Any:
        reply = httpx.post(f"{self.emulator.url}/emulator/{path}", json=body, trust_env=False)
        assert reply.is_success, reply.text
        return reply.json()

    def accept(
        self, *texts: str, idempotency_key: str = "c", name: str = "spots", **options: Any
    ) -> list[Placed]:
        key = idempotency_key
        request = OrderRequest(idempotency_key=key, run_id=f"run-{key}", **options)
        partitions = list(prompt_set(*texts, name=name).partitions.values())
        quotes = quote(self.services, partitions, request, prompt_set=name)
        return place_orders(self.services, quotes, request)

    def run(self, accepted: list[Placed] | None = None, owner: str = "w") -> list[Event]:
        only = None if accepted is None else [each.order.order_id for each in accepted]
        with in_background(lambda: advance(self.services, owner=owner, only=only)) as events:
            return list(events)


def prompt_set(*texts: str, name: str = "spots") -> PromptSet:
    """A set of the cheapest requests, its ids p0, p1, ..."""
    return PromptSet(
        name=name,
        prompts=tuple(
            Prompt(
                id=f"p{number}",
                request=GenerationRequest(
                    task_type="seedance-2-fast", prompt=text, mode=Mode.TEXT_TO_VIDEO, duration=4
                ),
            )
            for number, text in enumerate(texts)
        ),
    )


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Service]:
    """A real S3 server on a folder, for all tests of a process."""
    folder = tmp_path_factory.mktemp("s3")
    with s3(folder, folder.parent / "s3.log", for_children(os.environ), port=free_port()) as service:
        yield service


@pytest.fixture
def store(s3_server: S3Service, tmp_path: Path) -> VideoStore:
    """A video store under a prefix of its own."""
    return open_store(s3_server, s3_server.environ["SEEDANCE_S3_BUCKET"], tmp_path.name)


def open_store(server: S3Service, bucket: str, prefix: str) -> VideoStore:
    """A store on the server."""
    environ = server.environ
    client = boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        region_name=environ["AWS_REGION"],
    )
    return VideoStore(client, bucket, prefix)


@pytest.fixture(scope="session")
def host() -> Iterator[FileHost]:
    """A file host that may do anything, for all tests of a process."""
    with running_file_host() as server:
        yield server


@pytest.fixture
def plant(store: VideoStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """An emulator and an engine on it, for as long as the block runs; nothing waits longer than it must."""
    monkeypatch.setattr(stage, "_LOOK_AGAIN_S", 0.02)
    monkeypatch.setattr(pipeline, "_CHECK_S", 0.02)
    monkeypatch.setattr(pipeline, "_UPKEEP_S", 0.1)

    @contextmanager
    def start(policy: dict[str, Any] | None = None, **settings: Any) -> Iterator[Plant]:
        rules = {"linger_s": 3.0, "grace_s": 1.0, "lease_s": 36_000.0, "allow_private_hosts": True}
        with running_emulator(EmulatorSettings(**AT_ONCE | settings)) as emulator:
            clock = FastClock()
            ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=clock)
            services = Services(
                ledger=ledger,
                open_client=lambda: SeedanceClient(
                    api_key=SecretStr(KEY), base_url=emulator.url, requests_per_second=1000, timeout_s=0.8
                ),
                store=store,
                policy=Policy(**rules | (policy or {})),
                clock=clock,
            )
            yield Plant(emulator, services, tmp_path)
            ledger.close()

    with stamina.set_testing(True, attempts=10, cap=True):
        yield start
