"""The Dagster that the environment names, for commands that work on it without its webserver."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import click
import yaml
from dagster import DagsterError, DagsterInstance
from sqlalchemy.exc import SQLAlchemyError

from seedance_dagster.cli.environ import is_home


@contextlib.contextmanager
def dagster_of(environ: Mapping[str, str]) -> Iterator[DagsterInstance]:
    """Dagster's instance in DAGSTER_HOME.

    Raises:
        click.ClickException: There is none, or it cannot be used.
    """
    home = environ.get("DAGSTER_HOME")
    if not is_home(home):
        raise click.ClickException(
            "set DAGSTER_HOME to the folder, as an absolute path, of the Dagster that is meant"
        )
    try:
        with DagsterInstance.get() as instance:
            yield instance
    except (DagsterError, SQLAlchemyError, OSError, yaml.YAMLError) as error:
        # The ledger's and the store's errors are worded already, so a database's are Dagster's.
        raise click.ClickException(f"the Dagster in {home} cannot be used: {error}") from None
