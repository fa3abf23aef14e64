"""The ledger's transactions for a video in a whole run, by caller.

One run of all three assets takes prompts from nothing to videos in S3, in the code location of the tests: an
emulator whose renders take a second, an S3 server, a ledger in SQLite. On a busy machine fewer orders share a
transaction, so the counts depend a little on its load.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

import sqlalchemy as sa
from _support import report

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from code_location import running_location
from stores import running_s3

from seedance_dagster.engine.policy import Pacing
from seedance_dagster.ledger.engines import WRITES

PROMPTS = 50
_OWN_FRAMES = 2  # frames that name a caller, the innermost first
_HELPERS = ("database", "engines", "threads", "base")


def caller() -> str:
    """Name the code that opened a transaction."""
    frames = [
        f"{Path(frame.filename).stem}.{frame.name}"
        for frame in reversed(traceback.extract_stack())
        if "/seedance_dagster/" in frame.filename and Path(frame.filename).stem not in _HELPERS
    ]
    return " < ".join(frames[:_OWN_FRAMES])


class Transactions:
    """The transactions that began in any ledger of this process, and the statements in them."""

    def __init__(self) -> None:
        self.writing: Counter[str] = Counter()
        self.reading: Counter[str] = Counter()
        self.statements = 0

    def begun(self, connection: sa.Connection) -> None:
        """Count a transaction of a ledger."""
        if not _is_ledger(connection):
            return
        writes = connection.get_execution_options().get(WRITES)
        (self.writing if writes else self.reading)[caller()] += 1

    def executed(self, connection: sa.Connection, *_: object) -> None:
        """Count a statement."""
        self.statements += _is_ledger(connection)


def _is_ledger(connection: sa.Connection) -> bool:
    return (
        Path(str(connection.engine.url.database)).name == "ledger.db"
    )  # Dagster's databases have other names


def count(prompts: int, folder: Path) -> Transactions:
    """Run all three assets of a set, and count."""
    counted = Transactions()
    texts = {f"p{number:03d}": f"Prompt {number}" for number in range(prompts)}
    for name in ("s3", "location"):
        (folder / name).mkdir()
    with (
        running_s3(folder / "s3") as s3,
        running_location(
            folder / "location", s3, texts, pacing=Pacing(), queue_seconds=1, render_seconds=1
        ) as location,
    ):
        keys = location.partitions()
        sa.event.listen(sa.Engine, "begin", counted.begun)
        sa.event.listen(sa.Engine, "before_cursor_execute", counted.executed)
        assert location.run(keys[0], keys[-1]).success
    return counted


def main() -> None:
    """Count, and print the callers with the most transactions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    prompts = parser.parse_args().prompts
    with tempfile.TemporaryDirectory(prefix="seedance-bench-") as folder:
        counted = count(prompts, Path(folder))
    rows = []
    for kind, by_caller, aim in (("writing", counted.writing, "4"), ("reading", counted.reading, "4")):
        rows.append((f"{kind} transactions for a video", f"{by_caller.total() / prompts:.1f}", aim))
        rows += [(f"  {name}", f"{n / prompts:.2f}", "") for name, n in by_caller.most_common(12)]
    rows.append(("statements for a video", f"{counted.statements / prompts:.0f}", "25"))
    report(rows, f"{prompts} prompts in one run")


if __name__ == "__main__":
    main()
