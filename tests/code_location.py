"""A code location on a real emulator and a real S3 server, run in this process."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_aws.s3 import S3Resource
from harness import API_KEY, control_emulator, read_books
from made_once import INSTANCE_SETTINGS, open_instance, prepare_ledger
from run_result import RunResult

from seedance_dagster import LedgerResource, SeedanceResource, VideoStoreResource, build_seedance_definitions
from seedance_dagster.cli.local.programs import S3Service
from seedance_dagster.emulator.server import RunningEmulator, running_emulator
from seedance_dagster.emulator.vendor_settings import EmulatorSettings
from seedance_dagster.engine.policy import Pacing
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order
from seedance_dagster.storage.s3 import VideoStore

FAST = Pacing(take_s=0.05, min_poll_s=0.05)
KEY_VARIABLE = "SEEDANCE_TEST_KEY"
S3_SECRET_VARIABLE = "SEEDANCE_TEST_S3_SECRET"
ALL = ("prompts", "tasks", "videos")
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"

# Dagster causes this warning itself when it resolves a resource inside a resource.
QUIET = pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run:DeprecationWarning")


@dataclass
class CodeLocation:
    """A code location with its Dagster instance and its vendor."""

    folder: Path
    instance: dg.DagsterInstance
    emulator: RunningEmulator
    resources: dict[str, Any]
    direct_store: VideoStoreResource
    defs: dg.Definitions = field(init=False)

    @cached_property  # a client takes a quarter of a second to make
    def store(self) -> VideoStore:
        """The bucket."""
        return self.direct_store.open_store()

    def reload(self, **resources: Any) -> None:
        """Load the definitions again; keywords replace resources."""
        self.defs = build_seedance_definitions(self.folder / "prompts", **self.resources | resources)

    @contextmanager
    def using(self, **resources: Any) -> Iterator[None]:
        """Use other resources until the block ends."""
        self.reload(**resources)
        try:
            yield
        finally:
            self.reload()

    def write(
        self, prompts: Mapping[str, str | Mapping[str, Any]], name: str = "spots", **fields: Any
    ) -> None:
        """Write a prompt set of texts or fields by prompt id; keywords are fields of the set."""
        rows = [
            {"id": key, "duration": 4, "task_type": "seedance-2"}
            | ({"prompt": value} if isinstance(value, str) else dict(value))
            for key, value in prompts.items()
        ]
        document = {"name": name, "prompts": rows, **fields}
        (self.folder / "prompts" / f"{name}.json").write_text(json.dumps(document))

    def tick(self) -> dg.SensorResult | dg.SkipReason:
        """Run one tick of the sensor."""
        [sensor] = self.defs.sensors
        with dg.build_sensor_context(
            instance=self.instance, definitions=self.defs, resources=dict(self.defs.resources)
        ) as context:
            return sensor(context)

    def skipped(self) -> str:
        """Run a tick that requests no run; return its reason."""
        answer = self.tick()
        assert isinstance(answer, dg.SkipReason), answer
        return str(answer.skip_message)

    def run(
        self,
        first: str | None,
        last: str | None = None,
        *,
        assets: tuple[str, ...] = ALL,
        name: str = "spots",
        config: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> RunResult:
        """Materialize a range of partitions; with None, the run names no partitions."""
        chosen = {RANGE_START: first, RANGE_END: last or first} if first else {}
        job = self.defs.resolve_implicit_global_asset_job_def()
        return RunResult(
            job.execute_in_process(
                instance=self.instance,
                asset_selection=[dg.AssetKey([name, asset]) for asset in assets],
                tags={**chosen, **(tags or {})},
                run_config={"ops": {f"{name}_generation": {"config": dict(config)}}} if config else None,
                raise_on_error=False,
            ),
            self.instance,
        )

    def plan(self, **config: Any) -> RunResult:
        """Run `seedance_plan`."""
        job = self.defs.resolve_job_def("seedance_plan")
        run_config = {"ops": {"plan": {"config": config}}}
        return RunResult(
            job.execute_in_process(instance=self.instance, run_config=run_config, raise_on_error=False),
            self.instance,
        )

    def advance(self) -> RunResult:
        """Run `seedance_advance` once."""
        job = self.defs.resolve_job_def("seedance_advance")
        return RunResult(job.execute_in_process(instance=self.instance, raise_on_error=False), self.instance)

    def score(self) -> RunResult:
        """Run `seedance_score` once."""
        job = self.defs.resolve_job_def("seedance_score")
        return RunResult(job.execute_in_process(instance=self.instance, raise_on_error=False), self.instance)

    def stored_by_dagster(self) -> str:
        """Return everything that the instance keeps, as text."""
        values = []
        files = list((self.folder / "home").rglob("*.db"))
        assert files, "the instance is in memory"
        for path in files:
            with closing(sqlite3.connect(path)) as connection:
                tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
                for (table,) in tables:
                    values += [value for row in connection.execute(f"SELECT * FROM {table}") for value in row]
        return "\n".join(
            zlib.decompress(value).decode() if isinstance(value, bytes) else str(value) for value in values
        )

    def newest(self, asset: str, key: str, name: str = "spots") -> dg.AssetMaterialization:
        """Return the newest materialization of a partition."""
        return self.history(asset, key, name)[0][1]

    def history(self, asset: str, key: str, name: str = "spots") -> list[tuple[int, dg.AssetMaterialization]]:
        """Return storage ids and materializations of a partition, the newest first."""
        records_filter = dg.AssetRecordsFilter(asset_key=dg.AssetKey([name, asset]), asset_partitions=[key])
        records = self.instance.fetch_materializations(records_filter, limit=100).records
        return [(record.storage_id, record.asset_materialization) for record in records]

    def partitions(self, name: str = "spots") -> list[str]:
        """Return Dagster's partitions of a set."""
        return list(self.instance.get_dynamic_partitions(f"{name}_prompts"))

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """Open the ledger that the resources open."""
        with self.resources["ledger"].open_ledger(self.instance) as opened:
            yield opened

    def orders(self, key: str, name: str = "spots") -> list[Order]:
        """Return all orders of a partition, the oldest first."""
        with self.ledger() as ledger:
            return [order for order in ledger.queries.find(prompt_set=name) if order.partition == key]

    def reported(self, order: Order) -> str | None:
        """Return the event that was last reported of an order for its own partition."""
        with self.ledger() as ledger:
            [link] = [
                link
                for link in ledger.reports.links(order.order_id)
                if (link.prompt_set, link.partition) == (order.prompt_set, order.partition)
            ]
        return link.reported

    def books(self) -> dict[str, Any]:
        """Return the vendor's own totals."""
        return read_books(self.emulator.url, "/summary")

    def control(self, path: str, **body: Any) -> None:
        """Change how the vendor behaves."""
        control_emulator(self.emulator.url, path, **body)


def video_store(server: S3Service, prefix: str, secret: str, bucket: str = "videos") -> VideoStoreResource:
    """Return the resource of a bucket on a server."""
    s3 = S3Resource(
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=secret,
    )
    return VideoStoreResource(bucket=bucket, prefix=prefix, s3=s3)


def in_memory(home: Path) -> dg.DagsterInstance:
    """Open a new instance in memory."""
    return dg.DagsterInstance.ephemeral(str(home), settings=INSTANCE_SETTINGS)


@contextmanager
def running_location(
    folder: Path,
    s3_server: S3Service,
    prompts: Mapping[str, Any],
    *,
    pacing: Pacing = FAST,
    on_disk: bool = False,
    **settings: Any,
) -> Iterator[CodeLocation]:
    """Run a code location with a vendor and an instance of its own; nothing waits longer than it must.

    The instance is in memory, which is faster, unless other processes read its files (`on_disk`).
    """
    for name in ("prompts", "home"):
        (folder / name).mkdir()
    rules = {"queue_seconds": 0, "render_seconds": 0, "plan_limit": 100} | settings
    with (
        pytest.MonkeyPatch.context() as patch,
        running_emulator(EmulatorSettings(**rules)) as emulator,
        (open_instance if on_disk else in_memory)(folder / "home") as instance,
    ):
        policy = SeedanceResource.policy
        patch.setattr(SeedanceResource, "policy", lambda self: replace(policy(self), pacing=pacing))
        patch.setenv(KEY_VARIABLE, API_KEY)
        patch.setenv(S3_SECRET_VARIABLE, s3_server.secret_key)
        location = CodeLocation(
            folder,
            instance,
            emulator,
            {
                "seedance": SeedanceResource(
                    api_key=dg.EnvVar(KEY_VARIABLE),
                    base_url=emulator.url,
                    upload_url=f"{emulator.url}/api/ephemeral_resource",
                    requests_per_second=1000,
                ),
                "video_store": video_store(s3_server, folder.name, dg.EnvVar(S3_SECRET_VARIABLE)),
                "ledger": LedgerResource(url=f"sqlite:///{folder}/ledger.db"),
            },
            video_store(s3_server, folder.name, s3_server.secret_key),
        )
        prepare_ledger(location.resources["ledger"].url)
        location.write(prompts)
        location.reload()
        location.skipped()
        yield location
