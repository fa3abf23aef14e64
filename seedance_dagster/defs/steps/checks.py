"""The checks of a prompt set's videos, run and reported to Dagster."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from logging import Logger
from typing import Any

import dagster as dg

from seedance_dagster.defs.naming import VIDEOS, asset_key
from seedance_dagster.defs.steps.checked import SetVideos, look_at_all, look_at_changes
from seedance_dagster.defs.steps.metadata import reasons_table
from seedance_dagster.defs.video_checks import CHECKS, Check, CheckInput
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.order import OPEN, State
from seedance_dagster.video_health import OBJECTS_INTACT, VIDEO_CHECKS

_BUDGETS = "budget_remaining"
_OF_VIDEOS = {*VIDEO_CHECKS, OBJECTS_INTACT}
_NEWEST = 200  # orders whose charges are compared with their estimates
_TABLE_ROWS = 500  # an event should not grow without bounds


def check_results(
    services: Services,
    name: str,
    checks: Mapping[str, Check],
    budgets: Sequence[Budget],
    look: Callable[[Services, str], SetVideos] = look_at_all,
) -> Iterator[dg.AssetCheckResult]:
    """Run some checks of one prompt set; raises `LedgerError`.

    Args:
        name: The set's name.
        checks: The checks by their names.
        budgets: The budgets that its orders count towards.
        look: Looks at its videos, or only at those that changed.
    """
    ledger = services.ledger
    videos = look(services, name) if checks.keys() & _OF_VIDEOS else SetVideos(0, {}, True, 0)
    removed = ledger.partitions.removed(name)
    latest = ledger.queries.latest(name, ledger.set_orders.with_rejections(name) - removed)
    data = CheckInput(
        videos=videos.count,
        problems=videos.problems,
        is_listed=videos.is_listed,
        newest=ledger.set_orders.newest_stored(name, limit=_NEWEST),
        rejected={key: order for key, order in latest.items() if order.state is State.REJECTED},
        ordered=ledger.set_orders.count_ordered(name),
        open_orders=ledger.queries.find(prompt_set=name, states=OPEN),
        budgets=ledger.budgets.usage(budgets),
        now=services.clock(),
        stale_after=timedelta(seconds=services.policy.stale_after_s),
    )
    for check_name, check in checks.items():
        result = check.judge(data)
        metadata: dict[str, Any] = dict(result.figures)
        if check_name in _OF_VIDEOS:
            metadata["seedance/looked_at"] = videos.looked_at
        if result.violations:
            rows = result.violations[:_TABLE_ROWS]
            metadata["violations"] = reasons_table((row.partition, row.reason) for row in rows)
        yield dg.AssetCheckResult(
            asset_key=asset_key(name, VIDEOS),
            check_name=check_name,
            passed=not result.violations,
            severity=dg.AssetCheckSeverity.WARN if check.warns else dg.AssetCheckSeverity.ERROR,
            description=result.summary,
            metadata=metadata,
        )


def evaluations(
    services: Services, prompt_sets: Collection[str], log: Logger, budgets: Sequence[Budget] | None = None
) -> Iterator[dg.AssetCheckEvaluation]:
    """Check some sets within the run that stored their videos, or failed to.

    As events of that run, the evaluations belong to its materializations. Only videos that changed are looked
    at; the problems of the others are remembered.

    Args:
        prompt_sets: Names of the sets.
        log: Warns of a set that could not be checked.
        budgets: The budgets that their orders count towards; None to leave the budgets unchecked.
    """
    checks = {key: check for key, check in CHECKS.items() if key != _BUDGETS or budgets is not None}
    for name in sorted(prompt_sets):
        try:
            results = list(check_results(services, name, checks, budgets or [], look_at_changes))
        except LedgerError as error:
            log.warning(f"{name}/{VIDEOS} was not checked: {error}")
            continue
        for result in results:
            assert result.asset_key is not None
            assert result.check_name is not None
            yield dg.AssetCheckEvaluation(
                asset_key=result.asset_key,
                check_name=result.check_name,
                passed=result.passed,
                metadata=result.metadata,
                severity=result.severity,
                description=result.description,
            )
