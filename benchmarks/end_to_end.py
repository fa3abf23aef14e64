"""200 prompts from nothing to videos in S3: one run of all three assets, beside a bare asyncio script.

The script does the same HTTP and S3 work without Dagster, ledger or checks: POST, poll, download, hash,
cut a poster, put video, poster and manifest; with the same concurrency and the same time between polls. Both
use the same servers, in turns. The run is executed in this process, so no start of a process is included,
and neither has a limit of requests a second.

Dagster's own share is taken as 12 ms for each event that Dagster writes for the run: a materialization
for each thing reported, and one "planned" for each asset and partition. The cost of an event on this
machine at the time is measured too, by an op that does nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import dagster as dg
from _support import Servers, report, servers
from dagster_aws.s3 import S3Resource

from seedance_dagster import (
    LedgerResource,
    PromptSet,
    SeedanceResource,
    VideoStoreResource,
    build_seedance_definitions,
)
from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.engine.policy import Policy
from seedance_dagster.media.pictures import cut_poster
from seedance_dagster.prompts.models import Prompt

PROMPTS = 200
ROUNDS = 2
DAGSTER_EVENT_S = 0.012
POLL_EVERY_S = 2.0  # the product's shortest interval
READ_BYTES = 1024 * 1024
NAME = "bench"
QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


def prompt_set() -> PromptSet:
    """Return a set of the cheapest requests."""
    return PromptSet(
        name=NAME,
        prompts=tuple(
            Prompt(
                id=f"p{number:03d}",
                request=GenerationRequest(
                    task_type="seedance-2-fast",
                    prompt=f"Prompt {number}",
                    mode=Mode.TEXT_TO_VIDEO,
                    duration=4,
                ),
            )
            for number in range(PROMPTS)
        ),
    )


@dataclass(frozen=True)
class Run:
    """One run: its wall and CPU time in seconds, and its numbers of Dagster events and materializations."""

    wall_s: float
    cpu_s: float
    events: int
    materializations: int


def ours(world: Servers, home: Path) -> Run:
    """Materialize all three assets of all prompts in one run."""
    prompts = prompt_set()
    s3 = S3Resource(
        endpoint_url=world.s3.url,
        aws_access_key_id=world.s3.access_key,
        aws_secret_access_key=world.s3.secret_key,
        region_name="us-east-1",
    )
    definitions = build_seedance_definitions(
        [prompts],
        seedance=SeedanceResource(
            api_key=world.emulator.api_key, base_url=world.emulator.url, requests_per_second=1e6
        ),
        video_store=VideoStoreResource(bucket=world.bucket, prefix=home.name, s3=s3),
        ledger=LedgerResource(url=f"sqlite:///{home}/ledger.db"),
    )
    keys = list(prompts.partitions)
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        instance.add_dynamic_partitions(f"{NAME}_prompts", keys)
        wall, cpu = time.perf_counter(), time.process_time()
        result = dg.materialize(
            list(definitions.assets or ()),
            selection=[dg.AssetKey([NAME, asset]) for asset in ("prompts", "tasks", "videos")],
            instance=instance,
            resources=definitions.resources,
            run_config=QUIET,
            tags={
                "dagster/asset_partition_range_start": keys[0],
                "dagster/asset_partition_range_end": keys[-1],
            },
        )
        wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
        events = sum(entry.is_dagster_event for entry in instance.all_logs(result.run_id))
        return Run(wall_s, cpu_s, events, len(result.get_asset_materialization_events()))


async def script(world: Servers, prefix: str) -> None:
    """Do the same work by hand."""
    policy, store = Policy(), world.open_store(prefix)
    submitting, polling, collecting = (
        asyncio.Semaphore(count)
        for count in (policy.submit_workers, policy.poll_workers, policy.collect_workers)
    )
    tasks, headers = f"{world.emulator.url}/api/v1/task", {"X-API-Key": world.emulator.api_key}

    async def one(session: aiohttp.ClientSession, prompt: Prompt) -> None:
        async with submitting, session.post(tasks, json=prompt.request.to_wire(), headers=headers) as reply:
            task = (await reply.json())["data"]
        while not task["output"]:
            await asyncio.sleep(POLL_EVERY_S)
            async with polling, session.get(f"{tasks}/{task['task_id']}", headers=headers) as reply:
                task = (await reply.json())["data"]
        async with collecting:
            await collect(session, prompt, task)

    async def collect(session: aiohttp.ClientSession, prompt: Prompt, task: dict[str, Any]) -> None:
        digest, folder = hashlib.sha256(), f"{prefix}/{prompt.id}"
        with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
            async with session.get(task["output"]["video"]) as reply:
                async for chunk in reply.content.iter_chunked(READ_BYTES):
                    digest.update(chunk)
                    file.write(chunk)
            file.flush()
            manifest = {**task, "prompt": prompt.request.prompt, "sha256": digest.hexdigest()}
            await asyncio.to_thread(put, Path(file.name), folder, manifest)

    def put(video: Path, folder: str, manifest: dict[str, Any]) -> None:
        poster = cut_poster(video)
        store.put_file(
            f"{folder}/video.mp4", video, content_type="video/mp4", sha256=manifest["sha256"], metadata={}
        )
        store.put_bytes(f"{folder}/poster.jpg", poster, content_type="image/jpeg", metadata={})
        store.put_bytes(
            f"{folder}/manifest.json",
            json.dumps(manifest).encode(),
            content_type="application/json",
            metadata={},
        )

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(one(session, prompt) for prompt in prompt_set().prompts))


def event_seconds(home: Path) -> float:
    """Return the seconds that one event takes Dagster, in an op that does nothing else."""

    @dg.op(out={})
    def report() -> Iterator[dg.AssetMaterialization]:
        for number in range(PROMPTS):
            yield dg.AssetMaterialization("reported", partition=str(number), metadata={"number": number})

    @dg.job
    def reporting() -> None:
        report()

    with dg.DagsterInstance.local_temp(str(home)) as instance:
        result = reporting.execute_in_process(instance=instance, run_config=QUIET)
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey("reported")), limit=PROMPTS
        ).records
        times = [record.timestamp for record in records]
        assert result.success
    return (max(times) - min(times)) / (PROMPTS - 1)


def main() -> None:
    """Run both in turns and print medians of the ratio."""
    runs, scripts, costs = [], [], []
    with servers("--render-seconds", "1", "--plan-limit", str(PROMPTS)) as world:
        for round_ in range(ROUNDS):
            home = world.folder / f"run{round_}"
            home.mkdir()
            runs.append(ours(world, home))
            began = time.perf_counter()
            asyncio.run(script(world, f"script{round_}"))
            scripts.append(time.perf_counter() - began)
            home = world.folder / f"events{round_}"
            home.mkdir()
            costs.append(event_seconds(home))

    def ratio(event_s: list[float]) -> float:
        return statistics.median(
            run.wall_s / (alone + seconds * run.events)
            for run, alone, seconds in zip(runs, scripts, event_s, strict=True)
        )

    def median(field: str) -> float:
        return statistics.median(getattr(run, field) for run in runs)

    event_ms = 1000 * statistics.median(costs)
    report(
        [
            ("ours / (script + 12 ms an event)", f"{ratio([DAGSTER_EVENT_S] * ROUNDS):.2f}", "1.20"),
            (f"ours / (script + {event_ms:.1f} ms an event, as measured)", f"{ratio(costs):.2f}", ""),
            ("ours", f"{median('wall_s'):.1f} s", ""),
            ("ours, CPU time of the process", f"{median('cpu_s'):.1f} s", ""),
            ("script", f"{statistics.median(scripts):.1f} s", ""),
            ("Dagster's events", f"{median('events'):.0f}", ""),
            ("materializations among them", f"{median('materializations'):.0f}", ""),
        ],
        f"{PROMPTS} prompts, renders of 1 s, {ROUNDS} rounds in turns, medians",
    )


if __name__ == "__main__":
    main()
