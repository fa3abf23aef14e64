"""Definitions for a code location, the reference one's and a team's own alike."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

import dagster as dg

from seedance_dagster.defs.assets import build_set_assets
from seedance_dagster.defs.checks import build_checks_schedule, build_set_checks
from seedance_dagster.defs.index import build_index_asset
from seedance_dagster.defs.jobs import seedance_advance
from seedance_dagster.defs.order_pending import build_pending_job, build_pending_schedule
from seedance_dagster.defs.prompt_source import PromptSets, PromptSource
from seedance_dagster.defs.resources import LedgerResource, SeedanceResource, VideoStoreResource
from seedance_dagster.defs.sensor import build_sensor
from seedance_dagster.defs.step_cleanup import step_cleanup
from seedance_dagster.prompts.problems import format_problems
from seedance_dagster.settings import Settings

_log = logging.getLogger("seedance_dagster")


def build_seedance_definitions(
    prompt_sets: PromptSets,
    *,
    seedance: SeedanceResource,
    video_store: VideoStoreResource,
    ledger: LedgerResource | None = None,
    sensor_running: bool = True,
    pending_usd_per_run: float | None = None,
) -> dg.Definitions:
    """Assets, job, sensor and resources for some prompt sets.

    Args:
        prompt_sets: A file, a folder or an s3:// location, read anew at each run and tick; or sets
            that stay as they are, loaded before or made in Python. What has errors is left out and
            reported; the others load.
        seedance: The vendor's API.
        video_store: Where videos go.
        ledger: What was ordered and paid; by default SQLite under `$DAGSTER_HOME`.
        sensor_running: False leaves `seedance_sensor` to be switched on in the UI.
        pending_usd_per_run: What each run of the schedule `seedance_order_pending` may spend, in USD; the
            schedule is off until it is switched on in the UI.

    Example:
        >>> defs = build_seedance_definitions(
        ...     "prompt_sets/",
        ...     seedance=SeedanceResource(api_key=dg.EnvVar("GOAPI_API_KEY")),
        ...     video_store=VideoStoreResource(bucket="videos"),
        ... )
    """
    source = PromptSource(prompt_sets)
    loaded = source.load()
    if loaded.problems:
        _log.warning("prompt sets:\n%s", format_problems(loaded.problems))
    status = dg.DefaultSensorStatus.RUNNING if sensor_running else dg.DefaultSensorStatus.STOPPED
    pending = build_pending_job(source)
    return dg.Definitions(
        assets=[
            *(build_set_assets(prompt_set.name, source) for prompt_set in loaded.sets),
            *(build_index_asset(prompt_set.name) for prompt_set in loaded.sets),
        ],
        asset_checks=[build_set_checks(prompt_set.name, source) for prompt_set in loaded.sets],
        jobs=[seedance_advance, pending],
        schedules=[
            build_pending_schedule(pending, source, pending_usd_per_run),
            build_checks_schedule(prompt_set.name for prompt_set in loaded.sets),
        ],
        sensors=[build_sensor(source, status)],
        resources={
            "seedance": seedance,
            "video_store": video_store,
            "ledger": ledger or LedgerResource(),
            "seedance_cleanup": step_cleanup,
        },
        executor=dg.in_process_executor,
    )


def definitions_from_environ(environ: Mapping[str, str] = os.environ) -> dg.Definitions:
    """The reference code location: everything from the environment variables of the contract.

    Raises:
        SettingError: A variable cannot be used.
    """
    found = Settings.from_environ(environ)
    # By reference where it is set, so that Dagster keeps the name and never the secret.
    key = dg.EnvVar("GOAPI_API_KEY") if environ.get("GOAPI_API_KEY") else ""
    url = dg.EnvVar("SEEDANCE_LEDGER_URL") if environ.get("SEEDANCE_LEDGER_URL") else ""
    signing_key = dg.EnvVar("SEEDANCE_C2PA_KEY") if environ.get("SEEDANCE_C2PA_KEY") else ""
    return build_seedance_definitions(
        found.prompts,
        seedance=SeedanceResource(
            api_key=key,
            base_url=found.base_url,
            max_in_flight=found.max_in_flight,
            off_peak_only=found.off_peak_only,
            max_rejections_per_day=found.max_rejections_per_day,
            preflight=found.preflight,
            allow_private_hosts=found.allow_private_hosts,
            budget_usd_per_day=found.budget_usd_per_day,
            budget_usd_per_month=found.budget_usd_per_month,
        ),
        video_store=VideoStoreResource(
            bucket=found.s3_bucket,
            prefix=found.s3_prefix,
            c2pa_certificate=found.c2pa_certificate,
            c2pa_key=signing_key,
            c2pa_include_prompt=found.c2pa_include_prompt,
        ),
        ledger=LedgerResource(url=url),
        pending_usd_per_run=found.pending_usd_per_run,
    )
