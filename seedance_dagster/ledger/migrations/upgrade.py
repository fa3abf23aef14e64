"""Upgrading a ledger's tables; imported only where there is something to upgrade, since alembic is slow."""

from __future__ import annotations

from threading import Lock

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

_ONE_AT_A_TIME = Lock()  # alembic's context is global to the process


def alembic_config(connection: sa.Connection) -> Config:
    """Return alembic's configuration for a ledger, without a file."""
    config = Config()
    config.set_main_option("script_location", "seedance_dagster.ledger:migrations")
    config.attributes["connection"] = connection
    return config


def upgrade(connection: sa.Connection) -> None:
    """Bring the tables to the newest revision, in the caller's transaction."""
    with _ONE_AT_A_TIME:
        command.upgrade(alembic_config(connection), "head")
