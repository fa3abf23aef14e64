"""Videos a minute with 1, 2 and 4 runs of `seedance_advance` side by side, each a process of its own.

Each time the same orders, on a new ledger, are submitted, followed, downloaded, probed and stored with
poster and manifest. Only ratios within one run of this script mean something; more runs than processors
gain nothing.
"""

from __future__ import annotations

import asyncio
import os
import time
from multiprocessing import get_context

from _support import Servers, report, servers
from pydantic import SecretStr

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.engine.events import Event
from seedance_dagster.engine.ordering.place import place_orders
from seedance_dagster.engine.ordering.quote import quote
from seedance_dagster.engine.policy import Policy
from seedance_dagster.engine.runtime.pipeline import advance
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.worker import worker_name
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.prompts.models import Prompt, PromptSet
from seedance_dagster.storage.clients import create_client
from seedance_dagster.storage.s3 import VideoStore

VIDEOS = 120
ADVANCERS = (1, 2, 4)


def open_services(url: str, prefix: str, world: dict[str, str]) -> Services:
    """Open the engine's services, in any process."""
    import boto3

    client = create_client(lambda: boto3.Session().client("s3"))
    return Services(
        ledger=Ledger.open(url),
        open_client=lambda: SeedanceClient(
            api_key=SecretStr(world["key"]), base_url=world["url"], requests_per_second=1e6
        ),
        store=VideoStore(client, world["bucket"], prefix),
        policy=Policy(allow_private_hosts=True, preflight=False),
    )


def work(url: str, prefix: str, world: dict[str, str]) -> None:
    """Advance everything that is due, as one run does."""

    async def ignore(_event: Event) -> None:
        pass

    services = open_services(url, prefix, world)
    asyncio.run(advance(services, ignore, owner=worker_name("benchmark")))
    services.ledger.close()


def videos_a_minute(world: Servers, advancers: int) -> float:
    """Order all videos, then have some processes store them; return the videos a minute."""
    prefix = f"advancers-{advancers}"
    url = f"sqlite:///{world.folder}/{prefix}.db"
    settings = {"key": world.emulator.api_key, "url": world.emulator.url, "bucket": world.bucket}
    services = open_services(url, prefix, settings)
    prompts = PromptSet(
        name="bench",
        prompts=tuple(
            Prompt(
                id=f"p{number:03d}",
                request=GenerationRequest(
                    task_type="seedance-2-fast",
                    prompt=f"{prefix} {number}",
                    mode=Mode.TEXT_TO_VIDEO,
                    duration=4,
                ),
            )
            for number in range(VIDEOS)
        ),
    )
    request = OrderRequest(idempotency_key="benchmark", run_id="benchmark")
    quotes = quote(services, list(prompts.partitions.values()), request, prompt_set="bench")
    place_orders(services, quotes, request, budgets=[])
    context = get_context("spawn")
    processes = [context.Process(target=work, args=(url, prefix, settings)) for _ in range(advancers)]
    began = time.perf_counter()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    took = time.perf_counter() - began
    states = {state: count.orders for (_, state), count in services.ledger.workload.counts().items()}
    services.ledger.close()
    assert states == {State.STORED: VIDEOS}, states
    return 60 * VIDEOS / took


def main() -> None:
    """Measure each number of processes and print the ratios."""
    with servers("--render-seconds", "1", "--plan-limit", str(VIDEOS)) as world:
        os.environ |= world.s3.environ | {"AWS_DEFAULT_REGION": "us-east-1"}
        rates = {advancers: videos_a_minute(world, advancers) for advancers in ADVANCERS}
    report(
        [
            (f"{count} runs: videos a minute", f"{rate:.0f} ({rate / rates[1]:.2f} of one)", "")
            for count, rate in rates.items()
        ],
        f"{VIDEOS} videos of 4 s, renders of 1 s, SQLite; {os.cpu_count()} processors",
        "the time to start a process is included",
    )


if __name__ == "__main__":
    main()
