"""The decision on the number of runs of `seedance_advance`, as a pure function."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from seedance_dagster.engine.policy import Pacing
from seedance_dagster.engine.throttle import Throttle
from seedance_dagster.ledger.work.workload import Actionable

_BATCH = 25  # orders that are worth a run at once; as many more are worth another one


@dataclass(frozen=True)
class RunDecision:
    """The work that a run could do now.

    Attributes:
        submit: Orders that have a free slot at the vendor.
        collect: Videos to fetch.
        report: Orders to report to Dagster.
        runs: The number of runs that should work now, including those that already do.
    """

    submit: int
    collect: int
    report: int
    runs: int


def decide_run(work: Actionable, *, throttle: Throttle, pacing: Pacing, now: datetime) -> RunDecision:
    """Decide how many runs should work at a time (UTC)."""
    slots = work.to_submit if throttle.slots is None else max(0, throttle.slots - work.in_flight)
    submit = min(work.to_submit, slots)
    ready = submit + work.to_collect + work.to_report
    patience = timedelta(seconds=pacing.batch_s)
    waited = work.waiting_since is not None and now - work.waiting_since >= patience
    alone = work.in_flight == 0
    worth_one = ready > 0 and (ready >= _BATCH or waited or alone or work.to_report > 0)
    runs = max(1, (submit + work.to_collect) // _BATCH) if worth_one else 0
    return RunDecision(submit, work.to_collect, work.to_report, runs)
