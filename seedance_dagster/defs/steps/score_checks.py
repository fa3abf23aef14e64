"""The results of the checks of a set's scores."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from seedance_dagster.defs.naming import SCORES, asset_key
from seedance_dagster.defs.steps.metadata import reasons_table
from seedance_dagster.engine.services import Services
from seedance_dagster.scores.checks import checked_scores
from seedance_dagster.scores.plan import ScorePlan

_TABLE_ROWS = 500  # an event should not grow without bounds


def check_results(services: Services, plan: ScorePlan) -> Iterator[dg.AssetCheckResult]:
    """Yield the result of each check, as the videos were scored last; raises `LedgerError`."""
    for name, result in checked_scores(services.ledger, plan).items():
        rows = list(result.reasons.items())[:_TABLE_ROWS]
        yield dg.AssetCheckResult(
            asset_key=asset_key(plan.prompt_set, SCORES),
            check_name=name,
            passed=not result.reasons,
            severity=dg.AssetCheckSeverity.WARN,
            description=result.summary,
            metadata={"violations": reasons_table(rows)} if rows else {},
        )


def score_evaluations(services: Services, plan: ScorePlan) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield the same results as events of the run that scored videos; raises `LedgerError`."""
    for result in check_results(services, plan):
        assert result.check_name is not None
        yield dg.AssetCheckEvaluation(
            asset_key=asset_key(plan.prompt_set, SCORES),
            check_name=result.check_name,
            passed=result.passed,
            metadata=result.metadata,
            severity=result.severity,
            description=result.description,
        )
