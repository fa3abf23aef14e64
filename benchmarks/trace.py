"""A trace among 100,000 orders: the whole command, as a shell starts it, and its work alone.

The ledger is SQLite with 100,000 orders of ten sets, every hundredth partition ordered three times, each
order with its journal. Traced are a renamed local mp4 of 5 MB, a hash, an s3:// URI, a task id and a
partition. The command also asks an S3 server on this machine for the files; a bare
`python -c "import sqlalchemy, boto3"` beside it shows the least cost of a start.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from _support import report

from seedance_dagster.cli.environ import for_children, unconfigured
from seedance_dagster.cli.local.ports import free_port
from seedance_dagster.cli.local.programs import s3
from seedance_dagster.engine.journals import JournalReader
from seedance_dagster.ledger.database import Database
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.tables.schema import journal, orders
from seedance_dagster.storage.keys import object_keys
from seedance_dagster.trace.chain import read_trace
from seedance_dagster.trace.origin import find_origin

ORDERS, SETS, ROUNDS = 100_000, 10, 5
VIDEO_BYTES = 5_000_000
PREFIX, BUCKET = "seedance", "videos"
AIM = "1 s"
STEPS = (None, State.QUEUED, State.CLAIMED, State.SUBMITTED, State.SUCCEEDED, State.STORED)


def digest(number: int) -> str:
    """Return a hash that is the same in every run."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def order_rows(video_sha256: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of stored orders; the middle one has the traced video."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(ORDERS):
        partition, attempt = (number - number % 100, number % 100 + 1) if number % 100 < 3 else (number, 1)
        prompt_set, name = f"set{partition // (ORDERS // SETS)}", f"prompt-{partition}"
        keys = object_keys(PREFIX, prompt_set, name, digest(partition), attempt)
        at = begin + timedelta(seconds=number)
        sha256 = video_sha256 if number == ORDERS // 2 else digest(-number - 1)
        yield {
            "order_id": number + 1,
            "prompt_set": prompt_set,
            "partition": name,
            "fingerprint": digest(partition),
            "attempt": attempt,
            "state": State.STORED,
            "request": {"task_type": "seedance-2-fast", "prompt": f"Prompt {number} " + "word " * 60},
            "estimated_points": 4_000_000,
            "reserved_points": 4_000_000,
            "price_table": "t",
            "price_formula": "f",
            "tags": {"campaign": "bench"},
            "retries": 1,
            "idempotency_key": f"backfill {number // 500}",
            "run_id": f"run {number // 500}",
            "ordered_at": at,
            "booked_at": at,
            "task_id": f"task-{number}",
            "points_charged": 4_000_000,
            "video_key": keys.video,
            "poster_key": keys.poster,
            "manifest_key": keys.manifest,
            "size_bytes": VIDEO_BYTES,
            "sha256": sha256,
            "delivered_sha256": sha256,
            "stored_at": at,
            "reported": "stored",
        }


def fill(url: str, video_sha256: str) -> dict[str, Any]:
    """Write all orders and their journals; return the row of the traced order."""
    rows = list(order_rows(video_sha256))
    steps = [
        {
            "order_id": row["order_id"],
            "at": row["ordered_at"],
            "actor": row["run_id"],
            "from_state": before,
            "to_state": after,
            "detail": {"task_id": row["task_id"]},
        }
        for row in rows
        for before, after in itertools.pairwise(STEPS)
    ]
    database = Database(url)
    with database.writing() as connection:
        connection.execute(orders.insert(), rows)
        connection.execute(journal.insert(), steps)
    database.close()
    return rows[ORDERS // 2]


def medians(work: Callable[[], object]) -> tuple[float, float]:
    """Return median seconds of wall time, and of CPU in children, after a first round that does not count."""
    times = []
    for _ in range(ROUNDS + 1):
        began, cpu = time.perf_counter(), children_s()
        work()
        times.append((time.perf_counter() - began, children_s() - cpu))
    wall, cpu = zip(*times[1:], strict=True)
    return statistics.median(wall), statistics.median(cpu)


def children_s() -> float:
    """Return the CPU time of all ended child processes, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def no_store() -> NoReturn:
    """Fail: nothing is archived."""
    raise AssertionError


def inside(url: str, thing: str) -> None:
    """Do the work of the command alone, with the ledger opened again but without S3."""
    ledger = Ledger.open(url)
    origin = find_origin(ledger, thing, bucket=BUCKET)
    trace = read_trace(ledger, JournalReader(ledger, no_store), origin)
    assert len(trace.partitions) == 1
    assert json.dumps(trace.as_json(), default=str)
    ledger.close()


def main() -> None:
    """Set everything up, measure each form, and print medians."""
    with tempfile.TemporaryDirectory(prefix="seedance-bench-") as temporary:
        folder = Path(temporary)
        video = folder / "renamed.mp4"
        video.write_bytes(random.Random(0).randbytes(VIDEO_BYTES))
        url = f"sqlite:///{folder}/ledger.db"
        stored = fill(url, hashlib.sha256(video.read_bytes()).hexdigest())
        forms = {
            "a local file": str(video),
            "a hash": stored["sha256"],
            "an s3 uri": f"s3://{BUCKET}/{stored['video_key']}",
            "a task id": stored["task_id"],
            "a partition": f"{stored['prompt_set']}/{stored['partition']}",
        }
        rows = []
        for name, thing in forms.items():
            wall, _ = medians(lambda thing=thing: inside(url, thing))
            rows.append((f"in process, {name}", f"{1000 * wall:.0f} ms", ""))
        environ = for_children(unconfigured(os.environ))
        with s3(folder / "s3", folder / "s3.log", environ, port=free_port()) as server:
            settings = environ | server.environ | {"SEEDANCE_LEDGER_URL": url}

            def start(*command: str) -> tuple[str, str]:
                wall, cpu = medians(
                    lambda: subprocess.run(
                        command, env=settings, cwd=folder, stdout=subprocess.DEVNULL, check=True
                    )
                )
                return f"{wall:.2f} s", f"CPU time {cpu:.2f} s"

            program = str(Path(sys.executable).with_name("seedance-dagster"))
            for name, thing in forms.items():
                wall, cpu = start(program, "trace", thing)
                rows += [(f"whole command, {name}", wall, AIM), (f"  {cpu}", "", "")]
            wall, cpu = start(sys.executable, "-c", "import sqlalchemy, boto3")
            rows += [("a bare start of Python with SQLAlchemy and boto3", wall, ""), (f"  {cpu}", "", "")]
    report(rows, f"{ORDERS:,} orders with {len(STEPS) - 1} journal rows each, medians of {ROUNDS}")


if __name__ == "__main__":
    main()
