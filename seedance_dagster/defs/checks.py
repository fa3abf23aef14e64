"""Checks on the videos of a prompt set: cheap ones, from the ledger and a listing of S3."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from seedance_dagster.defs.failures import in_words
from seedance_dagster.defs.naming import VIDEOS, asset_key
from seedance_dagster.defs.resources import (
    LedgerResource,
    SeedanceResource,
    VideoStoreResource,
    open_services,
)
from seedance_dagster.defs.sources import PromptSource
from seedance_dagster.generation.fitting import budgets_for
from seedance_dagster.generation.health import CHECKS, Health, Offender, Situation
from seedance_dagster.generation.services import Services
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.store.s3 import StoreError, VideoStore

CHECKS_JOB = "check_videos"
_DAILY = "30 5 * * *"
_BUDGETS = "budget_left"
_WARNINGS = {"charged_as_held", "estimates_hold", "few_refused", _BUDGETS}
_TABLE_ROWS = 500  # an event is no place for more


def build_set_checks(name: str, source: PromptSource) -> dg.AssetChecksDefinition:
    """The checks of one prompt set.

    Args:
        name: The set's name.
        source: Where its budgets are read.
    """

    @dg.multi_asset_check(
        name=f"{name}_checks",
        specs=[
            dg.AssetCheckSpec(check, asset=asset_key(name, VIDEOS), description=judge.__doc__)
            for check, judge in CHECKS.items()
        ],
    )
    def checks(
        context: dg.AssetCheckExecutionContext,
        seedance: SeedanceResource,
        video_store: VideoStoreResource,
        ledger: LedgerResource,
    ) -> Iterator[dg.AssetCheckResult]:
        with in_words(), open_services(context.instance, seedance, video_store, ledger) as services:
            own = next((each.budgets for each in source.load().sets if each.name == name), {})
            yield from _results(services, name, CHECKS, budgets_for(services, name, own))

    return checks


def build_checks_schedule() -> dg.ScheduleDefinition:
    """The job that runs all checks, on a daily schedule that is on by default."""
    job = dg.define_asset_job(
        CHECKS_JOB,
        selection=dg.AssetSelection.all_asset_checks(),
        executor_def=dg.in_process_executor,
        description="Checks the videos of all prompt sets. Costs nothing.",
    )
    return dg.ScheduleDefinition(
        name=f"{CHECKS_JOB}_daily",
        job=job,
        cron_schedule=_DAILY,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Checks the videos of all prompt sets every day. Costs nothing.",
    )


def report_checks(
    context: dg.OpExecutionContext | dg.AssetExecutionContext,
    services: Services,
    prompt_sets: Collection[str],
) -> None:
    """Check some sets and tell Dagster, from within a run that has just brought videos home."""
    after_collecting = {check: judge for check, judge in CHECKS.items() if check != _BUDGETS}
    for name in prompt_sets:
        try:
            results = list(_results(services, name, after_collecting, []))
        except LedgerError as error:
            context.log.warning(f"{name}/{VIDEOS} was not checked: {error}")
            continue
        for result in results:
            assert result.asset_key is not None
            assert result.check_name is not None
            context.instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(
                    asset_key=result.asset_key,
                    check_name=result.check_name,
                    passed=result.passed,
                    metadata=result.metadata,
                    severity=result.severity,
                    description=result.description,
                )
            )


def _results(
    services: Services,
    name: str,
    checks: Mapping[str, Callable[[Situation], Health]],
    budgets: Sequence[Budget],
) -> Iterator[dg.AssetCheckResult]:
    situation = Situation(
        shown=services.ledger.shown(name),
        latest=services.ledger.latest(name),
        sizes=_sizes(services.store, name),
        budgets=services.ledger.budget_standings(budgets),
        now=services.clock(),
        stale_after=timedelta(seconds=services.policy.stale_after_s),
    )
    for check, judge in checks.items():
        health = judge(situation)
        metadata: dict[str, Any] = dict(health.figures)
        if health.offenders:
            metadata["offenders"] = _table(health.offenders)
        yield dg.AssetCheckResult(
            asset_key=asset_key(name, VIDEOS),
            check_name=check,
            passed=not health.offenders,
            severity=dg.AssetCheckSeverity.WARN if check in _WARNINGS else dg.AssetCheckSeverity.ERROR,
            description=health.summary,
            metadata=metadata,
        )


def _sizes(store: VideoStore, name: str) -> dict[str, int] | None:
    try:
        return {key: found.size_bytes for key, found in store.listing(name).items()}
    except StoreError:
        return None


def _table(offenders: Sequence[Offender]) -> dg.TableMetadataValue:
    columns = [dg.TableColumn("partition"), dg.TableColumn("what")]
    rows = [
        dg.TableRecord({"partition": each.partition, "what": each.what}) for each in offenders[:_TABLE_ROWS]
    ]
    return dg.MetadataValue.table(rows, schema=dg.TableSchema(columns))
