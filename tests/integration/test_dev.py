"""`dev` as a person runs it: real processes, real Dagster, stopped and started again."""

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
prompts:
  - {id: first, prompt: a slow cat, takes: 3}
  - {id: refused, prompt: "something forbidden [fault:moderation]"}
"""
# Dagster looks for new backfills every 30 s; a run that a person launches in the UI starts at once.
LAUNCH = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename
    ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nothing may be left running."""
    yield from left_empty(tmp_path)


class Dev:
    """`seedance-dagster dev` in a folder, and questions to what it runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = folder / ".seedance" / "emulator"
        own = {
            name: value for name, value in os.environ.items() if not name.startswith(("GOAPI", "SEEDANCE"))
        }
        self.log = (folder / "dev.log").open("w+")
        self.process = subprocess.Popen(
            [*COMMAND, "dev"], cwd=folder, env=own, stdout=self.log, stderr=subprocess.STDOUT
        )
        awaited(lambda: "UI is at" in self.said() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said()
        self.ports = json.loads((self.place / "ports.json").read_text())
        self.api = DagsterApi(f"http://127.0.0.1:{self.ports['ui']}")

    def said(self) -> str:
        return (self.folder / "dev.log").read_text()

    def setting(self, name: str) -> str:
        [line] = [line for line in (self.place / "env").read_text().splitlines() if f" {name}=" in line]
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
        assert self.process.wait(60) == 0, self.said()
        self.log.close()

    def states(self) -> dict[str, State]:
        ledger = Ledger.open(f"sqlite:///{self.place}/dagster/seedance/ledger.db")
        with contextlib.closing(ledger):
            return {key: order.state for key, order in ledger.queries.latest("slow").items()}


def test_dev_goes_on_where_it_was(elsewhere: Path) -> None:
    """Stopped during a run, the next start stores its videos; nothing is ordered twice."""
    (elsewhere / "prompt_sets").mkdir()
    (elsewhere / "prompt_sets" / "slow.yaml").write_text(SLOW)
    wanted = ["first.t1", "first.t2", "first.t3", "refused"]
    dev = Dev(elsewhere)
    try:
        with pytest.raises(click.ClickException, match="could not be found"):
            dev.api.backfill("no-such-backfill")
        awaited(lambda: dev.api.partition_keys(("slow", "videos")) == wanted)
        dev.launch_run(wanted[0], wanted[-1])
        awaited(lambda: State.SUBMITTED in dev.states().values())
        dev.stop()
        first_ports = dev.ports
        dev = Dev(elsewhere)
        assert dev.ports == first_ports
        awaited(lambda: len(dev.api.materializations(("slow", "videos"))) == 3)
        assert dev.states() == {
            "first.t1": State.STORED,
            "first.t2": State.STORED,
            "first.t3": State.STORED,
            "refused": State.REJECTED,
        }
        videos = dev.api.materializations(("slow", "videos")).values()
        tasks = {metadata["seedance/task_id"] for metadata in videos}
        assert len(tasks) == 3
        address = dev.setting("GOAPI_BASE_URL")
        assert len(httpx.get(f"{address}/emulator/books").json()["tasks"]) == 4
        other_terminal = subprocess.run(
            ["sh", "-c", '. .seedance/emulator/env && "$@"', "sh", *COMMAND, "status", "--json"],
            cwd=elsewhere,
            capture_output=True,
            text=True,
            check=False,
        )
        assert other_terminal.returncode == 1, other_terminal.stderr
        status = json.loads(other_terminal.stdout)
        assert status["spent_usd"] == "1.204"  # three videos, and the penalty for the refused one
        assert len(status["problems"]) == 1
    finally:
        dev.stop()
