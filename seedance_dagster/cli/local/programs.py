"""The three programs behind `demo` and `dev`, each as a context manager: emulator, S3 and Dagster."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from seedance_dagster.cli.local.dagster_api import DagsterApi
from seedance_dagster.cli.local.ports import LOOPBACK
from seedance_dagster.cli.local.processes import Child, running

_START_S = 30.0
_DAGSTER_START_S = 120.0
_DAGSTER_GRACE_S = 20.0
_BUCKET = "videos"
_DAGSTER_YAML = """\
# Written at the first start; all but where things are stored is yours to change.
telemetry:
  enabled: false
# No dialog about newsletters before the first look.
nux:
  enabled: false
# A run whose process was stopped is started again and joins the orders it left; one that failed is not.
run_retries:
  enabled: true
  max_retries: 3
  retry_on_asset_or_op_failure: false
run_monitoring:
  enabled: true
"""


@dataclass(frozen=True)
class EmulatorService:
    """A running emulator: where it answers and the key it takes."""

    child: Child
    url: str
    api_key: str

    @property
    def environ(self) -> dict[str, str]:
        """The environment that makes the package use it."""
        return {"GOAPI_BASE_URL": self.url, "GOAPI_API_KEY": self.api_key}


@dataclass(frozen=True)
class S3Service:
    """A running S3 server on a folder."""

    child: Child
    url: str
    access_key: str
    secret_key: str

    @property
    def environ(self) -> dict[str, str]:
        """The environment that makes boto3 and the package use it."""
        return {
            "SEEDANCE_S3_BUCKET": _BUCKET,
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            # The user's own profiles must not bend the way to this server.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }


@dataclass(frozen=True)
class DagsterService:
    """A running `dagster dev`."""

    child: Child
    url: str
    api: DagsterApi
    environ: dict[str, str]


@contextlib.contextmanager
def emulator(folder: Path, log: Path, environ: Mapping[str, str], *options: str) -> Iterator[EmulatorService]:
    """Run the emulator; it keeps tasks and ports in `folder`.

    Raises:
        click.ClickException: It did not start; the message holds the end of its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = "emulator-key"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "seedance_dagster.emulator",
        "--state-dir",
        folder,
        "--api-key",
        key,
    ]
    with running("the emulator", [*command, *options], log=log, environ=environ, folder=folder) as child:
        child.wait_until(lambda: _emulator_url(child) is not None, within_s=_START_S)
        yield EmulatorService(child, str(_emulator_url(child)), key)


@contextlib.contextmanager
def s3(folder: Path, log: Path, environ: Mapping[str, str], *, port: int) -> Iterator[S3Service]:
    """Serve `folder` as S3 with one bucket.

    Raises:
        click.ClickException: The server is not installed or did not start.
    """
    (folder / _BUCKET).mkdir(parents=True, exist_ok=True)
    access_key, secret_key = "seedance", secrets.token_urlsafe(24)
    command: list[str | Path] = [
        _rclone(),
        "serve",
        "s3",
        "--addr",
        f"{LOOPBACK}:{port}",
        "--vfs-cache-mode",
        "off",
        folder,
    ]
    # By environment: other users of this machine can read command lines.
    keys = {"RCLONE_AUTH_KEY": f'"{access_key},{secret_key}"', "RCLONE_CONFIG": ""}
    with running("the S3 server", command, log=log, environ={**environ, **keys}, folder=folder) as child:
        # Its own words: on the port itself another program might answer.
        child.wait_until(lambda: "Starting s3 server" in child.said(), within_s=_START_S)
        yield S3Service(child, f"http://{LOOPBACK}:{port}", access_key, secret_key)


@contextlib.contextmanager
def dagster(
    home: Path, log: Path, environ: Mapping[str, str], *, definitions: Path, port: int
) -> Iterator[DagsterService]:
    """Run `dagster dev` on a file with definitions, until its code location has loaded.

    Args:
        home: DAGSTER_HOME; also the working folder, so that no `.env` file changes the environment.
        log: The file that gets its output.
        environ: The environment of Dagster and of the code location.
        definitions: The Python file of the code location.
        port: Of the UI.

    Raises:
        click.ClickException: It did not start or the code location does not load.
    """
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_text(_DAGSTER_YAML)
    command: list[str | Path] = [
        *(sys.executable, "-m", "dagster", "dev", "--host", LOOPBACK, "--port", str(port)),
        *("--python-file", definitions, "--working-directory", definitions.parent),
        *("--log-level", "warning"),
    ]
    own = {"DAGSTER_HOME": str(home)}
    url = f"http://{LOOPBACK}:{port}"
    with (
        running(
            "Dagster", command, log=log, environ={**environ, **own}, folder=home, grace_s=_DAGSTER_GRACE_S
        ) as child,
        contextlib.closing(DagsterApi(url)) as api,
    ):
        child.wait_until(lambda: api.code_location_loaded(home), within_s=_DAGSTER_START_S)
        yield DagsterService(child, url, api, own)


def _emulator_url(child: Child) -> str | None:
    ready = re.search(r"emulator ready at (\S+)", child.said())
    return ready[1] if ready else None


def _rclone() -> str:
    # The wheel puts the program beside this Python, which need not be on PATH.
    found = shutil.which("rclone", path=sysconfig.get_path("scripts")) or shutil.which("rclone")
    if found is None:
        raise click.ClickException(
            "the embedded S3 server is not installed; pip install 'seedance-dagster[demo]', "
            "or set SEEDANCE_S3_BUCKET to a bucket of yours"
        )
    return found
