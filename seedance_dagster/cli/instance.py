"""The Dagster instance of the environment, for commands that use it without its webserver.

Dagster takes a second to import, so it is imported where an instance is opened.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
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
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError  # noqa: PLC0415  slow to import

    from seedance_dagster.ledger.driver_errors import describe_driver_error  # noqa: PLC0415  slow to import

    try:
        with DagsterInstance.get() as instance:
            yield instance
    except Exception as error:
        # The errors of ledger and store have classes of their own, so a database error is Dagster's.
        known = isinstance(error, DagsterError | SQLAlchemyError | OSError | yaml.YAMLError)
        if not known and not type(error).__module__.startswith("dagster"):  # such as those of its storages
            raise
        # Its message quotes SQL.
        words = describe_driver_error(error.orig) if isinstance(error, DBAPIError) else str(error)
        raise click.ClickException(f"the Dagster in {home} cannot be used: {words}") from None


def check_ledger_is_known(settings: Settings, ledger: Ledger) -> None:
    """Check that Dagster's instance, if there is one, knows a ledger, and that it is not an older copy.

    Raises:
        BindingError: It is unknown, or an older copy.
        click.ClickException: The instance cannot be used.
    """
    home = settings.dagster_home
    # A folder that holds nothing but a ledger has no instance yet, and opening one would make it.
    if is_home(home) and any(path.name != "seedance" for path in Path(str(home)).iterdir()):
        from seedance_dagster.defs.steps.binding import check_known  # noqa: PLC0415  slow to import

        with dagster_of(settings) as instance:
            check_known(instance, ledger)


def unknown_ledger_reason(settings: Settings, ledger: Ledger) -> str | None:
    """Return why runs would refuse a ledger that a command only reads; None where they would not.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    from seedance_dagster.engine.runtime.sensor_ticks import sensor_trouble  # noqa: PLC0415  slow to import
    from seedance_dagster.ledger.errors import BindingError  # noqa: PLC0415  slow to import

    if sensor_trouble(ledger, now=datetime.now(UTC)) is None:
        return None  # a tick looked lately, while opening the instance takes seconds
    try:
        check_ledger_is_known(settings, ledger)
    except BindingError as error:
        return str(error)
    except click.ClickException as error:
        return error.message
    return None


def warn_of_unknown_ledger(settings: Settings, ledger: Ledger) -> None:
    """Print why runs would refuse a ledger that a command only reads, if they would."""
    if reason := unknown_ledger_reason(settings, ledger):
        click.echo(f"Warning: {reason}", err=True)


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
