"""`python -m chaos`: runs rounds, two at a time, and prints a summary."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import boto3
import click
import sqlalchemy as sa

from chaos.plan import Plan, draw
from chaos.programs import postgres_server
from chaos.round import Result, read_result, run_round
from chaos.tally import line, summary
from seedance_dagster.cli.environ import for_children, unconfigured
from seedance_dagster.cli.local.ports import free_port
from seedance_dagster.cli.local.programs import s3
from seedance_dagster.defs import definitions  # noqa: F401  imported once, before workers are forked
from seedance_dagster.defs.steps import (
    advance,  # noqa: F401  imported once, before workers are forked
    generation,  # noqa: F401  imported once, before workers are forked
    tick,  # noqa: F401  imported once, before workers are forked
)

# No round cuts the power, so waiting for a disk would prove nothing more.
_IN_MEMORY = "/dev/shm"
_LONGEST_S = 700


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=10, show_default=True)
@click.option("--seed", type=int, help="Seed of the first round; later rounds count on from it.")
@click.option("--database", type=click.Choice(["sqlite", "postgresql"]), help="Database of all rounds.")
@click.option("--side-by-side", type=click.IntRange(1), default=2, show_default=True)
@click.option("--keep", is_flag=True, help="Keep the folders of passed rounds too.")
@click.option(
    "--histories",
    type=click.IntRange(0),
    default=0,
    help="Run this many random histories of lost replies first.",
)
@click.option("--cluster", type=click.IntRange(4), help="Run one backfill of this many prompts on a cluster.")
def main(
    rounds: int,
    seed: int | None,
    database: str | None,
    side_by_side: int,
    keep: bool,
    histories: int,
    cluster: int | None,
) -> None:
    """Run histories and rounds; exit with 1 if one of them fails."""
    if cluster is not None:
        from chaos.cluster import run_cluster

        if problems := run_cluster(cluster):
            sys.exit("\n".join(problems))
        return
    first = random.randrange(1_000_000) if seed is None else seed
    if histories:
        _run_histories(range(first, first + histories), side_by_side)
    plans = [draw(first + number, database) for number in range(rounds)]
    folder = Path(
        tempfile.mkdtemp(prefix="chaos-", dir=_IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None)
    )
    click.echo(f"SEED={first} ROUNDS={rounds}, in {folder}")
    results = []
    with contextlib.ExitStack() as stack:
        environ = unconfigured(os.environ)
        os.environ.clear()
        os.environ.update(environ)
        server = None
        if any(plan.database == "postgresql" for plan in plans):
            server = stack.enter_context(postgres_server(folder / "postgresql"))
        service = stack.enter_context(
            s3(folder / "s3", folder / "s3.log", for_children(environ), port=free_port())
        )
        boto3.client("s3", region_name="us-east-1")  # reads its service model once for all workers
        assert threading.active_count() == 1, "workers are forked, so this process must have no threads"
        signal.signal(
            signal.SIGTERM, lambda *_: sys.exit("stopped")
        )  # leaving the blocks stops the other processes
        running = _results(plans, folder, service.environ, server, side_by_side)
        for result in stack.enter_context(contextlib.closing(running)):
            results.append(result)
            click.echo(line(result))
            if not result.violations and not keep:
                _forget(folder, result.seed)
    click.echo(summary(results))
    if any(result.violations for result in results):
        click.echo(f"The folders of the failed rounds are in {folder}")
        sys.exit(1)
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)


def _run_histories(seeds: range, at_once: int) -> None:
    """Run random histories of lost replies in processes of their own; exit with 1 if one of them fails."""
    from simulated_history import run_histories

    click.echo(f"SEED={seeds.start} HISTORIES={len(seeds)}")
    tally, violations = Counter[str](), list[str]()
    with ProcessPoolExecutor(at_once, mp_context=get_context("spawn")) as processes:
        for counts, failures in processes.map(
            run_histories, [seeds[at : at + 20] for at in range(0, len(seeds), 20)]
        ):
            tally += counts
            violations += failures
    click.echo("histories: " + ", ".join(f"{name} {count}" for name, count in sorted(tally.items())))
    if violations:
        click.echo("\n".join(violations))
        sys.exit(1)


def _results(
    plans: list[Plan], folder: Path, s3_environ: dict[str, str], server: sa.URL | None, at_once: int
):
    """Yield the result of each round, run in its own process group."""
    waiting, running = list(plans), dict[int, Plan]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                plan = waiting.pop(0)
                running[_start(plan, folder / f"seed-{plan.seed}", s3_environ, server)] = plan
            time.sleep(0.02)
            for pid, plan in list(running.items()):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    del running[pid]
                    _end_group(pid)
                    yield read_result(folder / f"seed-{plan.seed}") or Result(
                        plan.seed, str(plan), violations=["the round wrote no result"]
                    )
    finally:
        for pid in running:
            _end_group(pid)


def _forget(folder: Path, seed: int) -> None:
    """Delete the files of a passed round; many rounds would fill the memory."""
    for path in (folder / f"seed-{seed}", *(folder / "s3").glob(f"*/round-{seed}-*")):
        shutil.rmtree(path)


def _start(plan: Plan, folder: Path, s3_environ: dict[str, str], server: sa.URL | None) -> int:
    folder.mkdir()
    pid = os.fork()
    if pid == 0:
        try:
            os.setpgid(0, 0)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.alarm(_LONGEST_S)  # it ends even if nothing stops it
            run_round(plan, folder, s3_environ, server)
        finally:
            os._exit(0)
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)
    return pid


def _end_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
