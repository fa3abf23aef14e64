"""A backfill of 5,000 partitions through `dagster dev`, launched over GraphQL like a click in the UI.

Measured from the launch: the first POST, the runs, videos a second, and the time of the UI's own queries
meanwhile. Emulator and S3 run on the same machine, and without the rate limit the machine sets the pace.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from _support import report

from seedance_dagster.cli.environ import unconfigured
from seedance_dagster.cli.local.stack import Stack, running_stack

NAME = "large"
SLOTS = 200
DEFINITIONS = """import os, dagster as dg
from seedance_dagster import build_seedance_definitions
from seedance_dagster.defs.definitions import resources_of
from seedance_dagster.settings import Settings
settings = Settings.from_environ(os.environ)
seedance, video_store, ledger = resources_of(settings, os.environ, seedance={"requests_per_second": 200})
defs = dg.Definitions.merge(
    build_seedance_definitions(settings.prompts, seedance=seedance, video_store=video_store, ledger=ledger),
    dg.Definitions(executor=dg.in_process_executor),
)
"""
AIM_FIRST_POST_S = 60.0
AIM_VIDEOS_S = 10.0
AIM_PAGE_S = 2.0
_RUNS = """query { runsOrError(limit: 200) { ... on Runs { results { runId status jobName } } } }"""
_PARTITIONS = """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
    assetPartitionStatuses { ... on DefaultPartitionStatuses {
        materializedPartitions failedPartitions } } } } }"""
_PAGES = {"runs": (_RUNS, {}), "partitions": (_PARTITIONS, {"key": {"path": [NAME, "videos"]}})}


@dataclass
class Watched:
    """The observations of a running backfill; times in seconds since its launch."""

    pages: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in _PAGES})
    runs: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    ended_s: float = 0.0
    state: str = ""


def ask(stack: Stack, query: str, variables: dict[str, Any]) -> Any:
    """Return the data of a GraphQL query, sent as by the UI's pages."""
    reply = httpx.post(
        f"{stack.dagster.url}/graphql",
        json={"query": query, "variables": variables},
        timeout=120,
        trust_env=False,
    )
    return reply.json()["data"]


def stored(folder: Path) -> int:
    """Return the number of stored videos."""
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(f"file:{folder}/dagster/seedance/ledger.db?mode=ro", uri=True)) as ledger,
    ):
        [count] = ledger.execute("select count(*) from seedance_orders where state = 'stored'").fetchone()
        return int(count)
    return 0  # the ledger has no order yet


def partitions(stack: Stack, count: int) -> list[str]:
    """Wait until the sensor has added the partitions, and return them."""
    while len(keys := stack.dagster.api.partition_keys([NAME, "prompts"])) < count:
        stack.check()
        time.sleep(1)
    return keys


def watch(stack: Stack, folder: Path, backfill: str, within_s: float) -> Watched:
    """Send the UI's queries until the backfill ends or the time is over."""
    watched, began = Watched(), time.monotonic()
    while (now := time.monotonic() - began) < within_s:
        stack.check()
        for name, (query, variables) in _PAGES.items():
            query_began = time.monotonic()
            data = ask(stack, query, variables)
            watched.pages[name].append(time.monotonic() - query_began)
            if name == "runs":
                watched.runs = Counter(run["status"] for run in data["runsOrError"]["results"])
        watched.stored, watched.ended_s = stored(folder), now
        print(f"  {now:5.0f} s: {watched.stored} stored, runs {dict(watched.runs)}", flush=True)
        if stack.dagster.api.backfill(backfill).ended:
            break
        time.sleep(5)
    watched.state = stack.dagster.api.backfill(backfill).status
    for asset in ("prompts", "tasks", "videos"):
        node = ask(stack, _PARTITIONS, {"key": {"path": [NAME, asset]}})["assetNodeOrError"]
        failed = node["assetPartitionStatuses"]["failedPartitions"]
        print(f"  failed partitions of {asset}: {len(failed)} {failed[:5]}", flush=True)
    return watched


def main() -> None:
    """Run it once and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=5000)
    parser.add_argument("--minutes", type=float, default=30.0, help="the longest time to watch")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seedance-bench-") as temporary:
        folder = Path(temporary)
        texts = [
            {"id": f"p{number:05}", "prompt": f"a cat, take {number}"} for number in range(options.prompts)
        ]
        prompts = folder / f"{NAME}.jsonl"
        prompts.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
        definitions = folder / "definitions.py"
        definitions.write_text(DEFINITIONS, encoding="utf-8")
        environ = {**unconfigured(os.environ), "SEEDANCE_PROMPTS": str(prompts)}
        emulator = ("--render-seconds", "5", "--plan-limit", str(SLOTS))
        with running_stack(
            folder,
            environ,
            definitions=definitions,
            emulated=True,
            embedded_s3=True,
            emulator_options=emulator,
        ) as stack:
            balance = {"points": 10**11}  # the default balance would pay for 4,000 videos
            emulator_url = stack.environ["GOAPI_BASE_URL"]
            httpx.post(f"{emulator_url}/emulator/settings", json=balance, trust_env=False).raise_for_status()
            keys = partitions(stack, options.prompts)
            launched = time.time()
            backfill = stack.dagster.api.launch_backfill(
                [[NAME, asset] for asset in ("prompts", "tasks", "videos")], keys, NAME
            )
            click_s = time.time() - launched
            watched = watch(stack, folder, backfill, options.minutes * 60)
            books = httpx.get(f"{emulator_url}/emulator/books", trust_env=False, timeout=120).json()
    posts = sorted(
        datetime.fromisoformat(task["created_at"]).timestamp() - launched for task in books["tasks"]
    )
    twice = sum(entry["tasks"] > 1 for entry in books["prompts"].values())
    report(
        [
            ("answer to the click", f"{click_s:.1f} s", ""),
            ("first POST after the click", f"{posts[0]:.1f} s", f"{AIM_FIRST_POST_S:.0f} s"),
            ("prompts paid for / twice", f"{len(books['prompts'])} / {twice}", f"{options.prompts} / 0"),
            ("videos", f"{watched.stored}", f"{options.prompts}"),
            ("videos a second", f"{watched.stored / watched.ended_s:.1f}", f"{AIM_VIDEOS_S:.0f}"),
            ("runs that failed", f"{watched.runs['FAILURE']}", "0"),
            *(
                (
                    f"page of {name}: median, longest",
                    f"{statistics.median(times):.2f}, {max(times):.2f} s",
                    "2 s",
                )
                for name, times in watched.pages.items()
            ),
        ],
        f"{options.prompts} prompts, {SLOTS} slots, renders of 5 s",
        f"after {watched.ended_s:.0f} s the backfill was {watched.state}, runs: {dict(watched.runs)}",
    )


if __name__ == "__main__":
    main()
