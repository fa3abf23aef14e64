"""The workers of a round with Dagster: the sensor's tick, the job, the step of a set, and their events."""

from __future__ import annotations

import logging
import time

import dagster as dg

from chaos import crew
from chaos.worker import UNEXPECTED, Environment
from seedance_dagster.defs.definitions import build_seedance_definitions
from seedance_dagster.defs.naming import ADVANCE_JOB, PROMPTS, TASKS, VIDEOS, prompt_partitions
from seedance_dagster.defs.resources import LedgerResource, SeedanceResource, VideoStoreResource
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import OPEN
from seedance_dagster.prompts.models import PromptSet

_log = logging.getLogger("chaos")
_REST_S = 0.2


def prepare(environment: Environment) -> None:
    """Create the instance's tables and the partitions before the workers start."""
    (environment.folder / "dagster").mkdir()
    with _instance(environment) as instance:
        for prompt_set in environment.plan.sets:
            name = str(prompt_partitions(prompt_set.name).name)
            instance.add_dynamic_partitions(name, list(prompt_set.partitions))


def work(environment: Environment, role: str) -> None:
    """Work as a daemon or as a waiting run of Dagster."""
    logging.getLogger("dagster").setLevel(logging.WARNING)
    SeedanceResource.open_client = lambda *_: environment.open_client()
    SeedanceResource.policy = lambda self: environment.policy
    definitions = build_seedance_definitions(
        list(environment.plan.sets),
        seedance=SeedanceResource(
            api_key=dg.EnvVar("GOAPI_API_KEY"),
            base_url=environment.environ["GOAPI_BASE_URL"],
            prices=environment.environ["SEEDANCE_PRICES"],
        ),
        video_store=VideoStoreResource(
            bucket=environment.environ["SEEDANCE_S3_BUCKET"], prefix=environment.environ["SEEDANCE_S3_PREFIX"]
        ),
        ledger=LedgerResource(url=dg.EnvVar("SEEDANCE_LEDGER_URL")),
    )
    with _instance(environment) as instance:
        if role in environment.plan.runs:
            _run_until_ended(environment, definitions, instance, role)
            return
        while not crew.on_termination:
            _tick(definitions, instance)
            time.sleep(_REST_S)


def _instance(environment: Environment) -> dg.DagsterInstance:
    return dg.DagsterInstance.local_temp(str(environment.folder / "dagster"))


def _tick(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    sensor = definitions.resolve_sensor_def("seedance_sensor")
    with dg.build_sensor_context(
        instance=instance, resources=definitions.resources, sensor_name=sensor.name
    ) as context:
        result = sensor(context)
    if isinstance(result, dg.SensorResult) and result.run_requests:
        job = definitions.resolve_job_def(ADVANCE_JOB)
        _log_failures(job.execute_in_process(instance=instance, raise_on_error=False))


def _run_until_ended(
    environment: Environment, definitions: dg.Definitions, instance: dg.DagsterInstance, role: str
) -> None:
    """Run a set's step, again and again for the same backfill while an order of the set is open."""
    prompt_set = environment.plan.set_of(role)
    name = prompt_set.name
    keys = list(prompt_set.partitions)
    job = definitions.resolve_implicit_global_asset_job_def()
    while not crew.on_termination:
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey([name, asset]) for asset in (PROMPTS, TASKS, VIDEOS)],
            raise_on_error=False,
            tags={
                "dagster/asset_partition_range_start": keys[0],
                "dagster/asset_partition_range_end": keys[-1],
                "dagster/backfill": f"backfill-{role}",
            },
            run_config={
                "ops": {f"{name}_generation": {"config": {"regenerate": environment.plan.regenerate}}}
            },
        )
        _log_failures(result)
        if _ended(environment, prompt_set):
            return
        time.sleep(_REST_S)


def _ended(environment: Environment, prompt_set: PromptSet) -> bool:
    ledger = Ledger.open(environment.settings.ledger_url)
    try:
        latest = ledger.queries.latest(prompt_set.name)
    finally:
        ledger.close()
    return latest.keys() == prompt_set.partitions.keys() and not any(
        order.state in OPEN for order in latest.values()
    )


def _log_failures(result: dg.ExecuteInProcessResult) -> None:
    """Log a failed step as unexpected unless it failed with a message or was interrupted."""
    failures = [] if result.success else result.filter_events(lambda event: event.is_step_failure)
    for event in failures:
        error = event.step_failure_data.error
        name = error.cls_name if error else None
        if name == dg.DagsterExecutionInterruptedError.__name__:
            raise KeyboardInterrupt  # Dagster handles the signals itself during a run
        expected = name == dg.Failure.__name__
        _log.info("%s%s", "" if expected else f"{UNEXPECTED} ", error.to_string() if error else "no error")
