"""Whether what there is to do is worth a run of `seedance_advance`: a pure decision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from seedance_dagster.engine.throttle import Throttle
from seedance_dagster.ledger.workload import Actionable

_A_BATCH = 25  # as many are worth a run at once
_PATIENCE = timedelta(seconds=60)  # fewer wait this long for company, while others are at the vendor


@dataclass(frozen=True)
class RunDecision:
    """What a run could do now.

    Attributes:
        submit: Orders for which there is a free place at the vendor.
        collect: Videos to fetch.
        report: Orders that Dagster is to be told of.
        worth_a_run: True when a run should start now.
    """

    submit: int
    collect: int
    report: int
    worth_a_run: bool


def decide_run(work: Actionable, *, throttle: Throttle, now: datetime) -> RunDecision:
    """Decide.

    Args:
        work: What the ledger says.
        throttle: What may be sent.
        now: UTC.
    """
    slots = work.to_submit if throttle.slots is None else max(0, throttle.slots - work.in_flight)
    submit = min(work.to_submit, slots)
    ready = submit + work.to_collect + work.to_report
    waited = work.waiting_since is not None and now - work.waiting_since >= _PATIENCE
    alone = work.in_flight == 0
    return RunDecision(
        submit,
        work.to_collect,
        work.to_report,
        ready > 0 and (ready >= _A_BATCH or waited or alone or work.to_report > 0),
    )
