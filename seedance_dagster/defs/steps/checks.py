"""The checks of a prompt set's videos, run and reported to Dagster."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from logging import Logger
from typing import Any

import dagster as dg

from seedance_dagster.defs.naming import VIDEOS, asset_key
from seedance_dagster.defs.steps.metadata import reasons_table
from seedance_dagster.defs.video_checks import CHECKS, Check, CheckInput
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.order import OPEN
from seedance_dagster.storage.s3 import StoreError, VideoStore

_BUDGETS = "budget_remaining"
_TABLE_ROWS = 500  # an event should not grow without bounds


def check_results(
    services: Services,
    name: str,
    checks: Mapping[str, Check],
    budgets: Sequence[Budget],
) -> Iterator[dg.AssetCheckResult]:
    """Run some checks of one prompt set; raises `LedgerError`."""
    current = {video.partition: video.order for video in services.ledger.videos.current(name)}
    removed = services.ledger.partitions.removed(name)
    latest = services.ledger.queries.latest(name)
    data = CheckInput(
        current=current,
        latest={partition: order for partition, order in latest.items() if partition not in removed},
        open_orders=services.ledger.queries.find(prompt_set=name, states=OPEN),
        sizes=_sizes(services.store, {name, *(order.prompt_set for order in current.values())}),
        budgets=services.ledger.budgets.usage(budgets),
        now=services.clock(),
        stale_after=timedelta(seconds=services.policy.stale_after_s),
    )
    for check_name, check in checks.items():
        result = check.judge(data)
        metadata: dict[str, Any] = dict(result.figures)
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

    As events of that run the evaluations belong to the materializations that it made.

    Args:
        prompt_sets: Names of the sets.
        log: Warns of a set that could not be checked.
        budgets: The budgets that their orders count towards; None to leave the budgets unchecked.
    """
    checks = {key: check for key, check in CHECKS.items() if key != _BUDGETS or budgets is not None}
    for name in sorted(prompt_sets):
        try:
            results = list(check_results(services, name, checks, budgets or []))
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


def _sizes(store: VideoStore, names: Collection[str]) -> dict[str, int] | None:
    """Return the sizes of all objects under the folders of some sets; None when they cannot be listed."""
    try:
        return {
            key: listed.size_bytes for name in sorted(names) for key, listed in store.listing(name).items()
        }
    except StoreError:
        return None
