"""The environment of commands and of the programs that they start."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from seedance_dagster.settings import Settings

DEV_FOLDER = "SEEDANCE_DEV_FOLDER"
"""Set only in a terminal that was prepared for commands beside a running `dev`."""

_ENV_FILES = (Path(".seedance/emulator/env"), Path(".seedance/live/env"))


def project_environ() -> dict[str, str]:
    """Return the environment of this process, with gaps filled from `.env` in the current folder.

    In a terminal prepared for commands beside `dev`, what is unset is meant to be, so `.env` is ignored.

    Raises:
        click.ClickException: `.env` cannot be read.
    """
    if DEV_FOLDER not in os.environ and Path(".env").is_file():
        from dotenv import dotenv_values  # noqa: PLC0415  only where there is such a file

        try:
            for name, value in dotenv_values(".env").items():
                if value is not None:
                    # boto3 reads os.environ.
                    os.environ.setdefault(name, value)
        except (OSError, ValueError) as error:
            # The error's text may quote a secret, so only its type is shown.
            raise click.ClickException(
                f".env in this folder cannot be read ({type(error).__name__}); it must be UTF-8 text with "
                "NAME=value on each line"
            ) from None
    return dict(os.environ)


def ledger_settings() -> Settings:
    """Return the settings of a command that reads or writes an existing ledger.

    Raises:
        click.ClickException: Nothing says which ledger; an empty new one would show that all is well.
        SettingError: An environment variable cannot be used.
    """
    from seedance_dagster.settings import Settings  # noqa: PLC0415  slow to import

    settings = Settings.from_environ(project_environ())
    if settings.ledger or is_home(settings.dagster_home):
        return settings
    home = settings.dagster_home
    problem = (
        f"DAGSTER_HOME is {home!r}, not the absolute path of a folder" if home else "DAGSTER_HOME is not set"
    )
    env_files = " or ".join(f"`. {path}`" for path in _ENV_FILES if path.is_file())
    raise click.ClickException(
        f"{problem}, so it is unknown which ledger is meant: set DAGSTER_HOME to the absolute path of "
        "Dagster's folder, or SEEDANCE_LEDGER_URL to the ledger's URL"
        + (f"; for the data of `dev` in this folder run {env_files}" if env_files else "")
    )


def is_home(home: str | None) -> bool:
    """Return True when DAGSTER_HOME is the absolute path of a folder."""
    return bool(home) and Path(str(home)).is_absolute() and Path(str(home)).is_dir()


def has_dev_folder() -> bool:
    """Return True when `dev` has run in the current folder."""
    return any(path.is_file() for path in _ENV_FILES)


def without(environ: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """Return the environment without the variables that start with a prefix."""
    return {name: value for name, value in environ.items() if not name.startswith(prefixes)}


def unconfigured(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without anything that names an account, a bucket or a Dagster."""
    return without(environ, "SEEDANCE_", "GOAPI_", "AWS_", "DAGSTER_", "RCLONE_")


def for_children(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for programs on this machine that connect to each other."""
    direct = "127.0.0.1,localhost"
    no_proxy = {
        name: ",".join(filter(None, (environ.get(name), direct))) for name in ("NO_PROXY", "no_proxy")
    }
    return {**environ, **no_proxy, "PYTHONUNBUFFERED": "1"}


def reference_definitions() -> Path:
    """Return `definitions.py` of the current folder, or of the checkout that this package runs from.

    Raises:
        click.ClickException: There is none.
    """
    return _project_file("definitions.py", Path.cwd(), _checkout())


def sample_set() -> Path:
    """Return the prompt set that the demo renders.

    Raises:
        click.ClickException: This package does not run from a checkout.
    """
    return _project_file("prompt_sets/showcase.yaml", _checkout())


def _project_file(name: str, *folders: Path) -> Path:
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise click.ClickException(
        f"{name} is missing: run this command in a checkout of the project, after `make install`"
    )


def _checkout() -> Path:
    return Path(__file__).parents[2]


def user_name() -> str:
    """Return who runs a command; empty where the system does not say."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # the user of a container may have no name
        return ""


def operator_name() -> str:
    """Return who runs a command, for the journal."""
    return f"operator {user_name()}".rstrip()
