"""Verdicts that were reported to Dagster, and that a ledger lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from seedance_dagster.audit.events import Orchestrator
from seedance_dagster.audit.snapshots import RecordedEvent
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.verdict import RecordedVerdict, Verdict
from seedance_dagster.restore.plan import PlannedOrder
from seedance_dagster.restore.remains import Remains


def missing_verdicts(
    ledger: Ledger, orchestrator: Orchestrator, remains: Remains, planned: Iterable[PlannedOrder]
) -> tuple[RecordedVerdict, ...]:
    """Return the verdicts that Dagster has and the ledger lacks, on videos that are or will be stored.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    sets = {prompt_set.name for prompt_set in remains.sets}
    sets |= {order.prompt_set for order in remains.orders}
    sets |= {folder.prompt_set for folder in remains.folders}
    stored = {order.sha256 for order in remains.orders if order.state is State.STORED}
    stored |= {order.columns.get("sha256") for order in planned if order.state is State.STORED}
    events = (event for name in sorted(sets) for event in orchestrator.verdicts(name))
    recorded = (verdict for verdict in _recorded(events) if verdict.sha256 in stored)
    return tuple(ledger.restoration.missing_verdicts(recorded))


def _recorded(events: Iterable[RecordedEvent]) -> Iterator[RecordedVerdict]:
    """Yield the verdicts of events, without events that are not ours."""
    for event in events:
        names = ("verdict", "reviewer", "sha256", "decided_at")
        verdict, reviewer, sha256, at = (event.metadata.get(f"seedance/{name}") for name in names)
        if verdict in list(Verdict) and isinstance(sha256, str) and isinstance(at, float):
            yield RecordedVerdict(
                prompt_set=event.prompt_set,
                partition=event.partition,
                sha256=sha256,
                verdict=Verdict(verdict),
                reviewer=str(reviewer),
                note=str(event.metadata.get("seedance/note", "")),
                given_at=datetime.fromtimestamp(at, UTC),
            )
