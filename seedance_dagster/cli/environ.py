"""The environment that commands and their child processes see."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from seedance_dagster.cli.local.ports import LOOPBACK

DEV_FOLDER = "SEEDANCE_DEV_FOLDER"
"""Set only in a terminal that was set up for commands beside a running `dev`."""

_ENV_FILES = (Path(".seedance/emulator/env"), Path(".seedance/live/env"))


def project_environ() -> dict[str, str]:
    """This process's environment, after filling in from the current folder's `.env` what it does not set.

    In a terminal that is set up for commands beside `dev`, what is not set is meant to be so.

    Raises:
        click.ClickException: That file cannot be read.
    """
    if DEV_FOLDER not in os.environ and Path(".env").is_file():
        from dotenv import dotenv_values  # noqa: PLC0415  only where there is such a file

        try:
            for name, value in dotenv_values(".env").items():
                if value is not None:
                    # In place, since boto3 looks there.
                    os.environ.setdefault(name, value)
        except (OSError, ValueError) as error:
            # Of the error only its kind: its text may quote a secret.
            raise click.ClickException(
                f".env in this folder cannot be read ({type(error).__name__}): it must be text in UTF-8, "
                "NAME=value in each line"
            ) from None
    return dict(os.environ)


def ledger_environ() -> dict[str, str]:
    """`project_environ` for commands that read or write a ledger.

    Raises:
        click.ClickException: Nothing says which; an empty one somewhere would answer that all is well.
    """
    environ = project_environ()
    if environ.get("SEEDANCE_LEDGER_URL") or is_home(environ.get("DAGSTER_HOME")):
        return environ
    beside = " or ".join(f"`. {path}`" for path in _ENV_FILES if path.is_file())
    raise click.ClickException(
        "which ledger is meant is not known: set DAGSTER_HOME to the folder of your Dagster, as an absolute "
        "path, or SEEDANCE_LEDGER_URL" + (f"; for what `dev` keeps here: {beside}" if beside else "")
    )


def is_home(home: str | None) -> bool:
    """True for a DAGSTER_HOME that is there, as an absolute path."""
    return bool(home) and Path(str(home)).is_absolute() and Path(str(home)).is_dir()


def has_dev_folder() -> bool:
    """True where `dev` has worked in the current folder."""
    return any(path.is_file() for path in _ENV_FILES)


def without(environ: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """The environment without the names that begin so."""
    return {name: value for name, value in environ.items() if not name.startswith(prefixes)}


def unconfigured(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without anything that points to an account, a bucket or another Dagster."""
    return without(environ, "SEEDANCE_", "GOAPI_", "AWS_", "DAGSTER_", "RCLONE_")


def for_children(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for programs on this machine that talk to each other."""
    direct = f"{LOOPBACK},localhost"
    past_proxy = {
        name: ",".join(filter(None, (environ.get(name), direct))) for name in ("NO_PROXY", "no_proxy")
    }
    return {**environ, **past_proxy, "PYTHONUNBUFFERED": "1"}


def reference_definitions() -> Path:
    """`definitions.py` of the current folder, or of the checkout that this package runs from.

    Raises:
        click.ClickException: There is none.
    """
    return _of_project("definitions.py")


def sample_set() -> Path:
    """The prompt set that the demo renders.

    Raises:
        click.ClickException: This package does not run from a checkout.
    """
    return _of_project("prompt_sets/showcase.yaml", folders=(_checkout(),))


def _of_project(name: str, folders: tuple[Path, ...] | None = None) -> Path:
    for folder in folders or (Path.cwd(), _checkout()):
        if (folder / name).is_file():
            return folder / name
    raise click.ClickException(
        f"{name} is not here: run this in a checkout of the project, after `make install`"
    )


def _checkout() -> Path:
    return Path(__file__).parents[2]
