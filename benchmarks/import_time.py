"""The time that this package adds to `import dagster`, in fresh interpreters.

Each interpreter imports dagster, then what `definitions.py` imports, and prints both times: they are paired,
and neither includes the start of Python. The first round only warms the disk cache.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

from _support import report

ROUNDS = 11
PROGRAM = """
import time
start = time.perf_counter(), time.process_time()
import dagster
between = time.perf_counter(), time.process_time()
import seedance_dagster
{imports}
end = time.perf_counter(), time.process_time()
print(*(after - before for times in ((start, between), (between, end)) for before, after in zip(*times)))
"""
DEFINITIONS = "from seedance_dagster.defs.definitions import definitions_from_environ"


def measure(imports: str) -> list[float]:
    """Return milliseconds in one interpreter: dagster's wall and CPU time, then ours."""
    output = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM.format(imports=imports)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    ).stdout
    return [1000 * float(word) for word in output.split()]


def main() -> None:
    """Measure in turns and print medians."""
    definitions, bare = [], []
    for _ in range(1 + ROUNDS):
        definitions.append(measure(DEFINITIONS))
        bare.append(measure(""))

    def median(rounds: list[list[float]], column: int) -> str:
        return f"{statistics.median(row[column] for row in rounds[1:]):.0f} ms"

    report(
        [
            ("seedance_dagster and its definitions", median(definitions, 2), "150 ms"),
            ("the same in CPU time", median(definitions, 3), ""),
            ("seedance_dagster alone", median(bare, 2), ""),
            ("dagster", median(definitions, 0), ""),
            ("dagster in CPU time", median(definitions, 1), ""),
        ],
        f"on top of dagster, medians of {ROUNDS} fresh interpreters each",
    )


if __name__ == "__main__":
    main()
