"""Definitions of a code location, from arguments or from the environment."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import BaseModel

from seedance_dagster.defs.accepted import build_accepted_asset
from seedance_dagster.defs.arguments import check_max_partitions, check_prompt_sets, check_resource
from seedance_dagster.defs.assets import MAX_PARTITIONS_PER_RUN, build_set_assets
from seedance_dagster.defs.checks import build_checks_schedule, build_set_checks
from seedance_dagster.defs.configs import limit_points
from seedance_dagster.defs.dataset import build_dataset_asset
from seedance_dagster.defs.from_asset import PROMPT_TABLE, PromptsFromAsset
from seedance_dagster.defs.index import build_index_asset
from seedance_dagster.defs.jobs import (
    build_advance_job,
    build_generate_jobs,
    build_pending_job,
    build_pending_schedule,
)
from seedance_dagster.defs.links import Links
from seedance_dagster.defs.naming import VIDEO_INPUTS, Names, asset_key
from seedance_dagster.defs.plan import build_plan_job
from seedance_dagster.defs.prompt_files import build_prompt_files
from seedance_dagster.defs.prompt_source import PromptSets, PromptSource, remembered_names
from seedance_dagster.defs.prompt_table import build_prompt_table, build_read_job
from seedance_dagster.defs.resources import LedgerResource, SeedanceResource, VideoStoreResource
from seedance_dagster.defs.scores import build_score_checks, build_score_job, build_scores_asset
from seedance_dagster.defs.sealed_resources import sealed_resources
from seedance_dagster.defs.sensor import build_sensor
from seedance_dagster.defs.translator import SeedanceTranslator
from seedance_dagster.defs.video_inputs import build_video_inputs
from seedance_dagster.options import ApiOptions, StorageOptions
from seedance_dagster.prompts.problems import format_problems
from seedance_dagster.settings import Settings
from seedance_dagster.variables import misspelled

if TYPE_CHECKING:
    from seedance_dagster.scores.score import Score

_NAMES = Names()
_NO_LINKS = Links()
_log = logging.getLogger("seedance_dagster")


def build_seedance_definitions(
    prompt_sets: PromptSets,
    *,
    seedance: SeedanceResource,
    video_store: VideoStoreResource,
    ledger: LedgerResource | None = None,
    sensor_running: bool = True,
    pending_usd_per_run: float | None = None,
    max_partitions_per_run: int = MAX_PARTITIONS_PER_RUN,
    key_prefix: str = "",
    name_prefix: str = "",
    translator: SeedanceTranslator | None = None,
    from_asset: Sequence[PromptsFromAsset] = (),
    scores: Sequence[Score] = (),
) -> dg.Definitions:
    """Build the assets, checks, jobs, schedules, sensor and resources of some prompt sets.

    Args:
        prompt_sets: A file, a folder or an s3:// location, which each run and tick reads again; or sets that
            were loaded before or made in Python. Errors are logged. A set whose file has errors keeps its
            assets, and a run of it fails with the errors. If its name cannot be read either, the set keeps
            the last name that was read, which is stored under `$DAGSTER_HOME`.
        seedance: The video API.
        video_store: The bucket in which videos are stored.
        ledger: The ledger of orders and payments; by default SQLite under `$DAGSTER_HOME`.
        sensor_running: False leaves `seedance_sensor` off until it is switched on in the UI.
        pending_usd_per_run: The most that each run of the schedule `seedance_order_pending`, or of an
            automation condition, may spend, in USD. The schedule is off until it is switched on in the UI.
        max_partitions_per_run: A backfill of more partitions becomes several runs, which Dagster starts
            sooner than one.
        key_prefix: Precedes the name of each set, in asset keys (`<key_prefix>/<set>/videos`) and
            everywhere else (`<key_prefix>.<set>`). It lets two code locations have sets of the same name.
        name_prefix: Precedes the names of jobs, schedules, sensor and resources, as `team_b` in
            `team_b_seedance_advance`. It lets two of these definitions be merged into one code location.
        translator: Sets the assets' group, owners, tags, kinds, metadata and description, and when they are
            made automatically.
        from_asset: Further sets, whose prompts other assets make.
        scores: Scores of the videos of all sets, such as your own. A set's file may add built-in ones.

    Example:
        >>> defs = build_seedance_definitions(
        ...     "prompt_sets/",
        ...     seedance=SeedanceResource(api_key=dg.EnvVar("GOAPI_API_KEY")),
        ...     video_store=VideoStoreResource(bucket="videos"),
        ... )
    """
    ledger = LedgerResource() if ledger is None else ledger
    check_prompt_sets(prompt_sets)
    check_resource("seedance", seedance, SeedanceResource)
    check_resource("video_store", video_store, VideoStoreResource)
    check_resource("ledger", ledger, LedgerResource)
    check_max_partitions(max_partitions_per_run)
    if scores:
        from seedance_dagster.scores.plan import check_scores  # noqa: PLC0415  only where there are some

        check_scores(scores)
    source = PromptSource(
        prompt_sets,
        prices=_price_file(seedance),
        key_prefix=key_prefix,
        tables=from_asset,
        remembered=remembered_names(),
        scores=tuple(scores),
    )
    names = Names(name_prefix)
    return dg.Definitions.merge(
        set_definitions(
            source,
            pending_usd_per_run=pending_usd_per_run,
            max_partitions_per_run=max_partitions_per_run,
            names=names,
            translator=translator,
            links=Links.of(video_store),
        ),
        shared_definitions(
            source,
            names=names,
            seedance=seedance,
            video_store=video_store,
            ledger=ledger,
            sensor_running=sensor_running,
            pending_usd_per_run=pending_usd_per_run,
        ),
    )


def set_definitions(
    source: PromptSource,
    *,
    pending_usd_per_run: float | None = None,
    max_partitions_per_run: int = MAX_PARTITIONS_PER_RUN,
    names: Names = _NAMES,
    translator: SeedanceTranslator | None = None,
    links: Links = _NO_LINKS,
) -> dg.Definitions:
    """Build the assets and checks of a source's prompt sets; errors are logged, and runs fail with them."""
    loaded = source.load()
    if loaded.problems:
        _log.warning("Problems in prompt sets:\n%s", format_problems(loaded.problems))
    unattended_points = limit_points(pending_usd_per_run, "pending_usd_per_run")
    translator = translator or SeedanceTranslator()

    def translate(name: str, spec: dg.AssetSpec) -> dg.AssetSpec:
        return translator.get_asset_spec(name, links.add_to(name, loaded, spec))

    assets = [
        asset.map_asset_specs(partial(translate, name))
        for name in loaded.names
        for asset in (
            build_set_assets(
                names,
                name,
                source,
                max_partitions_per_run=max_partitions_per_run,
                unattended_points=unattended_points,
                upstream=[asset_key(name, PROMPT_TABLE)] if name in source.tables else [],
            ),
            build_index_asset(names, name),
            build_dataset_asset(names, name),
            *_prompt_tables(names, name, source),
        )
    ]
    from_assets = [table.without_prompts(name) for name, table in source.tables.items()]
    plans = [plan for plan in source.plans([*loaded.sets, *from_assets]).values() if plan.scores]
    for plan in plans:
        scored = build_scores_asset(names, plan, source, max_partitions_per_run=max_partitions_per_run)
        assets.append(scored.map_asset_specs(partial(translate, plan.prompt_set)))
    checks = [build_set_checks(names, name, source) for name in loaded.names]
    checks += [build_score_checks(names, plan, source) for plan in plans]
    accepted = [translate(name, build_accepted_asset(names, name)) for name in loaded.names]
    return dg.Definitions(assets=[*assets, *accepted], asset_checks=checks)


def _prompt_tables(names: Names, name: str, source: PromptSource) -> Iterator[dg.AssetsDefinition]:
    if name in source.tables:
        yield build_prompt_table(names, name, source.tables[name], source)


def shared_definitions(
    source: PromptSource,
    *,
    seedance: SeedanceResource,
    video_store: VideoStoreResource,
    ledger: LedgerResource,
    sensor_running: bool = True,
    pending_usd_per_run: float | None = None,
    names: Names = _NAMES,
) -> dg.Definitions:
    """Build what all prompt sets of a source share: jobs, schedules, sensor and resources."""
    status = dg.DefaultSensorStatus.RUNNING if sensor_running else dg.DefaultSensorStatus.STOPPED
    resources = sealed_resources(names, seedance, video_store, ledger)
    advance, pending = build_advance_job(names, resources), build_pending_job(names, source, resources)
    declared = source.load().names
    prompt_files, readable = build_prompt_files(names, source, declared)
    scoring = build_score_job(names, source, resources)
    sensor_jobs: list[Any] = [advance, pending, scoring, *build_generate_jobs(names, declared)]
    if source.tables:
        sensor_jobs.append(build_read_job(names, [asset_key(name, PROMPT_TABLE) for name in source.tables]))
    return dg.Definitions(
        assets=[prompt_files],
        asset_checks=[readable],
        jobs=[*sensor_jobs, build_plan_job(names, source, resources)],
        schedules=[
            build_pending_schedule(names, pending, source, pending_usd_per_run),
            build_checks_schedule(names, declared),
        ],
        sensors=[
            build_sensor(
                names, source, declared, status, sensor_jobs, pending_usd_per_run=pending_usd_per_run
            )
        ],
        resources={**resources, names(VIDEO_INPUTS): build_video_inputs(names)},
    )


def _price_file(seedance: SeedanceResource) -> str:
    """Return the path of the price file, so that prompts are checked by the prices that orders use."""
    path = seedance.prices
    return (path.get_value() or "") if isinstance(path, dg.EnvVar) else path


def definitions_from_environ(environ: Mapping[str, str] = os.environ) -> dg.Definitions:
    """Build the reference code location from environment variables.

    Raises:
        SettingError: Some variables cannot be used.
    """
    settings = Settings.from_environ(environ)
    for sentence in misspelled(environ):
        _log.warning(sentence)
    seedance, video_store, ledger = resources_of(settings, environ)
    defs = build_seedance_definitions(
        settings.prompts,
        seedance=seedance,
        video_store=video_store,
        ledger=ledger,
        pending_usd_per_run=settings.pending_usd_per_run,
        max_partitions_per_run=settings.max_partitions_per_run,
        key_prefix=settings.key_prefix,
    )
    # A set has one step: a process of its own would only be slower.
    return dg.Definitions.merge(defs, dg.Definitions(executor=dg.in_process_executor))


def resources_of(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    seedance: Mapping[str, Any] = MappingProxyType({}),
    video_store: Mapping[str, Any] = MappingProxyType({}),
    ledger_url: str | None = None,
) -> tuple[SeedanceResource, VideoStoreResource, LedgerResource]:
    """Return the resources of the reference code location, secrets as references to their variables.

    Args:
        settings: The settings of the environment.
        environ: The environment.
        seedance: Fields of `SeedanceResource` that win over it.
        video_store: Fields of `VideoStoreResource` that win over it.
        ledger_url: The ledger's URL; None for that of the environment.
    """
    return (
        SeedanceResource(**_options(settings, ApiOptions, environ) | dict(seedance)),
        VideoStoreResource(**_options(settings, StorageOptions, environ) | dict(video_store)),
        LedgerResource(url=_secret("ledger", environ) if ledger_url is None else ledger_url),
    )


def _options(settings: Settings, group: type[BaseModel], environ: Mapping[str, str]) -> dict[str, Any]:
    # A field that no repr may show is a secret.
    return {
        name: getattr(settings, name) if field.repr else _secret(name, environ)
        for name, field in group.model_fields.items()
    }


def _secret(option: str, environ: Mapping[str, str]) -> str:
    """Return a reference to a variable, so that Dagster keeps its name and never its value."""
    variable = str(Settings.model_fields[option].validation_alias)
    return dg.EnvVar(variable) if environ.get(variable, "").strip() else ""
