"""The set's step under an executor of the team's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import dagster as dg
import pytest
from harness import API_KEY, read_books

from seedance_dagster.emulator.server import running_emulator
from seedance_dagster.emulator.vendor_settings import EmulatorSettings

pytestmark = [pytest.mark.integration, pytest.mark.long]  # starts Dagster twice

DAGSTER = (sys.executable, "-m", "dagster")
CODE_LOCATION = """
import os
import dagster as dg
from seedance_dagster import SeedanceResource, VideoStoreResource, build_seedance_definitions

defs = dg.Definitions.merge(
    build_seedance_definitions(
        "spots.json",
        seedance=SeedanceResource(
            api_key=dg.EnvVar("GOAPI_API_KEY"),
            base_url=os.environ["GOAPI_BASE_URL"],
            allow_private_hosts=True,
        ),
        video_store=VideoStoreResource(bucket="videos", prefix="executors"),
    ),
    dg.Definitions(executor=dg.multiprocess_executor),
)
"""


def test_the_step_runs_in_a_process_of_its_own(s3_server, tmp_path, monkeypatch):
    """Under the multiprocess executor a run orders, waits and stores as under the default one (d4)."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").touch()
    (tmp_path / "defs.py").write_text(CODE_LOCATION)
    prompt = {"id": "cat", "prompt": "a cat", "duration": 4}
    (tmp_path / "spots.json").write_text(json.dumps({"name": "spots", "prompts": [prompt]}))
    quick = EmulatorSettings(queue_seconds=0.0, render_seconds=0.0)
    with running_emulator(quick) as emulator:
        environ = {
            **s3_server.environ,
            "DAGSTER_HOME": str(home),
            "GOAPI_API_KEY": API_KEY,
            "GOAPI_BASE_URL": emulator.url,
            "DAGSTER_DISABLE_TELEMETRY": "yes",
        }
        monkeypatch.setenv("DAGSTER_HOME", str(home))
        with dg.DagsterInstance.get() as instance:
            instance.add_dynamic_partitions("spots_prompts", ["cat"])
        wanted = " or ".join(f"key:spots/{asset}" for asset in ("prompts", "tasks", "videos"))
        done = subprocess.run(
            [*DAGSTER, "asset", "materialize", "-f", "defs.py", "--select", wanted, "--partition", "cat"],
            cwd=tmp_path,
            env=os.environ | environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Launching subprocess" in done.stderr
        books = read_books(emulator.url)
    assert (books["summary"]["tasks"], books["summary"]["downloads"]) == (1, 1)
    with dg.DagsterInstance.get() as instance:
        assert instance.get_materialized_partitions(dg.AssetKey(["spots", "videos"])) == {"cat"}
