"""The runs that wait for videos: each of them reports what became of its own orders."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import dagster as dg

from seedance_dagster.defs.naming import WAITS_TAG
from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.reports import LinkToReport

_REMEMBERED_S = 5.0


@dataclass
class WaitingRuns:
    """The runs that wait for videos now, as Dagster knows them.

    A run must report all that it planned, whoever did the work: if `seedance_advance` reported the same, each
    video would have its events twice. What a killed run left unreported is reported after the ledger's grace
    time.
    """

    instance: dg.DagsterInstance
    _run_ids: frozenset[str] = frozenset()
    _read_at: float | None = field(default=None)

    def leave(self, order: Order, links: list[LinkToReport]) -> list[LinkToReport]:
        """Return the partitions that no waiting run reports."""
        if order.run_id not in self._waiting():
            return links
        return [link for link in links if link.prompt_set != order.prompt_set]

    def _waiting(self) -> frozenset[str]:
        now = time.monotonic()
        if self._read_at is None or now - self._read_at > _REMEMBERED_S:
            running = dg.RunsFilter(tags=dict(WAITS_TAG), statuses=[dg.DagsterRunStatus.STARTED])
            records = self.instance.get_run_records(running)
            self._run_ids = frozenset(record.dagster_run.run_id for record in records)
            self._read_at = now
        return self._run_ids
