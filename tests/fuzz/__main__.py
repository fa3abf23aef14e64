"""`python -m fuzz`: damages files of a format, and prints how many were read or refused."""

from __future__ import annotations

import faulthandler
import json
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import click
import psutil

from fuzz.checks import Outcome, check_prompt_file, check_video
from fuzz.damage import numbered
from fuzz.originals import ORIGINALS, TEXTS, rows_of, videos

MOST_S = 5.0
_HANGS_S = 120.0  # wall time: the machine may be busy with other things
_MOST_SHOWN = 20
_REAL_ROWS = 40


@click.command()
@click.option("--format", "suffix", type=click.Choice([*ORIGINALS, "mp4"]), required=True)
@click.option("--files", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--prompts", type=click.Path(exists=True), help="A JSONL file with more real prompts.")
@click.option("--only", type=int, help="The number of the one file to check, which is kept as fuzz.FORMAT.")
def main(suffix: str, files: int, seed: int, prompts: str | None, only: int | None) -> None:
    """Damage files of a format, and check that each is read or refused in words within 5 s."""
    texts = [*TEXTS, *_real_texts(prompts)]
    originals = videos() if suffix == "mp4" else ORIGINALS[suffix](rows_of(texts))
    outcomes, faults, slowest = Counter[str](), list[str](), 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(files) if only is None else [only]:
            content = numbered(suffix, originals, seed, number)
            if only is not None:
                Path(f"fuzz.{suffix}").write_bytes(content)
            faulthandler.dump_traceback_later(_HANGS_S, exit=True)
            start = _cpu_seconds()
            outcome = _outcome(suffix, content, Path(folder) / "video.mp4")
            seconds = _cpu_seconds() - start
            slowest = max(slowest, seconds)
            outcomes["read" if outcome.read else "refused"] += 1
            if outcome.fault or seconds > MOST_S:
                faults.append(f"file {number}: {outcome.fault or f'took {seconds:.1f} s'}")
            if only is not None:
                click.echo(outcome.words)
        faulthandler.cancel_dump_traceback_later()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    click.echo(
        f"{suffix}: {files if only is None else 1} files, {outcomes['read']} read, {outcomes['refused']} "
        f"refused, {len(faults)} faults; the slowest took {slowest:.2f} s of CPU; {memory:.0f} MB at most"
    )
    for fault in faults[:_MOST_SHOWN]:
        click.echo(fault)
    sys.exit(bool(faults))


def _cpu_seconds() -> float:
    """Return the CPU time of this process and of its readers that still run."""
    readers = psutil.Process().children()
    return time.process_time() + sum(sum(reader.cpu_times()[:2]) for reader in readers)


def _outcome(suffix: str, content: bytes, path: Path) -> Outcome:
    try:
        return check_video(content, path) if suffix == "mp4" else check_prompt_file(suffix, content)
    except Exception:  # noqa: BLE001  any traceback is a fault
        return Outcome(read=False, fault=traceback.format_exc(limit=-3))


def _real_texts(path: str | None) -> list[str]:
    if path is None:
        return []
    rows = map(json.loads, Path(path).read_text().splitlines()[:_REAL_ROWS])
    return [row.get("prompt") or row["prompt_en"] for row in rows]


if __name__ == "__main__":
    main()
