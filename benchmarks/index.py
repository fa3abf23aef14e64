"""Index and checks of 50,000 videos when more come: CPU seconds and bytes written, against a full rewrite.

The first figure is the earlier form of the index: all rows in one file. Others follow after 100 more videos,
after one more, and after one verdict. All go to a real S3 server, and count everything from the look for work
to the figures for Dagster's event. Then come the checks after one more video, against those of all videos;
there, each object is an empty file.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from _support import Servers, report, servers

from seedance_dagster.defs.steps.checked import look_at_all, look_at_changes
from seedance_dagster.defs.steps.checks import check_results
from seedance_dagster.defs.steps.index import index_metadata
from seedance_dagster.defs.video_checks import CHECKS
from seedance_dagster.engine.indexing import refresh_index
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.database import Database
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.partitions import Link, link_orders
from seedance_dagster.ledger.tables.schema import orders, partitions
from seedance_dagster.ledger.verdict import Judgement, Verdict
from seedance_dagster.storage.index import index_row, to_jsonl
from seedance_dagster.storage.index_files import part_format
from seedance_dagster.storage.s3 import VideoStore

NAME, PREFIX, AT_ONCE, ROUNDS = "bench", "seedance", 1000, 5
BEGIN = datetime(2026, 4, 6, tzinfo=UTC)
POINTS = 3_200_000
EMPTY = {"size_bytes": 0, "poster_size_bytes": 0}


class CountingStore(VideoStore):
    """A store that counts the written bytes."""

    written = 0

    def replace_version(self, key: str, body: bytes, **options: Any) -> None:
        self.written += len(body)
        super().replace_version(key, body, **options)


def an_order(number: int) -> Order:
    """Return a stored order of a prompt of its own."""
    at = BEGIN + timedelta(seconds=20 * number)
    sha256 = hashlib.sha256(f"{number}".encode()).hexdigest()
    folder = f"{PREFIX}/{NAME}/p{number}/{sha256[:12]}-a1"
    return Order(
        order_id=number + 1,
        prompt_set=NAME,
        partition=f"p{number}",
        fingerprint=sha256,
        take=1,
        attempt=1,
        state=State.STORED,
        request={
            "task_type": "seedance-2-fast",
            "prompt": f"Shot {number}: {sha256[:40]}, slow pan over a harbour at dawn, film grain",
            "mode": "text_to_video",
            "duration": 4,
            "aspect_ratio": "16:9",
        },
        estimated_points=POINTS,
        reserved_points=POINTS,
        points_held=POINTS,
        points_charged=POINTS,
        price_table="goapi-2026-04",
        price_formula="0.08 USD/s x 4 s",
        idempotency_key=f"run-{number // 1000}",
        run_id=f"run-{number // 1000}",
        ordered_at=at,
        booked_at=at,
        stored_at=at + timedelta(minutes=4),
        vendor_created_at=at,
        vendor_ended_at=at + timedelta(minutes=3),
        task_id=f"{sha256[:8]}-{sha256[8:12]}-{sha256[12:16]}-{sha256[16:20]}-{sha256[20:32]}",
        video_key=f"{folder}/video.mp4",
        poster_key=f"{folder}/poster.jpg",
        manifest_key=f"{folder}/manifest.json",
        sha256=sha256,
        size_bytes=2_000_000 + number,
        poster_size_bytes=40_000 + number,
        duration_s=4.0,
        width=1280,
        height=720,
        fps=24.0,
        codec="h264",
    )


def store_videos(database: Database, numbers: Iterable[int], **facts: object) -> None:
    """Write stored orders to the ledger, with their links and the requests of their partitions."""
    for chunk in chunked(numbers, AT_ONCE):
        made = [replace(an_order(number), **facts) for number in chunk]  # type: ignore[arg-type]
        with database.writing() as connection:
            connection.execute(orders.insert(), [vars(order) for order in made])
            asked = [
                {"prompt_set": NAME, "partition": order.partition, "fingerprint": order.fingerprint}
                | {"take": 1, "scope": "", "tags": {"campaign": f"c{order.order_id % 20}"}}
                for order in made
            ]
            connection.execute(partitions.insert(), asked)
            links = [Link(NAME, order.partition, order.order_id) for order in made]
            link_orders(connection, links, at=BEGIN)


def taken(work: Callable[[], object], store: CountingStore) -> tuple[float, float, int]:
    """Return the CPU and wall time of some work in this process, in seconds, and the bytes it writes."""
    store.written = 0
    cpu, begin = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - begin, store.written


def whole(services: Services) -> None:
    """Write all rows as JSON Lines and as Parquet, as before the index had parts."""
    videos = services.ledger.videos.current(NAME)
    rows = [index_row(NAME, video, services.store.uri) for video in videos]
    for name, body in (("all.jsonl", to_jsonl(rows)), ("all.parquet", part_format().encode(rows))):
        key = f"{PREFIX}/{NAME}/{name}"
        services.store.replace_version(key, body, content_type="application/octet-stream", over=None)
    services.ledger.set_spend.read(NAME, max_tags=5)


def measure(servers: Servers, videos: int) -> list[tuple[str, str, str]]:
    """Return the rows of the report."""
    url = f"sqlite:///{servers.folder / 'ledger.db'}"
    ledger = Ledger.open(url)
    database = Database(url)
    store_videos(database, range(videos))
    with database.writing() as connection:
        connection.execute(sa.text("ANALYZE"))
    store = CountingStore(servers.open_s3(), servers.bucket, PREFIX)
    services = Services(ledger=ledger, open_client=servers.open_client, store=store, clock=utc_now)

    def refresh() -> None:
        written = refresh_index(services, NAME, owner=f"bench {os.getpid()}", force=True)
        assert written is not None
        index_metadata(written, services)

    def figures(title: str, taken: tuple[float, float, int], aim: str) -> tuple[str, str, str]:
        cpu, seconds, written = taken
        return (title, f"{cpu:.2f} CPU s, {seconds:.2f} s, {written / 1e6:.2f} MB written", aim)

    def median(change: Callable[[int], object]) -> tuple[float, float, int]:
        rounds = []
        for number in range(ROUNDS):
            change(number)
            rounds.append(taken(refresh, store))
        return tuple(statistics.median(column) for column in zip(*rounds, strict=True))  # type: ignore[return-value]

    first = taken(refresh, store)
    before = taken(lambda: whole(services), store)
    hundred = median(lambda n: store_videos(database, range(videos + 100 * n, videos + 100 * (n + 1))))
    one_more = median(lambda n: store_videos(database, [videos + 1000 + n]))
    accept = Judgement(Verdict.ACCEPTED)
    verdict = median(lambda n: ledger.verdicts.give(NAME, {f"p{977 * n}": accept}, reviewer="ann"))
    ledger.close()
    database.close()
    return [
        figures("all rows in one file, as before", before, ""),
        figures("the first time, in parts", first, ""),
        figures("100 more videos", hundred, "0.30 CPU s, 1 MB"),
        figures("one more video", one_more, ""),
        figures("one verdict", verdict, ""),
        ("100 more videos / all rows", f"{hundred[0] / before[0]:.3f} of the CPU time", ""),
    ]


def put_objects(servers: Servers, numbers: Iterable[int]) -> None:
    """Make the objects of videos, as files behind the S3 server."""
    for order in map(an_order, numbers):
        for key in (order.video_key, order.poster_key, order.manifest_key):
            path = servers.folder / "s3" / servers.bucket / str(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def measure_checks(servers: Servers, videos: int) -> list[tuple[str, str, str]]:
    """Return the rows of the report on checks, of a set whose objects are all empty."""
    url = f"sqlite:///{servers.folder / 'checks.db'}"
    ledger, database = Ledger.open(url), Database(url)
    put_objects(servers, range(videos + ROUNDS))
    store_videos(database, range(videos), **EMPTY)
    with database.writing() as connection:
        connection.execute(sa.text("ANALYZE"))
    store = CountingStore(servers.open_s3(), servers.bucket, PREFIX)
    services = Services(ledger=ledger, open_client=servers.open_client, store=store, clock=utc_now)
    first = taken(lambda: list(check_results(services, NAME, CHECKS, [], look_at_all)), store)
    rounds = []
    for number in range(ROUNDS):
        store_videos(database, [videos + number], **EMPTY)
        changed = lambda: list(check_results(services, NAME, CHECKS, [], look_at_changes))  # noqa: E731
        rounds.append(taken(changed, store)[:2])
    cpu, seconds = (statistics.median(column) for column in zip(*rounds, strict=True))
    ledger.close()
    database.close()
    return [
        (f"checks of all {videos:,} videos", f"{first[0]:.2f} CPU s, {first[1]:.2f} s", ""),
        ("checks after one more", f"{cpu:.2f} CPU s, {seconds:.2f} s", "0.50 CPU s"),
        ("checks after one more / of all", f"{cpu / first[0]:.3f} of the CPU time", ""),
    ]


def utc_now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=50_000)
    parser.add_argument("--checked", type=int, default=50_000)
    options = parser.parse_args()
    with servers() as running:
        rows = measure(running, options.videos) if options.videos else []
        report(rows + (measure_checks(running, options.checked) if options.checked else []))


if __name__ == "__main__":
    main()
