"""`demo` as a person runs it: real processes, real Dagster, ended and killed."""

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
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nothing may be left running."""
    yield from left_empty(tmp_path)


def test_demo_renders_everything_and_leaves_nothing(elsewhere: Path) -> None:
    """`demo --exit` ends with status 0 once every video is there, whatever the machine is set up for."""
    environ = {
        **os.environ,
        "TMPDIR": str(elsewhere),
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
    assert "13 of 13 videos" in done.stdout
    assert done.stdout.count("s3://videos/seedance/showcase/") == 13
    assert "a-real-key" not in done.stdout + done.stderr
    assert list(elsewhere.iterdir()) == []


def test_demo_that_is_killed_leaves_no_process(elsewhere: Path) -> None:
    """After kill -9 the emulator, the S3 server and Dagster end as well."""
    environ = {**os.environ, "TMPDIR": str(elsewhere)}
    with subprocess.Popen([*COMMAND, "demo"], cwd=ROOT, env=environ, stdout=subprocess.DEVNULL) as demo:
        awaited(lambda: any("dagster_webserver" in words for words in processes_of(elsewhere)))
        demo.kill()
