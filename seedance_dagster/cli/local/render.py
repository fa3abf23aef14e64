"""Renders a prompt set through a running Dagster, as a click in its UI would, and shows what became of it."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from seedance_dagster.cli.local.stack import Stack
from seedance_dagster.cli.output import console, table, usd
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State
from seedance_dagster.prompts import format_problems, load_prompt_sets
from seedance_dagster.settings import Settings

_LOOK_EVERY_S = 0.5
_PARTITIONS_S = 120.0
_RENDER_S = 900.0
_WIDE, _SHORT_ID = 150, 8  # on a narrower terminal the first part of a task's id leaves room for the address


class Rendering:
    """One prompt set on its way to its videos."""

    def __init__(self, stack: Stack, prompts: Path) -> None:
        loaded = load_prompt_sets(prompts)
        if not loaded.sets:
            raise click.ClickException(format_problems(loaded.problems))
        self._stack = stack
        self._set = loaded.sets[0]
        self._videos = (self._set.name, "videos")
        self._wanted = list(self._set.partitions)
        self._found: dict[str, dict[str, Any]] = {}
        self._environment = Settings.from_environ(stack.environ)
        self._store = self._environment.open_store()
        self._console = console()

    def run(self) -> list[str]:
        """Launch the backfill, follow it to its end, show the result; returns the prompts without a video.

        Raises:
            click.ClickException: Dagster refused, or nothing happens any more.
        """
        self._await_partitions()
        assets = [(self._set.name, asset) for asset in ("prompts", "tasks", "videos")]
        backfill_id = self._stack.dagster.api.launch_backfill(assets, self._wanted, "seedance-dagster demo")
        self._follow(backfill_id)
        return self._show()

    def _await_partitions(self) -> None:
        deadline = time.monotonic() + _PARTITIONS_S
        missing = len(self._wanted)
        with self._console.status("Waiting for the prompts to appear as partitions ..."):
            while missing:
                self._stack.check()
                if time.monotonic() > deadline:
                    raise self._stack.dagster.child.trouble(f"{missing} prompts never became partitions")
                time.sleep(_LOOK_EVERY_S)
                missing = len(set(self._wanted) - set(self._stack.dagster.api.partition_keys(self._videos)))

    def _follow(self, backfill_id: str) -> None:
        deadline = time.monotonic() + _RENDER_S
        columns = (TextColumn("Videos"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with (
            contextlib.closing(Ledger.open(self._environment.ledger_url)) as ledger,
            Progress(*columns, TextColumn("{task.description}"), console=self._console) as progress,
        ):
            bar = progress.add_task("Dagster looks for new backfills every 30 s", total=len(self._wanted))
            while len(self._found) < len(self._wanted):
                self._stack.check()
                if time.monotonic() > deadline:
                    raise self._stack.dagster.child.trouble(f"no end after {_RENDER_S:.0f} s")
                time.sleep(_LOOK_EVERY_S)
                # Asked before looking, so that nothing can come after the last look.
                backfill = self._stack.dagster.api.backfill(backfill_id)
                self._found = self._stack.dagster.api.materializations(self._videos)
                states = Counter(order.state for order in ledger.queries.latest(self._set.name).values())
                progress.update(bar, completed=len(self._found))
                if states:
                    progress.update(bar, description=_in_words(states))
                if backfill.ended:
                    break
        if backfill.error:
            raise click.ClickException(f"the backfill failed: {backfill.error}")

    def _show(self) -> list[str]:
        rows = table(
            f"Prompt set {self._set.name}",
            ("Prompt", "Task", "Seconds", "USD", "Video"),
            numbers=("Seconds", "USD"),
        )
        total, missing = Decimal(0), []
        for key in self._wanted:
            facts = self._found.get(key)
            if facts is None or not self._is_stored(facts):
                rows.add_row(key, "", "", "", "[red]missing[/red]")
                missing.append(key)
                continue
            cost = Decimal(str(facts["seedance/cost_usd"]))
            total += cost
            seconds = f"{facts['seedance/duration_s']:.1f}"
            task_id = str(facts["seedance/task_id"])[: None if self._console.width > _WIDE else _SHORT_ID]
            rows.add_row(key, task_id, seconds, usd(cost), facts["dagster/uri"])
        self._console.print(rows)
        there = len(self._wanted) - len(missing)
        self._console.print(
            f"{there} of {len(self._wanted)} videos, {usd(total)} USD of the emulator's money"
        )
        return missing

    def _is_stored(self, facts: Mapping[str, Any]) -> bool:
        key = str(facts["dagster/uri"]).removeprefix(self._store.uri(""))
        found = self._store.head(key)
        return found is not None and found.size_bytes == facts["seedance/size_bytes"]


def _in_words(states: Mapping[State, int]) -> str:
    words = {
        "queued": (State.QUEUED, State.CLAIMED),
        "rendering": (State.SUBMITTED,),
        "arriving": (State.SUCCEEDED,),
        "refused": (State.REJECTED, State.FAILED),
    }
    counts = {word: sum(states[state] for state in group) for word, group in words.items()}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)
