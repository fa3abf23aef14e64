"""An audit of many videos by the whole command, as a shell starts it: ledger, vendor, Dagster and S3.

The ledger is SQLite with its journal, S3 a folder behind rclone with three small objects a video, Dagster a
SQLite instance with a materialization a video and posters as large as real ones, the vendor an emulator
whose history has every task; its pages are read at the product's own rate of ten requests a second. The
first audit must be clean; then one video is deleted, and the second must name that and nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import dagster as dg
from _support import report

from seedance_dagster.cli.environ import for_children, unconfigured
from seedance_dagster.cli.local import programs
from seedance_dagster.cli.local.ports import free_port
from seedance_dagster.defs.steps.metadata import task_event, video_event
from seedance_dagster.emulator.record import Outcome, TaskRecord
from seedance_dagster.emulator.state_file import StateFile
from seedance_dagster.ledger.database import Database
from seedance_dagster.ledger.order import Order, Reported, State
from seedance_dagster.ledger.partitions import Link, link_orders
from seedance_dagster.ledger.tables.schema import journal, orders
from seedance_dagster.storage.keys import object_keys
from seedance_dagster.storage.manifest import Manifest
from seedance_dagster.storage.s3 import VideoStore

NAME, PREFIX, BUCKET = "bench", "seedance", "videos"
POINTS, VIDEO, POSTER = 3_200_000, b"a video", b"a poster"
THUMBNAIL = bytes(9000)  # the size of a poster in an event
NUMBER = "9{:07d}"  # marks every value of an order's own, so that one event is the template of all
BEGIN = datetime.now(UTC) - timedelta(days=1)
STEPS = (None, State.QUEUED, State.CLAIMED, State.SUBMITTED, State.SUCCEEDED, State.STORED)


def an_order(number: int) -> Order:
    """Return a stored order."""
    mark = NUMBER.format(number)
    fingerprint, partition = f"{mark}{'a' * 56}", f"prompt-{mark}"
    keys = object_keys(PREFIX, NAME, partition, fingerprint, 1)
    at = BEGIN + timedelta(seconds=number / 10)
    return Order(
        order_id=number + 1,
        prompt_set=NAME,
        partition=partition,
        fingerprint=fingerprint,
        attempt=1,
        state=State.STORED,
        request={
            "task_type": "seedance-2-fast",
            "prompt": f"Prompt {mark}" + " word" * 60,
            "mode": "text_to_video",
            "duration": 4,
        },
        estimated_points=POINTS,
        reserved_points=POINTS,
        price_table="goapi-2026-04",
        price_formula="0.08 USD/s x 4 s",
        tags={"campaign": "bench"},
        retries=1,
        idempotency_key="backfill",
        run_id="run",
        ordered_at=at,
        booked_at=at,
        submitted_at=at,
        task_id=str(uuid.UUID(f"{mark}{'b' * 24}")),
        points_held=POINTS,
        points_charged=POINTS,
        vendor_created_at=at,
        vendor_started_at=at + timedelta(seconds=5),
        vendor_ended_at=at + timedelta(seconds=60),
        vendor_logs=[],
        video_key=keys.video,
        poster_key=keys.poster,
        manifest_key=keys.manifest,
        size_bytes=len(VIDEO),
        poster_size_bytes=len(POSTER),
        sha256=f"{mark}{'c' * 56}",
        delivered_sha256=f"{mark}{'c' * 56}",
        poster_sha256=hashlib.sha256(POSTER).hexdigest(),
        duration_s=4.0,
        width=864,
        height=480,
        codec="h264",
        fps=24.0,
        package_version="1",
        code_version="1",
        stored_at=at + timedelta(seconds=90),
    )


def fill_ledger(url: str, all_orders: list[Order]) -> None:
    """Write all orders with their journals."""
    database = Database(url)
    with database.writing() as connection:
        connection.execute(orders.insert(), [vars(order) for order in all_orders])
        connection.execute(journal.insert(), list(journal_rows(all_orders)))
        links = [
            Link(order.prompt_set, order.partition, order.order_id, Reported.STORED) for order in all_orders
        ]
        link_orders(connection, links, at=datetime.now(UTC))
    database.close()


def journal_rows(all_orders: list[Order]) -> Iterator[dict[str, Any]]:
    """Yield the rows of five steps for each order."""
    for order in all_orders:
        for before, after in itertools.pairwise(STEPS):
            yield {
                "order_id": order.order_id,
                "at": order.ordered_at,
                "actor": "bench",
                "from_state": before,
                "to_state": after,
                "detail": {"task_id": order.task_id},
            }


def fill_bucket(folder: Path, all_orders: list[Order]) -> None:
    """Write three files for each video into the folder that the S3 server serves."""
    for order in all_orders:
        place = folder / BUCKET / str(order.video_key)
        place.parent.mkdir(parents=True)
        place.write_bytes(VIDEO)
        place.with_name("poster.jpg").write_bytes(POSTER)
        place.with_name("manifest.json").write_bytes(Manifest.of(order).to_json())
        for file in place.parent.iterdir():
            os.utime(file, (order.ordered_at.timestamp(), order.ordered_at.timestamp()))


def fill_dagster(home: Path, first: Order, count: int) -> None:
    """Report one task and one video as the product does, and the others as copies of these rows.

    Reporting them one by one would take longer than everything else here together.
    """
    store = VideoStore(None, BUCKET, PREFIX)  # type: ignore[arg-type]  # it only makes URIs
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        link = Link(first.prompt_set, first.partition, first.order_id, Reported.STORED)
        instance.report_runless_asset_event(task_event(first, link, {}))
        instance.report_runless_asset_event(video_event(first, link, store, THUMBNAIL, {}))
    events = home / "history" / "runs" / "index.db"
    with closing(sqlite3.connect(events)) as connection, connection:
        cursor = connection.execute("SELECT * FROM event_logs WHERE partition = ?", (first.partition,))
        columns = [column[0] for column in cursor.description]
        for event in cursor.fetchall():
            values = dict(zip(columns, event, strict=True)) | {"id": None}
            connection.executemany(
                f"INSERT INTO event_logs VALUES ({', '.join('?' * len(columns))})",
                ([marked(value, number) for value in values.values()] for number in range(1, count)),
            )


def marked(value: object, number: int) -> object:
    """Turn a column of the first order's event into another order's."""
    return value.replace(NUMBER.format(0), NUMBER.format(number)) if isinstance(value, str) else value


def fill_vendor(folder: Path, all_orders: list[Order]) -> None:
    """Write all tasks, completed and charged."""
    state_file = StateFile(folder)
    state_file.save(
        TaskRecord(
            task_id=str(order.task_id),
            number=order.order_id,
            source="api",
            request={"input": order.request},
            as_rendered=order.request,
            task_type=order.task_type,
            mode=order.request["mode"],
            prompt=order.request["prompt"],
            duration=4,
            resolution="720p",
            aspect_ratio="16:9",
            created_at=order.ordered_at,
            starts_at=BEGIN,
            ends_at=BEGIN,
            outcome=Outcome.COMPLETED,
            settled=True,
            price=POINTS,
            held=0,
            charged=POINTS,
            markers={},
            quirks={},
        )
        for order in all_orders
    )
    state_file.close()


class Measured(NamedTuple):
    """The measurements of an audit: report, wall and CPU time in seconds, and peak memory in MB."""

    report: dict[str, Any]
    wall: float
    cpu: float
    peak_mb: float


def audit(environ: dict[str, str], folder: Path) -> Measured:
    """Run one audit."""
    began = time.perf_counter()
    with (folder / "report.json").open("wb") as output:
        command = [sys.executable, "-m", "seedance_dagster.cli", "audit", "--json"]
        child = subprocess.Popen(command, env=environ, cwd=folder, stdout=output)
        _, _, used = os.wait4(child.pid, 0)
    child.returncode = 0  # os.wait4 has waited for it
    report = json.loads((folder / "report.json").read_text())
    wall = time.perf_counter() - began
    return Measured(report, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def delete(s3: programs.S3Service, key: str) -> None:
    """Delete an object, as anyone with the bucket's keys could."""
    client = boto3.client(
        "s3",
        endpoint_url=s3.url,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        region_name="us-east-1",
    )
    client.delete_object(Bucket=BUCKET, Key=key)


def main() -> None:
    """Set everything up, audit it twice, and print both results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=10_000)
    count = parser.parse_args().videos
    environ = for_children(unconfigured(os.environ))
    with tempfile.TemporaryDirectory(prefix="seedance-bench-") as temporary:
        folder = Path(temporary)
        all_orders = [an_order(number) for number in range(count)]
        began = time.perf_counter()
        fill_ledger(f"sqlite:///{folder}/ledger.db", all_orders)
        fill_bucket(folder / "s3", all_orders)
        fill_dagster(folder / "dagster", all_orders[0], count)
        fill_vendor(folder / "emulator", all_orders)
        set_up_s = time.perf_counter() - began
        with (
            programs.emulator(folder / "emulator", folder / "emulator.log", environ) as emulator,
            programs.s3(folder / "s3", folder / "s3.log", environ, port=free_port()) as s3,
        ):
            settings = {
                **environ,
                **emulator.environ,
                **s3.environ,
                "SEEDANCE_LEDGER_URL": f"sqlite:///{folder}/ledger.db",
                "DAGSTER_HOME": str(folder / "dagster"),
            }
            first = audit(settings, folder)
            assert first.report["findings"] == [], first.report["findings"][:3]
            assert first.report["compared"] == {
                "orders": count,
                "vendor_tasks": count,
                "materialized_partitions": count,
                "objects": 3 * count,
                "archived_entries": 0,
                "replaced_objects": 0,
            }
            delete(s3, str(all_orders[-1].video_key))
            second = audit(settings, folder)
            assert [finding["kind"] for finding in second.report["findings"]] == ["missing_in_s3"]
    aim = "30 s" if count <= 10_000 else "60 s"
    report(
        [
            ("a clean audit", f"{first.wall:.1f} s", aim),
            ("  CPU time of the command", f"{first.cpu:.1f} s", ""),
            ("  its peak memory", f"{first.peak_mb:.0f} MB", "300 MB"),
            ("an audit that names a lost video", f"{second.wall:.1f} s", aim),
            ("  CPU time of the command", f"{second.cpu:.1f} s", ""),
            ("  its peak memory", f"{second.peak_mb:.0f} MB", "300 MB"),
            ("set-up", f"{set_up_s:.1f} s", ""),
        ],
        f"{count:,} videos, with as many orders, tasks and materializations and {3 * count:,} objects",
    )


if __name__ == "__main__":
    main()
