"""`seedance-dagster demo` with real processes and a real Dagster, ended and killed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes_support import COMMAND, awaited, left_empty, processes_of

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a process that must leave nothing running."""
    yield from left_empty(tmp_path)


@pytest.mark.long
def test_demo_stores_every_video_and_leaves_nothing_behind(folder: Path) -> None:
    """In any environment `demo --exit` ends with status 0 once every video is stored."""
    environ = {
        **os.environ,
        "TMPDIR": str(folder),
        "GOAPI_API_KEY": "a-real-key",
        "GOAPI_BASE_URL": "https://api.example.com",
        "SEEDANCE_OFF_PEAK_ONLY": "true",
        "AWS_PROFILE": "none-such",
    }
    done = subprocess.run(
        [*COMMAND, "demo", "--exit"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "15 of 15 videos" in done.stdout
    assert done.stdout.count("s3://videos/seedance/showcase/") == 15
    assert "a-real-key" not in done.stdout + done.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.long
def test_a_killed_demo_leaves_no_process(folder: Path) -> None:
    """When the demo is killed with kill -9, the emulator, the S3 server and Dagster end too."""
    environ = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen([*COMMAND, "demo"], cwd=ROOT, env=environ, stdout=subprocess.DEVNULL) as demo:
        awaited(lambda: any("dagster_webserver" in words for words in processes_of(folder)))
        demo.kill()
