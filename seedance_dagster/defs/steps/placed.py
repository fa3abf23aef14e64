"""Lines in a run's log on new orders, and on prompts that were not ordered again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import dagster as dg

from seedance_dagster.counting import counted
from seedance_dagster.engine.events import Placed
from seedance_dagster.ledger.orders import Outcome

_OUTCOMES = {
    Outcome.ORDERED: "ordered",
    Outcome.JOINED: "on their way already",
    Outcome.REUSED: "stored already",
    Outcome.SKIPPED: "not ordered again after they ended without a video",
}


def log_placed(log: dg.DagsterLogManager, placed: Iterable[Placed], *, regenerate: bool) -> None:
    """Log what became of a run's prompts; `regenerate` is that of its config."""
    counts = Counter(answer.outcome for answer in placed)
    summary = ", ".join(f"{counts[outcome]} {text}" for outcome, text in _OUTCOMES.items() if counts[outcome])
    log.info(f"{counted(counts.total(), 'prompt')}: {summary or 'nothing to do'}")
    if regenerate and counts[Outcome.REUSED]:
        videos = counted(counts[Outcome.REUSED], "video that was", "videos that were")
        log.warning(
            f"regenerate: not made again: {videos} stored after this run, its backfill, or the run that it "
            "re-executes was created. To pay for another one, launch a new run"
        )
