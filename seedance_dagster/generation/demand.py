"""Whether what there is to do is worth a run of `advance_generations`: a pure decision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from seedance_dagster.generation.gate import Gate
from seedance_dagster.ledger.reading import Actionable

_A_BATCH = 25  # as many are worth a run at once
_PATIENCE = timedelta(seconds=60)  # fewer wait this long for company, while others are at the vendor


@dataclass(frozen=True)
class Demand:
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


def demand(work: Actionable, *, gate: Gate, now: datetime) -> Demand:
    """Decide.

    Args:
        work: What the ledger says.
        gate: What may be sent.
        now: UTC.
    """
    places = work.to_submit if gate.places is None else max(0, gate.places - work.at_vendor)
    submit = min(work.to_submit, places)
    ready = submit + work.to_collect + work.to_report
    waited = work.waiting_since is not None and now - work.waiting_since >= _PATIENCE
    alone = work.at_vendor == 0
    return Demand(
        submit,
        work.to_collect,
        work.to_report,
        ready > 0 and (ready >= _A_BATCH or waited or alone or work.to_report > 0),
    )
