"""Eight transfers of 200 MB at once, from the emulator's file host through the product's collector to S3.

The collector does what it does in a run: it downloads to a file, hashes on the way, probes, cuts the
poster, uploads, checks the stored object and notes it in the ledger. The raw way beside it only reads from a
socket, hashes, writes a file and hands it to boto3, on as many threads: it is the most that this machine can
do, with emulator and S3 server on the same cores. A byte counts once, though it is moved twice.

Memory is the peak of this process above its size when idle after one small transfer.
"""

from __future__ import annotations

import asyncio
import hashlib
import resource
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from _support import Servers, cpu_seconds, report, servers

from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.engine.events import Event, Stored
from seedance_dagster.engine.ordering.place import place_orders
from seedance_dagster.engine.ordering.quote import quote
from seedance_dagster.engine.policy import Policy
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.collect import Collector
from seedance_dagster.engine.stages.poll import Poller
from seedance_dagster.engine.stages.submit import Submitter
from seedance_dagster.engine.worker import Worker, working
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.prompts.models import Prompt, PromptSet

TRANSFERS = 8
MB = 1_000_000
VIDEO_BYTES = 200 * MB
GB = TRANSFERS * VIDEO_BYTES / 1e9
ROUNDS = 2
READ_BYTES = 1024 * 1024
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Measured:
    """One round: wall time and the CPU time of each process, in seconds."""

    wall_s: float
    own_cpu_s: float
    emulator_cpu_s: float
    s3_cpu_s: float


def peak_bytes() -> int:
    """Return the peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT


async def timed(world: Servers, work: Coroutine[Any, Any, None]) -> Measured:
    """Measure some work, and delete its objects."""

    def clocks() -> tuple[float, float, float, float]:
        servers_cpu = cpu_seconds(world.emulator.child), cpu_seconds(world.s3.child)
        return time.perf_counter(), time.process_time(), *servers_cpu

    before = clocks()
    await work
    measured = Measured(*(after - start for after, start in zip(clocks(), before, strict=True)))
    for folder in (world.folder / "s3" / world.bucket).iterdir():
        shutil.rmtree(folder)
    return measured


async def finished_orders(worker: Worker, name: str, count: int) -> list[Order]:
    """Make orders whose videos the vendor has rendered, and take them for collecting."""

    async def emit(event: Event) -> None:
        """Ignore the event."""

    request = GenerationRequest(task_type="seedance-2-fast", prompt=name, mode=Mode.TEXT_TO_VIDEO)
    prompts = PromptSet(
        name=name, prompts=tuple(Prompt(id=f"p{number}", request=request) for number in range(count))
    )
    services, order_request = worker.services, OrderRequest(idempotency_key=name, run_id=name)
    quotes = quote(services, list(prompts.partitions.values()), order_request, prompt_set=name)
    await asyncio.to_thread(place_orders, services, quotes, order_request)
    submitter, poller = Submitter(worker, emit), Poller(worker, emit)
    for order in await submitter.take(count, None):
        await submitter.handle(order)
    while any(state == State.SUBMITTED for _, state in services.ledger.workload.counts()):
        for order in await poller.take(count, None):
            await poller.handle(order)
        await asyncio.sleep(0.1)
    return await Collector(worker, emit).take(count, None)


async def collect(worker: Worker, orders: list[Order]) -> None:
    """Transfer all videos at once."""
    events: list[Event] = []

    async def emit(event: Event) -> None:
        events.append(event)

    collector = Collector(worker, emit)
    await asyncio.gather(*(collector.handle(order) for order in orders))
    assert [type(event) for event in events] == [Stored] * len(orders), events


async def raw(world: Servers, orders: list[Order]) -> None:
    """Move the same videos without the product."""
    client = world.open_s3()
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def move(order: Order) -> None:
        digest = hashlib.sha256()
        with tempfile.TemporaryFile() as file:
            with direct.open(str(order.video_url)) as reply:
                while chunk := reply.read(READ_BYTES):
                    digest.update(chunk)
                    file.write(chunk)
            file.seek(0)
            client.put_object(Bucket=world.bucket, Key=f"raw/{order.order_id}.mp4", Body=file)

    with ThreadPoolExecutor(TRANSFERS) as threads:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(threads, move, order) for order in orders))


async def measure(world: Servers) -> tuple[list[Measured], list[Measured], int]:
    """Measure both ways in turns, and the memory of ours."""
    services = Services(
        ledger=Ledger.open(f"sqlite:///{world.folder}/ledger.db"),
        open_client=world.open_client,
        store=world.open_store("ours"),
        policy=Policy(allow_private_hosts=True),
    )
    ours, baseline, memory = [], [], 0
    async with working(services, "benchmark") as worker:
        await collect(worker, await finished_orders(worker, "small", 1))  # everything is imported now
        await asyncio.to_thread(world.set_emulator, video_bytes_at_least=VIDEO_BYTES)
        for round_ in range(ROUNDS):
            orders = await finished_orders(worker, f"large{round_}", TRANSFERS)
            idle = peak_bytes()
            ours.append(await timed(world, collect(worker, orders)))
            memory = memory or peak_bytes() - idle  # later rounds start from the peak of the first
            baseline.append(await timed(world, raw(world, orders)))
    services.ledger.close()
    return ours, baseline, memory


def main() -> None:
    """Measure and print medians."""
    with servers("--render-seconds", "0", "--set", "queue_seconds=0") as world:
        ours, baseline, memory = asyncio.run(measure(world))

    def median(rounds: list[Measured], field: str) -> float:
        return statistics.median(getattr(measured, field) for measured in rounds)

    share = statistics.median(alone.wall_s / our.wall_s for our, alone in zip(ours, baseline, strict=True))
    report(
        [
            ("MB a second", f"{1000 * GB / median(ours, 'wall_s'):.0f}", "300"),
            ("MB a second, raw", f"{1000 * GB / median(baseline, 'wall_s'):.0f}", ""),
            ("ours / raw", f"{share:.2f}", ""),
            ("peak memory above idle, MB", f"{memory / MB:.0f}", "64"),
            ("CPU seconds a GB: this process", f"{median(ours, 'own_cpu_s') / GB:.1f}", ""),
            ("CPU seconds a GB: this process, raw", f"{median(baseline, 'own_cpu_s') / GB:.1f}", ""),
            ("CPU seconds a GB: S3 server", f"{median(ours, 's3_cpu_s') / GB:.1f}", ""),
            ("CPU seconds a GB: S3 server, raw", f"{median(baseline, 's3_cpu_s') / GB:.1f}", ""),
            ("CPU seconds a GB: emulator", f"{median(ours, 'emulator_cpu_s') / GB:.1f}", ""),
        ],
        f"{TRANSFERS} transfers of {VIDEO_BYTES // MB} MB at once, {ROUNDS} rounds in turns, medians",
        f"files in {tempfile.gettempdir()}; TMPDIR names another folder, such as one in memory",
    )


if __name__ == "__main__":
    main()
