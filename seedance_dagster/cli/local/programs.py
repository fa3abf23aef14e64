"""The three programs of `demo` and `dev`, each as a context manager: emulator, S3 and Dagster."""

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
# Written at the first start. You may change everything except where data is stored.
telemetry:
  enabled: false
# No newsletter dialog.
nux:
  enabled: false
# A run whose process was stopped is retried and joins its orders; a run that failed is not retried.
run_retries:
  enabled: true
  max_retries: 3
  retry_on_asset_or_op_failure: false
run_monitoring:
  enabled: true
  # Dagster plans each partition of a run before the run starts, about 5 ms for each asset.
  start_timeout_seconds: 1200
"""


@dataclass(frozen=True)
class EmulatorService:
    """A running emulator, with its URL and API key."""

    child: Child
    url: str
    api_key: str

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables that make this package use it."""
        return {
            "GOAPI_BASE_URL": self.url,
            "SEEDANCE_UPLOAD_URL": f"{self.url}/api/ephemeral_resource",
            "GOAPI_API_KEY": self.api_key,
        }


@dataclass(frozen=True)
class S3Service:
    """A running S3 server on a folder."""

    child: Child
    url: str
    access_key: str
    secret_key: str

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables that make boto3 and this package use it."""
        return {
            "SEEDANCE_S3_BUCKET": _BUCKET,
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            # The user's profiles must not redirect requests.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }


@dataclass(frozen=True)
class GalleryService:
    """A running gallery."""

    child: Child
    url: str


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
        click.ClickException: It did not start; the message has the end of its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = "emulator-key"
    command: list[str | Path] = [
        *(sys.executable, "-m", "seedance_dagster.emulator"),
        *("--state-dir", folder, "--api-key", key),
    ]
    with running("the emulator", [*command, *options], log=log, environ=environ, folder=folder) as child:
        child.wait_until(lambda: _emulator_url(child) is not None, within_s=_START_S)
        yield EmulatorService(child, str(_emulator_url(child)), key)


@contextlib.contextmanager
def s3(folder: Path, log: Path, environ: Mapping[str, str], *, port: int) -> Iterator[S3Service]:
    """Serve `folder` over S3, with one bucket.

    Raises:
        click.ClickException: The server is not installed or did not start.
    """
    (folder / _BUCKET).mkdir(parents=True, exist_ok=True)
    access_key, secret_key = "seedance", secrets.token_urlsafe(24)
    command: list[str | Path] = [
        *(_rclone(), "serve", "s3", "--addr", f"{LOOPBACK}:{port}"),
        *("--vfs-cache-mode", "off", folder),
    ]
    # In the environment, since other users of this machine can read command lines.
    keys = {"RCLONE_AUTH_KEY": f'"{access_key},{secret_key}"', "RCLONE_CONFIG": ""}
    with running("the S3 server", command, log=log, environ={**environ, **keys}, folder=folder) as child:
        # Read from its log, since another program might answer on the port.
        child.wait_until(lambda: "Starting s3 server" in child.output(), within_s=_START_S)
        yield S3Service(child, f"http://{LOOPBACK}:{port}", access_key, secret_key)


@contextlib.contextmanager
def dagster(
    home: Path, log: Path, environ: Mapping[str, str], *, definitions: Path, port: int
) -> Iterator[DagsterService]:
    """Run `dagster dev` on a file with definitions, and wait until its code location has loaded.

    Args:
        home: DAGSTER_HOME; also the working directory, so that no `.env` file changes the environment.
        log: The file for its output.
        environ: The environment of Dagster and the code location.
        definitions: The Python file of the code location.

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
    dagster_environ = {"DAGSTER_HOME": str(home)}
    url = f"http://{LOOPBACK}:{port}"
    with (
        running(
            "Dagster",
            command,
            log=log,
            environ={**environ, **dagster_environ},
            folder=home,
            grace_s=_DAGSTER_GRACE_S,
        ) as child,
        contextlib.closing(DagsterApi(url)) as api,
    ):
        child.wait_until(lambda: api.code_location_loaded(home), within_s=_DAGSTER_START_S)
        yield DagsterService(child, url, api, dagster_environ)


@contextlib.contextmanager
def gallery(
    folder: Path, log: Path, environ: Mapping[str, str], *, port: int, dagster_url: str
) -> Iterator[GalleryService]:
    """Serve the gallery, in which verdicts can be given.

    Raises:
        click.ClickException: It did not start; the message has the end of its log.
    """
    command: list[str | Path] = [
        *(sys.executable, "-m", "seedance_dagster.cli", "gallery", "--review"),
        *("--port", str(port), "--dagster-url", dagster_url),
    ]
    with running("the gallery", command, log=log, environ=environ, folder=folder) as child:
        child.wait_until(lambda: "gallery ready at" in child.output(), within_s=_START_S)
        yield GalleryService(child, gallery_url(port))


def gallery_url(port: int) -> str:
    """Return the address of a gallery on this machine."""
    return f"http://{LOOPBACK}:{port}"


def _emulator_url(child: Child) -> str | None:
    ready = re.search(r"emulator ready at (\S+)", child.output())
    return ready[1] if ready else None


def _rclone() -> str:
    # The wheel installs the program beside this Python, which may not be on PATH.
    program = shutil.which("rclone", path=sysconfig.get_path("scripts")) or shutil.which("rclone")
    if program is None:
        raise click.ClickException(
            "the local S3 server is not installed: run pip install 'seedance-dagster[demo]', "
            "or set SEEDANCE_S3_BUCKET to your bucket"
        )
    return program
