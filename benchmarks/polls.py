"""Polls of 10,000 and 100,000 tasks in flight at 10 requests a second, on a virtual clock.

The planner is the engine's own; vendor, ledger and rate limit are simulated (`tests/simulated_polls.py`). The
lag is the time from a task's end at the vendor until a GET saw it. Tasks of three kinds end, and are sent, at
2.5 a second, so that POSTs, one GET each and the history fit into the rate.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from _support import report

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from odd_histories import History, filtering, honest, late, lying, stopping
from simulated_polls import Figures, Simulation

RATE, ENDS = 10.0, 2.5
WARM_UP_S, MEASURED_S = 1500.0, 1500.0
LARGE = 50_000  # from this number of tasks on, the simulation takes longer to settle
MODES: dict[str, tuple[History | None, bool]] = {
    "as before: neither load nor history counts": (None, False),
    "no history": (None, True),
    "history": (honest, True),
    "history 90 s late": (late(90), True),
    "history 600 s late": (late(600), True),
    "history without 30 % of the tasks": (filtering(0.3), True),
    "history wrong about 5 %": (lying(0.05), True),
    "history wrong about 30 %": (lying(0.3), True),
    "history that stops when measuring begins": (stopping(WARM_UP_S), True),
}
AIMS = {"history": ("60 s", "3")}
Row = tuple[str, str, str]


def rows_of(name: str, figures: Figures) -> list[Row]:
    """Return the rows of one kind of history."""
    lag, gets = AIMS.get(name, ("", ""))
    at = ", ".join(f"{figures.lag_at(share):,.0f}" for share in (0.5, 0.95, 1))
    pages = figures.requests["page"] / figures.seconds
    return [
        (f"{name}: mean lag", f"{figures.mean_lag:,.0f} s", lag),
        ("  half, 95 % and all of them within", f"{at} s", ""),
        ("  GETs a task", f"{figures.gets_a_task:.2f}", gets),
        ("  ends and pages a second", f"{len(figures.lags) / figures.seconds:.2f}, {pages:.2f}", ""),
    ]


def main() -> None:
    """Simulate each kind of history and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000, help="tasks in flight")
    parser.add_argument(
        "--only",
        nargs="*",
        default=list(MODES),
        metavar="HISTORY",
        help="simulate only these histories, by their names in the table",
    )
    arguments = parser.parse_args()
    longer = 3 if arguments.tasks >= LARGE else 1
    rows: list[Row] = []
    for name in arguments.only:
        history, planned = MODES[name]
        simulation = Simulation(
            arguments.tasks, rate=RATE, mean_s=arguments.tasks / ENDS, history=history, planned=planned
        )
        figures = simulation.run(warm_up_s=longer * WARM_UP_S, measured_s=longer * MEASURED_S)
        rows += rows_of(name, figures)
    report(rows, f"{arguments.tasks:,} tasks in flight at {RATE:.0f} requests a second")


if __name__ == "__main__":
    main()
