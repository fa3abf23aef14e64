"""The image of deploy/, without Docker: its commands in a clean virtual environment."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(1500)]


def test_the_image_installs_and_loads(tmp_path):
    """The files and packages of the image are enough for definitions, programs and command line."""
    app, home, bin_ = tmp_path / "app", tmp_path / "home", tmp_path / "venv" / "bin"
    home.mkdir()
    for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            copy(ROOT / source, home if target.startswith("/opt") else app / target)
    venv.create(tmp_path / "venv", with_pip=True)
    [extras] = re.findall(r"^ARG EXTRAS=(.+)$", DOCKERFILE, re.MULTILINE)
    [install] = re.findall(r"^RUN (pip install .+)$", DOCKERFILE, re.MULTILINE)
    environ = {"PATH": f"{bin_}:{os.environ['PATH']}", "EXTRAS": extras, "HOME": os.environ["HOME"]}
    environ |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=app, env=environ, capture_output=True, text=True, check=False
        )
        if "No matching distribution" in done.stderr or "Could not find a version" in done.stderr:
            pytest.skip("no package index can be reached")
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout

    run(install)
    load = "import definitions; print(len(definitions.defs.jobs))"
    assert int(run(f"DAGSTER_HOME={home} python -c {shlex.quote(load)}")) >= 2
    assert "seedance" in run("seedance-dagster --help")
    for program in ("dagster-webserver", "dagster-daemon"):
        assert run(f"{program} --help")
    assert "dagster_postgres" in run(
        "python -c 'import dagster_postgres, psycopg; print(dagster_postgres.__name__)'"
    )


def copy(source: Path, target: Path) -> None:
    """Copy as Docker does: a folder's content into the target, a file under its own name."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
