"""Charges against estimates: signs that the price table is out of date."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from seedance_dagster.audit.findings import Finding, Kind, finding
from seedance_dagster.health import price_drifts
from seedance_dagster.ledger.order import Order


def estimates_off(orders: Iterable[Order]) -> Iterator[Finding]:
    """Yield one finding for each task type whose price table is out of date."""
    for drift in price_drifts(orders):
        if drift.outdated:
            yield finding(
                Kind.ESTIMATE_OFF,
                location=f"price table {drift.price_table}, {drift.task_type}",
                message=str(drift),
                cost_points=drift.difference_points,
            )
