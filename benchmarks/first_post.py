"""Time from the start of a run's step to its first POST, with 1,000 prompts in one run, or more.

Orders are sent before anything is reported to Dagster. The wait if prompts were reported first is measured in
the same run: it is the time that the events of 1,000 prompts take. The run is stopped after those events.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import dagster as dg
import end_to_end
import httpx
from _support import Servers, report, servers

from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.ledger import Ledger

PROMPTS = 1000
AIM_S = 3.0
SLOTS = 20


@contextmanager
def stopped_when_reported(home: Path) -> Iterator[None]:
    """Interrupt the block, as a terminated run would be, once 1,000 prompts are reported."""
    ended = threading.Event()

    def reported() -> int:
        with suppress(LedgerError):
            ledger = Ledger.open(f"sqlite:///{home}/ledger.db")
            try:
                names = [
                    (end_to_end.NAME, key)
                    for key in list(ledger.partitions.requests(end_to_end.NAME))[:PROMPTS]
                ]
                return sum(ledger.reports.prompt(*name) is not None for name in names)
            finally:
                ledger.close()
        return 0

    def watch() -> None:
        while not ended.wait(1.0):
            if reported() >= PROMPTS:
                os.kill(os.getpid(), signal.SIGINT)
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        with suppress(dg.DagsterExecutionInterruptedError):
            yield
    finally:
        ended.set()
        watcher.join()


def measure(world: Servers, home: Path) -> tuple[float, float, int]:
    """Return the seconds to the first POST, the seconds of the prompts' events, and the POSTs by then."""
    with stopped_when_reported(home):
        end_to_end.ours(world, home)
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        [run] = instance.get_runs()
        [start, *_] = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_START)
        records_filter = dg.AssetRecordsFilter(asset_key=dg.AssetKey([end_to_end.NAME, "prompts"]))
        events = instance.fetch_materializations(records_filter, limit=PROMPTS).records
    times = sorted(record.timestamp for record in events)
    books = httpx.get(f"{world.emulator.url}/emulator/books", trust_env=False, timeout=60).json()
    posts = sorted(datetime.fromisoformat(task["created_at"]).timestamp() for task in books["tasks"])
    return posts[0] - start.timestamp, times[-1] - times[0], sum(post < times[-1] for post in posts)


def main() -> None:
    """Run it once and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=PROMPTS, help="prompts in the run")
    end_to_end.PROMPTS = prompts = parser.parse_args().prompts
    began = time.perf_counter()
    with servers("--render-seconds", "5", "--plan-limit", str(SLOTS)) as world:
        home = world.folder / "run"
        home.mkdir()
        first_s, prompts_s, posts = measure(world, home)
    report(
        [
            ("first POST after the start of the step", f"{first_s:.1f} s", f"{AIM_S:.0f} s"),
            ("events of 1,000 prompts", f"{prompts_s:.1f} s", ""),
            ("wait, of that with 1,000 reported first", f"{first_s / (first_s + prompts_s):.2f}", ""),
            ("POSTs while they were reported", f"{posts}", ""),
        ],
        f"{prompts} prompts in one run, {SLOTS} slots, renders of 5 s",
        f"{time.perf_counter() - began:.0f} s in all",
    )


if __name__ == "__main__":
    main()
