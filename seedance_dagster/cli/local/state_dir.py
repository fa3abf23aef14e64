"""The folder in which `dev` keeps its data between starts."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import click

from seedance_dagster.cli.environ import DEV_FOLDER, without
from seedance_dagster.net.s3_locations import LocationError, s3_location

_OURS = ("SEEDANCE_", "GOAPI_", "AWS_", "DAGSTER_")
_FILES = ("SEEDANCE_C2PA_CERTIFICATE", "SEEDANCE_C2PA_KEY", "SEEDANCE_PRICES")


@dataclass(frozen=True)
class StateDir:
    """A folder for the emulator or for the real API, and the environment for it.

    They have one folder each: a video of the emulator must never be taken for one that was paid for, and
    a task of one must never be looked up at the other.
    """

    folder: Path
    environ: dict[str, str]
    emulated: bool
    embedded_s3: bool

    @classmethod
    def for_environ(cls, root: Path, environ: Mapping[str, str]) -> Self:
        """Choose API and storage by the environment, and make the folder.

        Raises:
            click.ClickException: Variables contradict each other, or the folder cannot be made.
        """
        if environ.get(DEV_FOLDER):
            raise click.ClickException(
                f"this terminal is set up for commands beside the `dev` in {environ[DEV_FOLDER]}; "
                "start `seedance-dagster dev` in a new one"
            )
        emulated = not environ.get("GOAPI_API_KEY")
        embedded_s3 = not environ.get("SEEDANCE_S3_BUCKET")
        folder = (root / ("emulator" if emulated else "live")).resolve()
        prompts = environ.get("SEEDANCE_PROMPTS") or "prompt_sets"
        try:
            in_s3 = s3_location(prompts) is not None
        except LocationError as error:
            raise click.ClickException(f"SEEDANCE_PROMPTS={prompts} {error}") from None
        if embedded_s3 and in_s3:
            raise click.ClickException(
                "SEEDANCE_PROMPTS is on S3 and SEEDANCE_S3_BUCKET is not set, so a local folder would "
                "replace all of S3: set SEEDANCE_S3_BUCKET, or use prompt sets from a folder"
            )
        settings = without(environ, "DAGSTER_HOME") | {"SEEDANCE_PROMPTS": _absolute(prompts)}
        settings |= {name: _absolute_file(settings[name]) for name in _FILES if settings.get(name)}
        if emulated:
            # Orders and videos of the emulator must not mix with those that were paid for.
            settings = without(settings, "SEEDANCE_LEDGER_URL")
            settings["SEEDANCE_S3_PREFIX"] = (environ.get("SEEDANCE_S3_PREFIX") or "seedance") + "-emulator"
        elif settings.get("SEEDANCE_LEDGER_URL"):
            settings["SEEDANCE_LEDGER_URL"] = _absolute_database(settings["SEEDANCE_LEDGER_URL"])
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise click.ClickException(f"cannot create {folder}: {error.strerror}") from None
        return cls(folder, settings, emulated, embedded_s3)

    @property
    def env_file(self) -> Path:
        """A file to source in a shell, so that other commands use this folder."""
        return self.folder / "env"

    def summary(self) -> str:
        """Return the prompt sets, the API, the storage and the folder, one line each."""
        vendor = "the emulator (set GOAPI_API_KEY for the real API)"
        if not self.emulated:
            url = self.environ.get("GOAPI_BASE_URL") or "https://api.goapi.ai"
            vendor = f"the real API at {url}, which costs money"
        bucket = f"a local folder, {self.folder / 's3'} (set SEEDANCE_S3_BUCKET for a bucket)"
        if not self.embedded_s3:
            bucket = f"the bucket {self.environ['SEEDANCE_S3_BUCKET']}"
        return (
            f"Prompt sets  {self.environ['SEEDANCE_PROMPTS']}\n"
            f"Videos from  {vendor}\n"
            f"Videos to    {bucket}\n"
            f"Data in      {self.folder}"
        )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process.

        Raises:
            click.ClickException: Another `dev` holds it, or it is not writable.
        """
        try:
            lock = (self.folder / "lock").open("a")
        except OSError as error:
            raise click.ClickException(f"cannot write to {self.folder}: {error.strerror}") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise click.ClickException(
                    f"another `seedance-dagster dev` is running in {self.folder}"
                ) from None
            yield

    def write_env_file(self, before: Mapping[str, str], used: Mapping[str, str]) -> None:
        """Write `env_file`, readable by the user alone, with what `dev` decided and not what the user set.

        Args:
            before: The environment as the user set it.
            used: The environment of the running programs.
        """
        names = sorted(name for name in {*before, *used} if name.startswith(_OURS))
        changed = [name for name in names if used.get(name) != before.get(name)]
        lines = [
            f"export {name}={shlex.quote(used[name])}\n" if name in used else f"unset {name}\n"
            for name in changed
        ]
        with open(self.env_file, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.writelines([*lines, f"export {DEV_FOLDER}={shlex.quote(str(self.folder))}\n"])

    def fail_interrupted_runs(self) -> None:
        """Mark runs that died with an earlier Dagster as failed, so that Dagster retries them.

        Only this process uses the folder, so no run in it can still be running.
        """
        home = self.folder / "dagster"
        if not (home / "dagster.yaml").exists():
            return
        from dagster import DagsterInstance, DagsterRunStatus, RunsFilter  # noqa: PLC0415  slow to import, and rarely needed

        unfinished = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
        with DagsterInstance.from_config(str(home)) as instance:
            for run in instance.get_runs(RunsFilter(statuses=unfinished)):
                instance.report_run_failed(run, "Its process ended with Dagster; its orders continue.")


@contextlib.contextmanager
def announced(root: Path, before: Mapping[str, str], used: Mapping[str, str]) -> Iterator[bool]:
    """Let commands in the current folder find a demo while the block runs, and leave nothing behind.

    Args:
        root: `.seedance` in the current folder.
        before: The environment as the user set it.
        used: The environment of the running programs.

    Yields:
        True; False where another demo is announced there, or the folder is not writable.
    """
    state = StateDir(root / "demo", {}, emulated=True, embedded_s3=True)
    with contextlib.ExitStack() as stack:
        try:
            state.folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(state.locked())
            state.write_env_file(before, used)
        except (OSError, click.ClickException):
            yield False
            return
        try:
            yield True
        finally:
            shutil.rmtree(state.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                root.rmdir()  # only when empty


def _absolute(location: str) -> str:
    return location if "://" in location else str(Path(location).resolve())


def _absolute_file(value: str) -> str:
    """Return an absolute path; PEM text is returned as it is."""
    return value if "-----BEGIN" in value else str(Path(value).expanduser().resolve())


def _absolute_database(url: str) -> str:
    from sqlalchemy import make_url  # noqa: PLC0415  only for the user's own ledger
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return url
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return url
    return str(parsed.set(database=str(Path(parsed.database).resolve())))
