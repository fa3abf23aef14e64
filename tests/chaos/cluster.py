"""`python -m chaos --cluster N`: a backfill on PostgreSQL, redis and two Celery workers; one is killed.

Everything is the real program, on free ports of this machine: emulator, S3, PostgreSQL for Dagster and the
ledger, redis, code server, webserver, daemon, and workers that each have a DAGSTER_HOME of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import click
import httpx
import psutil
import sqlalchemy as sa

from chaos.programs import postgres_server
from seedance_dagster.cli.environ import for_children, reference_definitions, unconfigured
from seedance_dagster.cli.local import programs
from seedance_dagster.cli.local.dagster_api import DagsterApi
from seedance_dagster.cli.local.ports import LOOPBACK, free_port
from seedance_dagster.cli.local.processes import Child, running
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State

CELERY = Path(__file__).parents[2] / "deploy" / "celery"
NAME = "cluster"
_START_S, _WORK_S = 300.0, 1800.0
_BIN = Path(sys.executable).parent


@dataclass
class Cluster:
    """The running programs, and the steps that a person would take with them."""

    folder: Path
    environ: dict[str, str]
    stack: contextlib.ExitStack
    children: list[Child] = field(default_factory=list)

    def start(self, name: str, *command: str | Path, **environ: str) -> Child:
        """Run a program in a DAGSTER_HOME of its own, as on a machine of its own."""
        home = self.folder / name
        home.mkdir(exist_ok=True)
        for file in (*CELERY.glob("*.yaml"), self.folder / "workspace.yaml"):
            shutil.copy(file, home) if file.exists() else None
        child = self.stack.enter_context(
            running(
                name,
                command,
                log=self.folder / f"{name}-{time.monotonic_ns()}.log",
                environ=self.environ | {"DAGSTER_HOME": str(home)} | environ,
                folder=home,
                grace_s=20,
            )
        )
        self.children.append(child)
        return child

    def worker(self, name: str) -> Child:
        """Run a Celery worker that takes two runs at a time."""
        return self.start(
            name,
            *(_BIN / "dagster-celery", "worker", "start", "-A", "dagster_celery.app"),
            *("-y", "worker.yaml", "-n", name, "--", "--concurrency", "2"),
        )

    def kill(self, child: Child) -> int:
        """Kill a program with all its processes, as if its machine failed; return their number."""
        self.children.remove(child)
        processes = psutil.Process(child.process.pid).children(recursive=True)
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return len(processes)

    def until(self, condition: str, holds: Callable[[], bool], within_s: float) -> float:
        """Wait until something holds, while all programs run; return the seconds that it took."""
        began = time.monotonic()
        while not holds():
            for child in self.children:
                child.check()
            if time.monotonic() - began > within_s:
                raise click.ClickException(
                    f"{condition} took longer than {within_s:.0f} s; see {self.folder}"
                )
            time.sleep(0.5)
        return time.monotonic() - began

    def books(self, path: str) -> Any:
        """Return the vendor's own accounts."""
        url = f"{self.environ['GOAPI_BASE_URL']}/emulator/books{path}"
        return httpx.get(url, timeout=60, trust_env=False).json()


def run_cluster(count: int) -> list[str]:
    """Run a backfill on a cluster; print its figures, and return the problems found afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="seedance-cluster-"))
    folder.chmod(0o755)  # under root, PostgreSQL runs as another user
    with contextlib.ExitStack() as stack:
        cluster = _start_services(folder, stack, count)
        ledger = stack.enter_context(contextlib.closing(Ledger.open(cluster.environ["SEEDANCE_LEDGER_URL"])))
        api = _start_dagster(cluster)
        stack.callback(api.close)
        first = cluster.worker("worker-1")
        cluster.worker("worker-2")

        def stored() -> int:
            return sum(
                n.orders for (_, state), n in ledger.workload.counts().items() if state is State.STORED
            )

        def partitions() -> list[str]:
            return api.partition_keys([NAME, "prompts"])

        cluster.until("reading the prompts", lambda: len(partitions()) == count, _START_S)
        began = time.monotonic()
        backfill = api.launch_backfill([[NAME, "prompts"], [NAME, "tasks"]], partitions(), "cluster")
        cluster.until("ordering", lambda: api.backfill(backfill).ended, _WORK_S)
        click.echo(f"backfill {api.backfill(backfill).status} after {time.monotonic() - began:.0f} s")
        cluster.until("a quarter of the videos", lambda: stored() >= count // 4, _WORK_S)
        killed, at = cluster.kill(first), stored()
        click.echo(f"killed worker-1 and its {killed} processes with {at} videos stored")
        cluster.until("half a minute", _after(30), 60)
        cluster.worker("worker-1")
        cluster.until("all videos", lambda: stored() == count, _WORK_S)
        took = time.monotonic() - began
        click.echo(f"{count} videos after {took:.0f} s, {60 * count / took:.0f} a minute")
        reported = cluster.until("reporting", lambda: _is_reported(ledger, api, count), _WORK_S)
        click.echo(f"all reported to Dagster {reported:.0f} s later")
        problems = _verdict(cluster, ledger, count)
    if problems:
        return [*problems, f"The folder of the cluster is {folder}"]
    shutil.rmtree(folder, ignore_errors=True)
    return []


def _start_services(folder: Path, stack: contextlib.ExitStack, count: int) -> Cluster:
    redis = shutil.which("redis-server")
    if redis is None:
        raise click.ClickException("redis-server is not installed: apt-get install redis-server")
    environ = for_children(unconfigured(os.environ))
    emulator = stack.enter_context(
        programs.emulator(
            folder / "emulator",
            folder / "emulator.log",
            environ,
            *("--render-seconds", "2", "--plan-limit", "20"),
        )
    )
    s3 = stack.enter_context(programs.s3(folder / "s3", folder / "s3.log", environ, port=free_port()))
    server = stack.enter_context(postgres_server(folder / "postgresql"))
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        for name in ("dagster", "ledger"):
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
    rows = [{"id": f"p{n:04d}", "prompt": f"prompt number {n}", "duration": 4} for n in range(count)]
    (folder / f"{NAME}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    port = free_port()
    cluster = Cluster(folder, environ | emulator.environ | s3.environ, stack)
    cluster.environ |= {
        "PATH": f"{_BIN}{os.pathsep}{environ.get('PATH', '')}",  # dagster-celery starts celery from it
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "DAGSTER_POSTGRES_URL": _url(server, "postgresql+psycopg2", "dagster"),
        "SEEDANCE_LEDGER_URL": _url(server, "postgresql", "ledger"),
        "SEEDANCE_PROMPTS": str(folder / f"{NAME}.jsonl"),
        "SEEDANCE_MAX_ADVANCERS": "2",
        "DAGSTER_CELERY_BROKER_URL": f"redis://{LOOPBACK}:{port}/0",
        "DAGSTER_CELERY_BACKEND_URL": f"redis://{LOOPBACK}:{port}/1",
    }
    cluster.start("redis", redis, "--port", str(port), "--bind", LOOPBACK, "--save", "")
    return cluster


def _start_dagster(cluster: Cluster) -> DagsterApi:
    code, web = str(free_port()), str(free_port())
    definitions = reference_definitions()
    server = {"host": LOOPBACK, "port": int(code), "location_name": "seedance"}
    (cluster.folder / "workspace.yaml").write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
    cluster.start(
        "code",
        *(_BIN / "dagster", "api", "grpc", "--host", LOOPBACK, "--port", code),
        *("--python-file", definitions, "--working-directory", definitions.parent),
    )
    cluster.start("webserver", _BIN / "dagster-webserver", "-h", LOOPBACK, "-p", web, "-w", "workspace.yaml")
    api = DagsterApi(f"http://{LOOPBACK}:{web}")
    home = cluster.folder / "webserver"
    cluster.until("starting Dagster", lambda: api.code_location_loaded(home), _START_S)
    cluster.start("daemon", _BIN / "dagster-daemon", "run", "-w", "workspace.yaml")
    return api


def _is_reported(ledger: Ledger, api: DagsterApi, count: int) -> bool:
    if ledger.workload.actionable().to_report:
        return False
    return len(api.materializations([NAME, "videos"])) == count


def _verdict(cluster: Cluster, ledger: Ledger, count: int) -> list[str]:
    """Return the problems that the vendor's accounts, the ledger, S3 and an audit show."""
    problems = []
    summary = cluster.books("/summary")
    click.echo(f"at most {summary['peak_calls_per_second']} requests in a second reached the vendor")
    paid = (summary["prompts"], summary["tasks"], summary["most_tasks_of_one_prompt"])
    if paid != (count, count, 1) or not summary["balanced"]:
        problems.append(f"the vendor's accounts: {summary}")
    orders = ledger.queries.find()
    if len(orders) != count or {(order.state, order.attempt) for order in orders} != {(State.STORED, 1)}:
        problems.append(f"the ledger has {len(orders)} orders")
    s3 = boto3.client(
        "s3",
        endpoint_url=cluster.environ["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=cluster.environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=cluster.environ["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=cluster.environ["SEEDANCE_S3_BUCKET"])
    videos = [stored["Key"] for page in pages for stored in page["Contents"] if "video.mp4" in stored["Key"]]
    if len(videos) != count:
        problems.append(f"{len(videos)} videos are in S3")
    audit = subprocess.run(
        [sys.executable, "-c", "from seedance_dagster.cli import main; main()", "audit"],
        env=cluster.environ | {"DAGSTER_HOME": str(cluster.folder / "webserver")},
        cwd=cluster.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    click.echo(audit.stdout.strip().splitlines()[-1] if audit.stdout.strip() else audit.stderr)
    if audit.returncode:
        problems.append(f"the audit found problems:\n{audit.stdout}{audit.stderr}")
    return problems


def _url(server: sa.URL, driver: str, database: str) -> str:
    return server.set(drivername=driver, database=database).render_as_string(hide_password=False)


def _after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end
