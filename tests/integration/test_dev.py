"""`seedance-dagster dev` with real processes and a real Dagster, stopped and started again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import httpx
import pytest
from processes_support import COMMAND, awaited, left_empty

from seedance_dagster.cli.local.dagster_api import DagsterApi
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State

pytestmark = pytest.mark.integration

SLOW = """
name: slow
defaults: {task_type: seedance-2}
prompts:
  - {id: first, prompt: a slow cat, takes: 3}
  - {id: rejected, prompt: "something forbidden [fault:moderation]"}
"""
# Dagster looks for new backfills every 30 s; a run that a person launches in the UI starts at once.
LAUNCH = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename
    ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a process that must leave nothing running."""
    yield from left_empty(tmp_path)


class Dev:
    """A running `seedance-dagster dev` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state_dir = folder / ".seedance" / "emulator"
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("GOAPI", "SEEDANCE"))
        }
        self.log = (folder / "dev.log").open("w+")
        self.process = subprocess.Popen(
            [*COMMAND, "dev"], cwd=folder, env=environ, stdout=self.log, stderr=subprocess.STDOUT
        )
        try:
            awaited(lambda: "UI is at" in self.output() or self.process.poll() is not None)
        except AssertionError:
            self.process.terminate()
            raise
        assert self.process.poll() is None, self.output()
        self.ports = json.loads((self.state_dir / "ports.json").read_text())
        self.api = DagsterApi(f"http://127.0.0.1:{self.ports['ui']}")

    def output(self) -> str:
        return (self.folder / "dev.log").read_text()

    def setting(self, name: str) -> str:
        [line] = [line for line in (self.state_dir / "env").read_text().splitlines() if f" {name}=" in line]
        return line.partition("=")[2]

    def launch_run(self, first: str, last: str) -> None:
        """Materialize a range of partitions in one run."""
        selector = {
            "repositoryLocationName": "definitions.py",
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": ["slow", asset]} for asset in ("prompts", "tasks", "videos")],
            "assetCheckSelection": [],
        }
        tags = {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
        }
        tag_list = [{"key": key, "value": value} for key, value in tags.items()]
        params = {"selector": selector, "mode": "default", "executionMetadata": {"tags": tag_list}}
        reply = httpx.post(
            f"http://127.0.0.1:{self.ports['ui']}/graphql",
            json={"query": LAUNCH, "variables": {"params": params}},
            timeout=60,
            trust_env=False,
        ).json()
        assert reply["data"]["launchRun"]["__typename"] == "LaunchRunSuccess", reply

    def stop(self) -> None:
        self.api.close()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, self.output()
        self.log.close()

    def states(self) -> dict[str, State]:
        ledger = Ledger.open(f"sqlite:///{self.state_dir}/dagster/seedance/ledger.db")
        with contextlib.closing(ledger):
            return {key: order.state for key, order in ledger.queries.latest("slow").items()}


@pytest.mark.long
def test_dev_continues_where_it_stopped(folder: Path) -> None:
    """When `dev` stops during a run, its next start stores the videos, and nothing is ordered twice."""
    (folder / "prompt_sets").mkdir()
    (folder / "prompt_sets" / "slow.yaml").write_text(SLOW)
    partitions = ["first", "first.t2", "first.t3", "rejected"]
    dev = Dev(folder)
    try:
        with pytest.raises(click.ClickException, match="could not be found"):
            dev.api.backfill("no-such-backfill")
        awaited(lambda: dev.api.partition_keys(("slow", "videos")) == partitions)
        dev.launch_run(partitions[0], partitions[-1])
        awaited(lambda: State.SUBMITTED in dev.states().values())
        dev.stop()
        first_ports = dev.ports
        dev = Dev(folder)
        assert dev.ports == first_ports
        awaited(lambda: len(dev.api.materializations(("slow", "videos"))) == 3)
        assert dev.states() == {
            "first": State.STORED,
            "first.t2": State.STORED,
            "first.t3": State.STORED,
            "rejected": State.REJECTED,
        }
        videos = dev.api.materializations(("slow", "videos")).values()
        tasks = {metadata["seedance/task_id"] for metadata in videos}
        assert len(tasks) == 3
        address = dev.setting("GOAPI_BASE_URL")
        assert len(httpx.get(f"{address}/emulator/books").json()["tasks"]) == 4
        status = subprocess.run(
            ["sh", "-c", '. .seedance/emulator/env && "$@"', "sh", *COMMAND, "status", "--json"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert status.returncode == 1, status.stderr
        report = json.loads(status.stdout)
        assert report["spent_usd"] == "1.505"  # three videos, and the penalty for the rejected one
        assert len(report["problems"]) == 1
    finally:
        dev.stop()
