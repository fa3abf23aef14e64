"""Cost against size: CPU microseconds for a prompt, in sets of 100, 1,000, 10,000 and 100,000.

Each figure is taken in a process of its own, which has done the same with 100 prompts before, so that imports
and compiled statements do not count. Ledgers are SQLite files, S3 is a dictionary, and the prompts of a tick
are in files of 1,000. Figures are medians of several rounds, except one round with 100,000 prompts. Sizes
from 10,000 on take long and are left out unless `--sizes` names them. `--store` writes figures to
docs/images, and `--draw` makes the chart of all stored ones, for which alone matplotlib is needed.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from _support import report

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

SIZES = (100, 1000, 10_000, 100_000)
ROUNDS = {100: 5, 1000: 5, 10_000: 3, 100_000: 1}
FIGURES, CHART = ROOT / "docs/images/growth.json", ROOT / "docs/images/growth.svg"
OF_A_FILE = 1000
AIM = 1.2
Work = Callable[[], object]
Figures = dict[str, dict[str, float]]
"""Microseconds for a prompt, by measure and size."""


def prompts(first: int, count: int) -> str:
    """Return prompts as JSON Lines."""
    return "\n".join(
        json.dumps({"id": f"p{number}", "prompt": f"Slow aerial shot {number} over a harbour", "duration": 5})
        for number in range(first, first + count)
    )


@contextmanager
def read(folder: Path, size: int) -> Iterator[Work]:
    """Read a prompt file for the first time."""
    from seedance_dagster.prompts import load_prompt_sets

    file = folder / "harbours.jsonl"
    file.write_text(prompts(0, size))
    yield lambda: load_prompt_sets(file)


@contextmanager
def plan(folder: Path, size: int) -> Iterator[Work]:
    """Plan a loaded set before anything is ordered, without garbage collection, like the command `plan`."""
    from seedance_dagster.engine.ordering.plan import plan_set
    from seedance_dagster.ledger.orders import OrderRequest

    with services_of(folder) as services:
        planned = prompt_set(folder, size)
        gc.disable()
        yield lambda: plan_set(services, planned, OrderRequest(idempotency_key="", run_id=""))
        gc.enable()


@contextmanager
def place(folder: Path, size: int) -> Iterator[Work]:
    """Place an order for each prompt of a plan."""
    from seedance_dagster.engine.ordering.plan import plan_set
    from seedance_dagster.ledger.orders import OrderRequest

    with services_of(folder) as services:
        request = OrderRequest(idempotency_key="growth", run_id="run")
        wanted = [quote.order for quote in plan_set(services, prompt_set(folder, size), request).quotes]
        yield lambda: services.ledger.orders.place(wanted, request)


@contextmanager
def index(folder: Path, size: int) -> Iterator[Work]:
    """Write the index of a set for the first time."""
    from index import NAME, store_videos

    from seedance_dagster.engine.indexing import refresh_index
    from seedance_dagster.ledger.database import Database

    with services_of(folder) as services:
        database = Database(url_of(folder))
        store_videos(database, range(size))
        database.close()
        yield lambda: refresh_index(services, NAME, owner="growth", force=True)


@contextmanager
def status(folder: Path, size: int) -> Iterator[Work]:
    """Read the figures of `status` for a number of orders, 3 % of which are open."""
    from factories import NOW
    from filled_ledger import fill

    from seedance_dagster.api.limits import Limits
    from seedance_dagster.cli.status_report import read_status
    from seedance_dagster.engine.throttle import read_throttle

    with services_of(folder) as services:
        ledger, policy = services.ledger, services.policy
        fill(ledger, size)
        throttle = read_throttle(ledger, policy, Limits.load(), now=NOW)
        yield lambda: read_status(ledger, now=NOW, throttle=throttle, stale_after=timedelta(hours=12))


@contextmanager
def tick(folder: Path, size: int) -> Iterator[Work]:
    """Tick, with nothing changed since the last tick."""
    from code_location import running_location
    from stores import running_s3

    for part in ("s3", "location"):
        (folder / part).mkdir()
    with (
        running_s3(folder / "s3") as s3,
        running_location(folder / "location", s3, {"cat": "A cat"}) as location,
    ):
        for number in range(max(1, size // OF_A_FILE)):
            file = location.folder / "prompts" / f"s{number}.jsonl"
            file.write_text(prompts(0, min(size, OF_A_FILE)))
        location.reload()
        location.tick()
        time.sleep(2.5)  # a file that was written just now is always read again
        location.tick()
        yield location.tick


def url_of(folder: Path) -> str:
    """Return the URL of the ledger in a folder."""
    return f"sqlite:///{folder}/ledger.db"


@contextmanager
def services_of(folder: Path) -> Iterator[Any]:
    """Open services with a ledger on disk and a bucket in memory."""
    from stores import MemoryStore

    from seedance_dagster.engine.services import Services
    from seedance_dagster.ledger.ledger import Ledger

    def nobody() -> Any:
        raise AssertionError

    ledger = Ledger.open(url_of(folder))
    yield Services(ledger=ledger, open_client=nobody, store=MemoryStore(), clock=lambda: datetime.now(UTC))
    ledger.close()


def prompt_set(folder: Path, size: int) -> Any:
    """Return a loaded set of prompts."""
    from seedance_dagster.prompts import load_prompt_sets

    file = folder / "harbours.jsonl"
    if not file.exists():
        file.write_text(prompts(0, size))
    [loaded] = load_prompt_sets(file).sets
    return loaded


MEASURES = {
    "read": read,
    "plan": plan,
    "place orders": place,
    "tick, nothing changed": tick,
    "index, first time": index,
    "status": status,
}


def cost(name: str, size: int) -> float:
    """Return the CPU seconds of one round, in this process."""
    with (
        tempfile.TemporaryDirectory(prefix="seedance-bench-") as folder,
        MEASURES[name](Path(folder), size) as work,
    ):
        gc.collect()
        began = time.process_time()
        work()
        return time.process_time() - began


def one(name: str, size: int) -> None:
    """Print the median cost of some rounds in seconds."""
    cost(name, SIZES[0])
    print(statistics.median(cost(name, size) for _ in range(ROUNDS.get(size, 1))))


def measure(names: Sequence[str], sizes: Sequence[int]) -> Figures:
    """Return microseconds for a prompt, by measure and size."""
    figures: Figures = {}
    for name in names:
        for size in sizes:
            command = [sys.executable, __file__, "--one", name, str(size)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            seconds = float(done.stdout.split()[-1])
            figures.setdefault(name, {})[str(size)] = round(seconds / size * 1e6, 2)
            print(f"  {name}, {size:,}: {seconds:.3f} s", flush=True)
    return figures


def store(figures: Figures) -> Figures:
    """Add figures to the file of all measures and sizes; return all of them."""
    stored: Figures = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else {}
    merged = {}
    for name in MEASURES:
        by_size = stored.get(name, {}) | figures.get(name, {})
        merged[name] = {size: by_size[size] for size in sorted(by_size, key=int)}
    FIGURES.write_text(json.dumps(merged, indent=2) + "\n", "utf-8")
    return merged


def draw() -> None:
    """Draw the chart of the stored figures."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "seedance"  # the same figures give the same file
    from matplotlib import pyplot as plt

    stored: Figures = json.loads(FIGURES.read_text("utf-8"))
    figure, axes = plt.subplots(figsize=(8, 4.5))
    for name, by_size in stored.items():
        sizes = sorted(map(int, by_size))
        axes.plot(sizes, [by_size[str(size)] for size in sizes], marker="o", label=name)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="prompts",
        ylabel="CPU microseconds for a prompt",
    )
    axes.set_xticks(SIZES, [f"{size:,}" for size in SIZES])
    axes.grid(visible=True, alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(CHART, bbox_inches="tight", metadata={"Date": None})


def main() -> None:
    """Measure the chosen figures, or store or draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=MEASURES, action="append")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES[:2])
    parser.add_argument("--one", nargs=2, metavar=("MEASURE", "SIZE"), help="one figure, in this process")
    parser.add_argument(
        "--store", action="store_true", help="add the figures to those of other sizes in docs/images"
    )
    parser.add_argument("--draw", action="store_true", help="draw the chart of the stored figures")
    options = parser.parse_args()
    if options.one:
        one(options.one[0], int(options.one[1]))
    elif options.draw:
        draw()
    else:
        figures = measure(options.only or list(MEASURES), options.sizes)
        if options.store:
            figures = store(figures)
        ratios = [
            (f"{name}: 100,000 against 1,000", f"{by_size['100000'] / by_size['1000']:.2f}", f"{AIM}")
            for name, by_size in figures.items()
            if {"1000", "100000"} <= by_size.keys()
        ]
        report(ratios, f"load average {os.getloadavg()[1]:.1f}")


if __name__ == "__main__":
    main()
