"""Export of 200 accepted videos of 4 MB from S3 to a folder, against a plain copy of the same bytes.

The plain copy reads the same objects with boto3, as many at once, and writes each to a file: without rows,
hashes, an inventory or a card. Both take turns, so that they meet the same load. An export should have at
least 80 % of the copy's speed. A repeated export reads nothing from S3.

The S3 server runs on this machine and takes its CPU, so everything is measured a second time with answers
that begin 50 ms later, as those of a store behind a network do.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from _support import Servers, report, servers

from seedance_dagster.datasets.export.destination import FolderDestination
from seedance_dagster.datasets.export.export import export
from seedance_dagster.datasets.export.plan import Format, plan_export, select_accepted
from seedance_dagster.datasets.export.splits import DEFAULT_SPLITS, Splits
from seedance_dagster.ledger.database import Database
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.partitions import Link, link_orders
from seedance_dagster.ledger.tables.schema import orders
from seedance_dagster.ledger.verdict import Judgement, Verdict
from seedance_dagster.storage.s3 import VideoStore

VIDEOS, SIZE, AT_ONCE, ROUNDS, NAME = 200, 4_000_000, 4, 5, "bench"
FORMATS = (Format.VIDEOFOLDER, Format.WEBDATASET)
NOW = datetime.now(UTC)
POINTS = 3_200_000
AIM = "80 %"
DELAYS_S = (0.0, 0.05)


def an_order(number: int, content: bytes) -> Order:
    """Return a stored order; each prompt has one video."""
    sha256, folder = hashlib.sha256(content).hexdigest(), f"seedance/{NAME}/p{number}"
    return Order(
        order_id=number + 1,
        prompt_set=NAME,
        partition=f"p{number}",
        fingerprint=f"{number:064x}",
        take=1,
        attempt=1,
        state=State.STORED,
        request={
            "task_type": "seedance-2-fast",
            "prompt": f"Prompt {number}",
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
        ordered_at=NOW,
        booked_at=NOW,
        stored_at=NOW,
        task_id=f"task-{number}",
        video_key=f"{folder}/video.mp4",
        manifest_key=f"{folder}/manifest.json",
        sha256=sha256,
        size_bytes=len(content),
        duration_s=4.0,
    )


def fill(ledger_url: str, store: VideoStore) -> list[str]:
    """Store and accept the videos; return their keys."""
    made = []
    for number in range(VIDEOS):
        content = os.urandom(SIZE)
        order = an_order(number, content)
        store.client.put_object(Bucket=store.bucket, Key=str(order.video_key), Body=content)
        made.append(order)
    database = Database(ledger_url)
    with database.writing() as connection:
        connection.execute(orders.insert(), [vars(order) for order in made])
        link_orders(connection, [Link(NAME, order.partition, order.order_id) for order in made], at=NOW)
    database.close()
    ledger = Ledger.open(ledger_url)
    accepted = dict.fromkeys((order.partition for order in made), Judgement(Verdict.ACCEPTED))
    ledger.verdicts.give(NAME, accepted, reviewer="bench")
    ledger.close()
    return [str(order.video_key) for order in made]


def copy_plainly(store: VideoStore, keys: list[str], folder: Path) -> None:
    """Copy the objects to files."""

    def one(key: str) -> None:
        target = folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            shutil.copyfileobj(
                store.client.get_object(Bucket=store.bucket, Key=key)["Body"], file, 1024 * 1024
            )

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, keys))


def export_as(form: Format, ledger: Ledger, store: VideoStore, folder: Path) -> None:
    """Export the set, as the command does."""
    selection = select_accepted(ledger, store, NAME, Splits.parse(DEFAULT_SPLITS))
    export(plan_export(selection, form), FolderDestination(folder))


def measure(running: Servers, keys: list[str], ledger: Ledger, delay_s: float) -> dict[str, list[float]]:
    """Return the seconds of each way, round by round."""
    store = running.open_store("seedance")
    store.client.meta.events.register("before-send.s3.GetObject", lambda **_: time.sleep(delay_s))
    times: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        begin = time.perf_counter()
        work()
        times.setdefault(name, []).append(time.perf_counter() - begin)

    copied = running.folder / "copied"
    for _ in range(ROUNDS):
        timed("copy", lambda: copy_plainly(store, keys, copied))
        shutil.rmtree(copied)
        for form in FORMATS:
            place = running.folder / form
            timed(form, lambda form=form, place=place: export_as(form, ledger, store, place))
            timed(f"{form} again", lambda form=form, place=place: export_as(form, ledger, store, place))
            shutil.rmtree(place)
    return times


def rows_of(delay_s: float, times: dict[str, list[float]]) -> list[tuple[str, str, str]]:
    """Return the rows of the report."""
    seconds = {name: statistics.median(durations) for name, durations in times.items()}
    rows = [(f"S3 after {delay_s * 1000:.0f} ms: plain copy", f"{seconds['copy']:.2f} s", "")]
    for form in FORMATS:
        speed = statistics.median(copy / own for copy, own in zip(times["copy"], times[form], strict=True))
        rows.append((f"{form}", f"{seconds[form]:.2f} s", ""))
        rows.append((f"{form}: share of the copy's speed", f"{speed:.0%}", AIM))
        rows.append((f"{form}: nothing changed", f"{seconds[f'{form} again']:.2f} s", ""))
    return rows


def main() -> None:
    rows = []
    with servers() as running:
        url = f"sqlite:///{running.folder / 'ledger.db'}"
        keys = fill(url, running.open_store("seedance"))
        ledger = Ledger.open(url)
        for delay_s in DELAYS_S:
            rows += rows_of(delay_s, measure(running, keys, ledger, delay_s))
        ledger.close()
    report(rows, f"{VIDEOS} videos of {SIZE / 1e6:.0f} MB, {AT_ONCE} at once, medians of {ROUNDS} rounds")


if __name__ == "__main__":
    main()
