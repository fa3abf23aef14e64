"""Helpers of the benchmarks: servers in processes of their own, CPU times, and a plain table."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import httpx
import psutil
from pydantic import SecretStr

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.cli.environ import for_children, unconfigured
from seedance_dagster.cli.local import programs
from seedance_dagster.cli.local.ports import free_port
from seedance_dagster.cli.local.processes import Child
from seedance_dagster.storage.s3 import VideoStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Servers:
    """An emulator and an S3 server on free ports of this machine, and a folder for everything else."""

    emulator: programs.EmulatorService
    s3: programs.S3Service
    folder: Path

    @property
    def bucket(self) -> str:
        """The S3 server's one bucket."""
        return self.s3.environ["SEEDANCE_S3_BUCKET"]

    def set_emulator(self, **settings: object) -> None:
        """Change the emulator while it runs."""
        url = f"{self.emulator.url}/emulator/settings"
        httpx.post(url, json=settings, trust_env=False).raise_for_status()

    def open_client(self, transport: httpx.AsyncBaseTransport | None = None) -> SeedanceClient:
        """Open a client that the rate limit does not slow down."""
        return SeedanceClient(
            api_key=SecretStr(self.emulator.api_key),
            base_url=self.emulator.url,
            requests_per_second=1e6,
            transport=transport,
        )

    def open_s3(self) -> S3Client:
        """Open a new S3 client."""
        return boto3.client(
            "s3",
            endpoint_url=self.s3.url,
            aws_access_key_id=self.s3.access_key,
            aws_secret_access_key=self.s3.secret_key,
            region_name="us-east-1",
        )

    def open_store(self, prefix: str) -> VideoStore:
        """Open a store on a new S3 client."""
        return VideoStore(self.open_s3(), self.bucket, prefix)


@contextlib.contextmanager
def servers(*emulator_options: str) -> Iterator[Servers]:
    """Run an emulator and an S3 server until the block ends; their folder, under TMPDIR, is deleted then."""
    environ = for_children(unconfigured(os.environ))
    with tempfile.TemporaryDirectory(prefix="seedance-bench-") as temporary:
        folder = Path(temporary)
        with (
            programs.emulator(
                folder / "emulator", folder / "emulator.log", environ, *emulator_options
            ) as emulator,
            programs.s3(folder / "s3", folder / "s3.log", environ, port=free_port()) as s3,
        ):
            yield Servers(emulator, s3, folder)


def cpu_seconds(child: Child) -> float:
    """Return the CPU time that a server has taken so far, in seconds."""
    times = [process.cpu_times() for process in psutil.Process(child.process.pid).children(recursive=True)]
    return sum(spent.user + spent.system for spent in times)


def _others_cpu_seconds() -> float:
    """Return the CPU time of all processes but this one and its ended children, in seconds."""
    machine, own = psutil.cpu_times(), os.times()
    busy = sum(machine) - machine.idle - getattr(machine, "iowait", 0.0)
    return busy - (own.user + own.system + own.children_user + own.children_system)


_BEGAN, _OTHERS_BEFORE = time.perf_counter(), _others_cpu_seconds()


def report(rows: Sequence[tuple[str, str, str]], *notes: str) -> None:
    """Print a table of figures with values and aims, then notes, and the command to run it again."""
    table = [("figure", "reached", "aim"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    for name, value, aim in table:
        print(f"  {name:<{widths[0]}}  {value:>{widths[1]}}  {aim:>{widths[2]}}".rstrip())
    passed = (time.perf_counter() - _BEGAN) * (psutil.cpu_count() or 1)
    share = max(0.0, _others_cpu_seconds() - _OTHERS_BEFORE) / passed
    for note in (
        *notes,
        f"other programs took {share:.0%} of this machine's CPU meanwhile",
        f"again: .venv/bin/python benchmarks/{Path(sys.argv[0]).name}",
    ):
        print(f"  {note}")
