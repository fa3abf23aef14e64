"""The environment of commands and of the programs that they start."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seedance_dagster.cli.local_state import apply_env_file, use_local_state

if TYPE_CHECKING:
    from seedance_dagster.settings import Settings

_NAME = re.compile(r"[\w.-]+")
DEV_FOLDER = "SEEDANCE_DEV_FOLDER"
"""Set only in a terminal that was prepared for commands beside a running `dev`."""


def project_environ() -> dict[str, str]:
    """Return the environment of this process, with gaps filled from `.env` in the current folder.

    In a terminal prepared for commands beside `dev`, unset variables must stay unset, so `.env` is ignored.

    Raises:
        click.ClickException: `.env` cannot be read.
    """
    if DEV_FOLDER not in os.environ and Path(".env").is_file():
        for name, value in _env_file().items():
            os.environ.setdefault(name, value)  # boto3 reads it
    return dict(os.environ)


def _env_file() -> dict[str, str]:
    """Return the variables of `.env`.

    Raises:
        click.ClickException: It cannot be read, or has a line that would be ignored, such as that of a limit.
    """
    from dotenv import dotenv_values  # noqa: PLC0415  only where there is such a file
    from dotenv.parser import parse_stream  # noqa: PLC0415

    try:
        with Path(".env").open(encoding="utf-8") as file:
            parts = parse_stream(file)
            broken = next((part.original for part in parts if part.error or _is_odd(part.key)), None)
        values = {} if broken else dotenv_values(".env")
    except (OSError, ValueError) as error:
        # The error's text may quote a secret, so only its type is shown.
        raise click.ClickException(
            f".env in this folder cannot be read ({type(error).__name__}); it must be UTF-8 text with "
            "NAME=value on each line"
        ) from None
    if broken:
        before = broken.string[: -len(broken.string.lstrip())]  # its blank lines
        line = broken.line + before.count("\n")
        raise click.ClickException(
            f".env in this folder, line {line}: is not NAME=value, and would have no effect; correct it, or "
            "begin it with # if it is a comment"
        )
    return {name: value for name, value in values.items() if value is not None}


def _is_odd(name: str | None) -> bool:
    """Return True for a name that no variable has, such as PowerShell's `$env:NAME`."""
    return name is not None and _NAME.fullmatch(name) is None


def use_env_file(path: Path) -> None:
    """Take variables from a file, which win over those of the environment and of `.env`.

    Raises:
        click.ClickException: It cannot be read.
    """
    project_environ()
    apply_env_file(path)


def command_environ() -> dict[str, str]:
    """Return the environment of a command: the project's, with that of a `dev` or `demo` beside it.

    Raises:
        click.ClickException: A file that holds a part of it cannot be read.
    """
    project_environ()
    use_local_state()
    warn_of_misspelled(os.environ)
    return dict(os.environ)


def warn_of_misspelled(environ: Mapping[str, str]) -> None:
    """Print a sentence for each variable that has no effect, because its name is misspelled."""
    from seedance_dagster.variables import misspelled  # noqa: PLC0415  slow to import

    for sentence in misspelled(environ):
        click.echo(f"Warning: {sentence}", err=True)


def ledger_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of a command that reads or writes an existing ledger.

    Args:
        environ: Its environment, if it was read before; None to read it.

    Raises:
        click.ClickException: The ledger is unknown; an empty new one would suggest that all is well.
        SettingError: An environment variable cannot be used.
    """
    from seedance_dagster.settings import Settings  # noqa: PLC0415  slow to import

    settings = Settings.from_environ(command_environ() if environ is None else environ)
    if settings.ledger or is_home(settings.dagster_home):
        return settings
    home = settings.dagster_home
    problem = (
        f"DAGSTER_HOME is {home!r}, not the absolute path of a folder" if home else "DAGSTER_HOME is not set"
    )
    raise click.ClickException(
        f"{problem}, so it is unknown which ledger is meant: set DAGSTER_HOME to the absolute path of "
        "Dagster's folder, or SEEDANCE_LEDGER_URL to the ledger's URL; beside `dev` or `demo`, run it in the "
        "folder in which they were started"
    )


def is_home(home: str | None) -> bool:
    """Return True if DAGSTER_HOME is the absolute path of a folder."""
    return bool(home) and Path(str(home)).is_absolute() and Path(str(home)).is_dir()


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
    """Return the name of the user who runs a command; empty if the system does not know it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # the user of a container may have no name
        return ""


def operator_name() -> str:
    """Return the name of the user who runs a command, for the journal."""
    return f"operator {user_name()}".rstrip()
