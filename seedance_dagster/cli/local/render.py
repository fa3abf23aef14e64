"""The rendering of a prompt set by a running Dagster, as a click in its UI starts it, and its result."""

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
from rich.text import Text

from seedance_dagster.cli.local.stack import Stack
from seedance_dagster.cli.output import console, table
from seedance_dagster.counting import counted
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State
from seedance_dagster.money import format_usd
from seedance_dagster.prompts import format_problems, load_prompt_sets
from seedance_dagster.settings import Settings
from seedance_dagster.storage.reference_objects import presigned_link

_POLL_S = 0.5
_PARTITIONS_S = 120.0
_RENDER_S = 900.0
_LINK_S = 7 * 86400  # as long as a signature may live
_WIDE, _SHORT_ID = 150, 8  # on a narrower terminal task ids are cut to leave room for the URI


class Rendering:
    """One prompt set that is being rendered."""

    def __init__(self, stack: Stack, prompts: Path) -> None:
        settings = Settings.from_environ(stack.environ)
        loaded = load_prompt_sets(prompts, prices=settings.prices)
        if not loaded.sets:
            raise click.ClickException(format_problems(loaded.problems))
        self._stack = stack
        self._set = loaded.sets[0]
        self._videos = (self._set.name, "videos")
        self._wanted = list(self._set.partitions)
        self._metadata: dict[str, dict[str, Any]] = {}
        self._settings = settings
        self._store = self._settings.open_store()
        self._console = console()

    def run(self) -> list[str]:
        """Launch the backfill, wait for its end and show the result; return the prompts without a video.

        Raises:
            click.ClickException: Dagster declined it, or it does not end.
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
                    raise self._stack.dagster.child.error(
                        f"{counted(missing, 'prompt')} did not become partitions"
                    )
                time.sleep(_POLL_S)
                missing = len(set(self._wanted) - set(self._stack.dagster.api.partition_keys(self._videos)))

    def _follow(self, backfill_id: str) -> None:
        deadline = time.monotonic() + _RENDER_S
        columns = (TextColumn("Videos"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with (
            contextlib.closing(Ledger.open(self._settings.ledger_url)) as ledger,
            Progress(*columns, TextColumn("{task.description}"), console=self._console) as progress,
        ):
            bar = progress.add_task("Dagster checks for new backfills every 30 s", total=len(self._wanted))
            while len(self._metadata) < len(self._wanted):
                self._stack.check()
                if time.monotonic() > deadline:
                    raise self._stack.dagster.child.error(f"not finished after {_RENDER_S:.0f} s")
                time.sleep(_POLL_S)
                # Read before the events, which are thereby read once more after its end.
                backfill = self._stack.dagster.api.backfill(backfill_id)
                self._metadata = self._stack.dagster.api.materializations(self._videos)
                states = Counter(order.state for order in ledger.queries.latest(self._set.name).values())
                progress.update(bar, completed=len(self._metadata))
                if states:
                    progress.update(bar, description=_summary(states))
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
            metadata = self._metadata.get(key)
            if metadata is None or not self._is_stored(metadata):
                rows.add_row(key, "", "", "", Text("missing", style="red"))
                missing.append(key)
                continue
            cost = Decimal(str(metadata["seedance/cost_usd"]))
            total += cost
            seconds = f"{metadata['seedance/duration_s']:.1f}"
            task_id = str(metadata["seedance/task_id"])[: None if self._console.width > _WIDE else _SHORT_ID]
            rows.add_row(key, task_id, seconds, format_usd(cost), metadata["dagster/uri"])
        self._console.print(rows)
        stored = len(self._wanted) - len(missing)
        self._console.print(
            f"{stored} of {counted(len(self._wanted), 'video')}, {format_usd(total)} USD in the emulator's "
            "play money"
        )
        return missing

    def ways_to_watch(self, folder: Path, *, with_commands: bool) -> str:
        """Return the ways to watch the videos, as lines for a terminal.

        Args:
            folder: The folder of the local S3 server.
            with_commands: True if commands in the current folder find the demo.
        """
        key = next(iter(self._metadata), None)
        lines = [f"In the gallery    {self._stack.gallery.url} (accept or discard them there)"]
        lines.append(f"In Dagster        {self._stack.dagster.url}/assets/{self._set.name}/videos")
        if key is not None:
            video = self._key_in_store(self._metadata[key])
            link = presigned_link(self._store.client, self._store.bucket, video, expires_s=_LINK_S)
            lines.append(f"One in a browser  {link}")
            lines.append(f"As files          {folder / self._store.bucket / video.rpartition(key)[0]}")
            if with_commands:
                lines.append(f"One by name       seedance-dagster open {self._set.name} {key}")
                lines.append(
                    f"As a dataset      seedance-dagster export {self._set.name} dataset (what you accepted)"
                )
        return "\n".join(["", "Watch the videos:", *(f"  {line}" for line in lines), ""])

    def _key_in_store(self, metadata: Mapping[str, Any]) -> str:
        return str(metadata["dagster/uri"]).removeprefix(self._store.uri(""))

    def _is_stored(self, metadata: Mapping[str, Any]) -> bool:
        info = self._store.head(self._key_in_store(metadata))
        return info is not None and info.size_bytes == metadata["seedance/size_bytes"]


def _summary(states: Mapping[State, int]) -> str:
    groups = {
        "queued": (State.QUEUED, State.CLAIMED),
        "rendering": (State.SUBMITTED,),
        "transferring": (State.SUCCEEDED,),
        "without video": (State.REJECTED, State.FAILED),
    }
    counts = {name: sum(states[state] for state in group) for name, group in groups.items()}
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)
