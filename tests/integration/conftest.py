"""An engine on a real emulator and a real S3 server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from factories import Clock
from file_host import FileHost, running_file_host
from harness import running_engine
from preflight_support import Looking, looking
from reference_host import ReferenceFiles, running_reference_files
from stores import open_store, running_s3

from seedance_dagster.cli.local.programs import S3Service
from seedance_dagster.storage.s3 import VideoStore


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Service]:
    """A real S3 server on a folder, for all tests of a process."""
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def store(s3_server: S3Service, tmp_path: Path) -> VideoStore:
    """A video store under a prefix of its own."""
    return open_store(s3_server, s3_server.environ["SEEDANCE_S3_BUCKET"], tmp_path.name)


@pytest.fixture(scope="session")
def host() -> Iterator[FileHost]:
    """A file host that may do anything, for all tests of a process."""
    with running_file_host() as server:
        yield server


@pytest.fixture
def start_engine(store: VideoStore, tmp_path: Path) -> Callable[..., Any]:
    """Starts an engine on an emulator of its own, with a policy and the emulator's settings."""
    return partial(running_engine, tmp_path, store)


@pytest.fixture(scope="module")
def references() -> Iterator[ReferenceFiles]:
    """A host of reference files, for all tests of a file."""
    with running_reference_files() as server:
        yield server


@pytest.fixture
def look(tmp_path: Path, clock: Clock) -> Iterator[Looking]:
    """Probes the references of prompts."""
    with looking(tmp_path, clock) as engine:
        yield engine
