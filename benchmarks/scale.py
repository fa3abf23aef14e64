"""Commands and ticks over many prompts and orders: `status`, `plan`, a tick with nothing or one file changed.

`status` and `plan` are whole commands, each in a process of its own, with a ledger in SQLite. The orders are
those of `tests/filled_ledger.py`. The prompts of a tick are spread over files of 1,000, its code location is
that of the tests, and nothing is ordered. Figures are CPU seconds; the aims shrink in proportion to fewer
prompts than 100,000.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from _support import report

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from code_location import running_location
from filled_ledger import fill
from stores import running_s3

from seedance_dagster.ledger.ledger import Ledger

MANY = 100_000
OF_A_SET = 1000
STATUS_S, PLAN_S, TICK_S, TICK_AFTER_CHANGE_S = 2, 15, 1, 2
Row = tuple[str, str, str]


def row(name: str, seconds: float, aim: float, count: int) -> Row:
    """Return the row of a figure."""
    return (f"{name}, {count:,}", f"{seconds:.2f} s", f"{aim * count / MANY:.2f} s")


def command(folder: Path, *arguments: str) -> float:
    """Return the CPU seconds of a command on the ledger and the prompts of a folder."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SEEDANCE_")}
    environ |= {
        "SEEDANCE_LEDGER_URL": f"sqlite:///{folder}/ledger.db",
        "SEEDANCE_PROMPTS": str(folder / "prompts"),
        "DAGSTER_HOME": str(folder / "home"),
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "seedance_dagster.cli", *arguments],
        env=environ,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        check=False,  # `status` fails where something needs attention
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextlib.contextmanager
def folder_of_commands() -> Iterator[Path]:
    """Make a folder with an empty ledger, no prompts and no Dagster."""
    with tempfile.TemporaryDirectory(prefix="seedance-bench-") as name:
        folder = Path(name)
        for part in ("prompts", "home"):
            (folder / part).mkdir()
        yield folder


def status(count: int) -> Iterator[Row]:
    """Measure `status`."""
    with folder_of_commands() as folder:
        with contextlib.closing(Ledger.open(f"sqlite:///{folder}/ledger.db")) as ledger:
            fill(ledger, count)
        yield row("status of orders", command(folder, "status"), STATUS_S, count)
        yield row("status as JSON", command(folder, "status", "--json"), STATUS_S, count)


def prompts(first: int, count: int) -> str:
    """Return prompts as JSON Lines."""
    return "\n".join(
        json.dumps({"id": f"p{number}", "prompt": f"Slow aerial shot {number} over a harbour", "duration": 5})
        for number in range(first, first + count)
    )


def plan(count: int) -> Iterator[Row]:
    """Measure `plan` before anything is ordered."""
    with folder_of_commands() as folder:
        (folder / "prompts" / "harbours.jsonl").write_text(prompts(0, count))
        yield row("plan of prompts", command(folder, "plan"), PLAN_S, count)
        yield row("plan as JSON", command(folder, "plan", "--json"), PLAN_S, count)


def timed(work: Callable[[], object]) -> float:
    """Return the CPU seconds of some work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def tick(count: int) -> Iterator[Row]:
    """Measure ticks of a code location whose partitions are in sync."""
    with tempfile.TemporaryDirectory(prefix="seedance-bench-") as name:
        folder = Path(name)
        for part in ("s3", "location"):
            (folder / part).mkdir()
        with (
            running_s3(folder / "s3") as s3,
            running_location(folder / "location", s3, {"cat": "A cat"}) as location,
        ):
            files = [location.folder / "prompts" / f"s{n}.jsonl" for n in range(count // OF_A_SET)]
            for file in files:
                file.write_text(prompts(0, OF_A_SET))
            location.reload()
            location.tick()
            time.sleep(2.5)  # a file that was written just now is always read again
            location.tick()
            yield row("tick: nothing changed", timed(location.tick), TICK_S, count)
            files[0].write_text(prompts(1, OF_A_SET))
            yield row("tick: one file changed", timed(location.tick), TICK_AFTER_CHANGE_S, count)


MEASURES = {"status": status, "plan": plan, "tick": tick}


def main() -> None:
    """Measure all, or one, with the chosen number of orders and prompts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=MEASURES)
    parser.add_argument("--count", type=int, default=MANY)
    options = parser.parse_args()
    rows = [
        row
        for name, measure in MEASURES.items()
        if options.only in (None, name)
        for row in measure(options.count)
    ]
    report(rows, "CPU time of one process")


if __name__ == "__main__":
    main()
