"""The request behind a run: the backfill or run that asked first, and the partitions that it asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import dagster as dg

from seedance_dagster.defs.configs import GenerationConfig, limit_points
from seedance_dagster.defs.naming import (
    AUTOMATION_TAG,
    INDEX,
    PROMPTS,
    SCORES,
    TASKS,
    VIDEOS,
    asset_key,
    user_tags,
)
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.engine.ordering.discarded import with_discarded
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.orders import OrderRequest

_BACKFILL_TAG = "dagster/backfill"
_ROOT_BACKFILL_TAG = "dagster/root_backfill_id"
_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)


def first_request(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[str, datetime]:
    """Return the id of the backfill or run that a run belongs to, and when that was created (UTC).

    Retries and re-executions, of runs and of backfills, from the UI and automatic ones, belong to the first.
    Dagster drops the tags of a backfill from some of them, so they are read from the first run.
    """
    root = instance.get_run_record_by_id(run.root_run_id or run.run_id)
    tags = run.tags if root is None else root.dagster_run.tags
    backfill = tags.get(_ROOT_BACKFILL_TAG) or tags.get(_BACKFILL_TAG)
    records = [] if root is None else [root]
    if backfill is not None:
        of_backfill = dg.RunsFilter(tags={_BACKFILL_TAG: backfill})
        records += instance.get_run_records(of_backfill, limit=1, ascending=True)
    # If the first run was deleted, nothing is known of the request, so nothing is paid for again.
    created = min((_utc(record.create_timestamp) for record in records), default=_UNKNOWN)
    return backfill or run.root_run_id or run.run_id, created


def order_request(
    instance: dg.DagsterInstance, run: dg.DagsterRun, config: GenerationConfig, limit: int | None
) -> OrderRequest:
    """Return the config of a run as the engine takes it.

    Args:
        instance: Has the run's first run, too.
        run: The run.
        config: Its config.
        limit: A further limit of its cost, in points.

    Raises:
        dg.Failure: The config has an amount or a number that is not allowed.
    """
    if config.max_attempts < 1:
        message = f"max_attempts: {config.max_attempts} is out of range; allowed are whole numbers from 1"
        raise dg.Failure(message, allow_retries=False)
    try:
        points = limit_points(config.max_cost_usd, "max_cost_usd")
    except ValueError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    key, created_at = first_request(instance, run)
    return OrderRequest(
        idempotency_key=key,
        run_id=run.run_id,
        created_at=created_at,
        job_name=run.job_name,
        run_tags=user_tags(run.tags),
        max_points=min((most for most in (points, limit) if most is not None), default=None),
        regenerate=config.regenerate,
        resubmit_rejected=config.resubmit_rejected,
    )


def ask_for_discarded(
    services: Services,
    request: OrderRequest,
    prompt_set: str,
    keys: Collection[str],
    *,
    max_attempts: int,
    log: dg.DagsterLogManager,
) -> OrderRequest:
    """Return a request that also asks for the videos that reviewers discarded; raises `LedgerError`."""
    request, enough = with_discarded(services, request, prompt_set, keys, max_attempts=max_attempts)
    if enough:
        log.warning(
            f"discarded and not made again, since max_attempts is {max_attempts}: {', '.join(enough)}"
        )
    return request


def is_automated(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Return True for a run that an automation condition asked for, and for its retries and re-executions."""
    root = instance.get_run_record_by_id(run.root_run_id) if run.root_run_id else None
    return AUTOMATION_TAG in run.tags or (root is not None and AUTOMATION_TAG in root.dagster_run.tags)


@dataclass(frozen=True)
class PlannedAssets:
    """The assets that a run was launched with.

    Attributes:
        partitions: Their partitions, by asset; none for an asset that is not partitioned.
    """

    partitions: Mapping[dg.AssetKey, AbstractSet[str]]

    @classmethod
    def of(cls, instance: dg.DagsterInstance, run: dg.DagsterRun) -> Self:
        """Read what a run was launched with: an event for each asset and partition, 0.2 ms each."""
        planned: defaultdict[dg.AssetKey, set[str]] = defaultdict(set)
        of_type = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
        for entry in instance.all_logs(run.run_id, of_type=of_type):
            event = entry.dagster_event
            if event is not None and event.asset_key is not None:
                planned[event.asset_key] |= {event.partition} if event.partition is not None else set()
        return cls(planned)

    def of_set(self, prompt_set: str) -> set[str]:
        """Return the partitions of a set that the run was launched with.

        A range of dynamic partitions may contain others by the time that the run starts.
        """
        own = (asset_key(prompt_set, asset) for asset in (PROMPTS, TASKS, VIDEOS, SCORES))
        return set[str]().union(*(self.partitions.get(key, ()) for key in own))

    def has_others(self, source: PromptSource, *own_assets: str) -> bool:
        """Return True if the run selects assets that belong to no set of a source.

        Args:
            source: The sets.
            own_assets: Further assets of a set that do not count.
        """
        assets = (PROMPTS, TASKS, VIDEOS, INDEX, *own_assets)
        own = {asset_key(name, asset) for name in source.load().names for asset in assets}
        return bool(self.partitions.keys() - own)


def selected_partitions(
    context: dg.AssetExecutionContext, prompt_set: str, planned: PlannedAssets
) -> list[str]:
    """Return the partitions of a set that a run is for: those of its range that it was launched with.

    Raises:
        dg.Failure: There is none.
    """
    if not (context.has_partition_key or context.has_partition_key_range):
        raise dg.Failure(
            "no partitions are selected: launch the run with the partitions of the prompts",
            allow_retries=False,
        )
    launched = planned.of_set(prompt_set)
    keys = [key for key in context.partition_keys if key in launched or not launched]
    # Partitions that were launched and have left the range since are included.
    keys += sorted(launched.difference(keys))
    if not keys:
        chosen = context.partition_key_range
        raise dg.Failure(
            f"the range from {chosen.start} to {chosen.end} contains no partition: some were removed and "
            "came back in another order. Launch the run again with the partitions of the prompts",
            allow_retries=False,
        )
    return keys


def checks_planned(
    instance: dg.DagsterInstance, run: dg.DagsterRun, prompt_set: str, asset: str = VIDEOS
) -> bool:
    """Return True if a run was launched with checks of a set's videos, or of another of its assets."""
    key = asset_key(prompt_set, asset)
    planned = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED)
    events = [entry.dagster_event for entry in planned]
    return any(event is not None and event.asset_check_planned_data.asset_key == key for event in events)


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
