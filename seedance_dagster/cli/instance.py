"""The Dagster instance of the environment, for commands that use it without its webserver.

Dagster takes a second to import, so it is imported where an instance is opened.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
import yaml

from seedance_dagster.cli.environ import is_home

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from seedance_dagster.ledger.ledger import Ledger
    from seedance_dagster.settings import Settings


@contextlib.contextmanager
def dagster_of(settings: Settings) -> Iterator[DagsterInstance]:
    """Open Dagster's instance in DAGSTER_HOME.

    Raises:
        click.ClickException: There is none, or it cannot be used.
    """
    home = settings.dagster_home
    if not is_home(home):
        problem = f"DAGSTER_HOME is {home!r}" if home else "DAGSTER_HOME is not set"
        raise click.ClickException(f"{problem}: set it to the absolute path of Dagster's folder")
    from dagster import DagsterError, DagsterInstance  # noqa: PLC0415  slow to import
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  slow to import

    try:
        with DagsterInstance.get() as instance:
            yield instance
    except (DagsterError, SQLAlchemyError, OSError, yaml.YAMLError) as error:
        # The errors of ledger and store have classes of their own, so a database error is Dagster's.
        raise click.ClickException(f"the Dagster in {home} cannot be used: {error}") from None


def check_ledger_is_known(settings: Settings, ledger: Ledger) -> None:
    """Check that Dagster's instance, if there is one, knows a ledger, and that it is not an older copy.

    Raises:
        BindingError: It is unknown, or an older copy.
        click.ClickException: The instance cannot be used.
    """
    if is_home(settings.dagster_home):
        from seedance_dagster.defs.steps.binding import check_known  # noqa: PLC0415  slow to import

        with dagster_of(settings) as instance:
            check_known(instance, ledger)


def sentences_on_assets(instance: DagsterInstance, advice: str) -> dict[str, str]:
    """Return a sentence for each set whose prompts an asset makes: only Dagster can read them.

    Args:
        instance: The instance that remembers them.
        advice: What to do instead.
    """
    from seedance_dagster.defs.steps.known_sets import sets_from_assets  # noqa: PLC0415  slow to import

    return {
        name: f"{name}: its prompts come from {origin}, which only Dagster reads: {advice}"
        for name, origin in sets_from_assets(instance).items()
    }
