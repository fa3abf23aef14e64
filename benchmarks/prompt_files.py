"""The time to read and check prompt files of 100,000 prompts, and to read them again without a change."""

from __future__ import annotations

import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from _support import report

from seedance_dagster.prompts import load_prompt_sets
from seedance_dagster.prompts.formats.packed import READERS

PROMPTS = 100_000
TARGETS = {"yaml": 15, "jsonl": 5, "csv": 5, "parquet": 5}


def rows() -> Iterator[dict[str, object]]:
    """Yield prompts with an id, a length and a tag each."""
    for number in range(PROMPTS):
        text = f"Slow aerial shot {number} over a fishing harbour at dawn, mist on the water"
        yield {"id": f"p{number}", "prompt": text, "duration": 5, "wave": number % 7}


def write_yaml(path: Path) -> None:
    """Write a set with block mappings, as people do."""
    with path.open("w") as file:
        file.write("name: harbours\nprompts:\n")
        for row in rows():
            fields = (
                f"id: {row['id']}\n  prompt: {row['prompt']}\n  duration: 5\n  tags: {{wave: {row['wave']}}}"
            )
            file.write(f"- {fields}\n")


def write_jsonl(path: Path) -> None:
    """Write an object on each line."""
    path.write_text("\n".join(map(json.dumps, rows())))


def write_csv(path: Path) -> None:
    """Write a header and quoted texts."""
    lines = (f'{row["id"]},"{row["prompt"]}",5,{row["wave"]}' for row in rows())
    path.write_text("\n".join(("id,prompt,duration,wave", *lines)))


def write_parquet(path: Path) -> None:
    """Write typed columns."""
    pq.write_table(pa.Table.from_pylist(list(rows())), path)


WRITERS: dict[str, Callable[[Path], None]] = {
    "yaml": write_yaml,
    "jsonl": write_jsonl,
    "csv": write_csv,
    "parquet": write_parquet,
}


def seconds(path: Path) -> float:
    """Return the CPU time of loading a file, including that of the process that unpacks it."""
    start = cpu_seconds()
    loaded = load_prompt_sets(path)
    assert len(loaded.sets[0].partitions) == PROMPTS, loaded.problems
    READERS.close()
    return cpu_seconds() - start


def cpu_seconds() -> float:
    """Return the CPU time of this process and its ended children."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def main() -> None:
    """Load each format twice and print the times."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for suffix, write in WRITERS.items():
            path = Path(folder) / f"harbours.{suffix}"
            write(path)
            time.sleep(2.5)  # a file that was written just now is always read again
            size = f"{path.stat().st_size / 1e6:.0f} MB"
            first, again = seconds(path), seconds(path)
            figures.append(
                (f"{PROMPTS:,} prompts as {suffix}, {size}", f"{first:.1f} s", f"{TARGETS[suffix]} s")
            )
            figures.append(("the same file, unchanged", f"{again:.2f} s", ""))
    report(figures, "CPU time, with that of the process that unpacks a file")


if __name__ == "__main__":
    main()
