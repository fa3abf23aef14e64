"""The product as a user runs it: `dagster dev`, emulator and S3 in processes of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from seedance_dagster.cli.environ import reference_definitions, unconfigured
from seedance_dagster.cli.local.stack import Stack, running_stack
from seedance_dagster.ledger.ledger import Ledger

_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_PATIENT_MS = 120_000
_RUNS = """query ($filter: RunsFilter) { runsOrError(filter: $filter) { ... on Runs { results {
    runId status jobName tags { key value } } } } }"""
_STALE = """query ($key: AssetKeyInput!, $partition: String!) { assetNodeOrError(assetKey: $key) {
    ... on AssetNode { staleStatus(partition: $partition) } } }"""
_FAILED = """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
    assetPartitionStatuses { ... on DefaultPartitionStatuses {
        materializedPartitions failedPartitions unmaterializedPartitions } } } } }"""


@dataclass
class World:
    """A running stack and the questions that the scenarios ask of it."""

    stack: Stack
    folder: Path
    prompts: Path

    def ask(self, query: str, **variables: Any) -> Any:
        reply = httpx.post(
            f"{self.stack.dagster.url}/graphql",
            json={"query": query, "variables": variables},
            timeout=60,
            trust_env=False,
        )
        body = reply.json()
        assert not body.get("errors"), body
        return body["data"]

    def runs(self, **wanted: Any) -> list[dict[str, Any]]:
        return self.ask(_RUNS, filter=wanted)["runsOrError"]["results"]

    def statuses(self, *asset: str) -> dict[str, list[str]]:
        return self.ask(_FAILED, key={"path": asset})["assetNodeOrError"]["assetPartitionStatuses"]

    def stale(self, partition: str, *asset: str) -> str:
        node = self.ask(_STALE, key={"path": asset}, partition=partition)["assetNodeOrError"]
        return str(node["staleStatus"])

    def backfill(self, assets: list[str], partitions: list[str], name: str) -> str:
        return self.stack.dagster.api.launch_backfill(
            [[name, asset] for asset in assets], partitions, "acceptance"
        )

    def partitions(self, name: str, count: int) -> list[str]:
        keys: list[str] = []

        def there() -> bool:
            keys[:] = self.stack.dagster.api.partition_keys([name, "prompts"])
            return len(keys) == count

        self.until(there, 60)
        return keys

    def until(self, holds: Callable[[], bool], within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < deadline, "it took too long"
            self.stack.check()
            time.sleep(1)

    def ended(self, backfill: str, within_s: float) -> str:
        self.until(lambda: self.stack.dagster.api.backfill(backfill).ended, within_s)
        return self.stack.dagster.api.backfill(backfill).status

    def books(self, path: str = "/summary") -> Any:
        url = f"{self.stack.environ['GOAPI_BASE_URL']}/emulator/books{path}"
        return httpx.get(url, timeout=60, trust_env=False).json()

    @contextlib.contextmanager
    def ledger(self) -> Iterator[Ledger]:
        opened = Ledger.open(f"sqlite:///{self.folder}/dagster/seedance/ledger.db")
        yield opened
        opened.close()

    def s3(self) -> Any:
        environ = self.stack.environ
        return boto3.client(
            "s3",
            endpoint_url=environ["AWS_ENDPOINT_URL_S3"],
            aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        )


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., contextlib.AbstractContextManager[World]]:
    """Starts the whole stack on a prompt file and a file of definitions; a second start reuses its folder."""

    @contextlib.contextmanager
    def start(
        prompts: Path, *emulator_options: str, definitions: Path | None = None, **environ: str
    ) -> Iterator[World]:
        folder = tmp_path / "stack"
        folder.mkdir(exist_ok=True)
        settings = {**unconfigured(os.environ), "SEEDANCE_PROMPTS": str(prompts), **environ}
        with running_stack(
            folder,
            settings,
            definitions=definitions or reference_definitions(),
            emulated=True,
            embedded_s3=True,
            emulator_options=emulator_options,
        ) as stack:
            yield World(stack, folder, prompts)

    return start


@pytest.fixture
def page() -> Iterator[Any]:
    """A page of a headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install --group browser")
    if _CHROMIUM is None:
        pytest.skip("no Chromium is installed; on Debian run: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 1100})
        page.set_default_timeout(_PATIENT_MS)
        yield page
        browser.close()
