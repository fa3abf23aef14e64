"""The environment that alembic runs a migration in: on the caller's connection, in its transaction."""

from __future__ import annotations

from alembic import context

from seedance_dagster.ledger.tables.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
)
context.run_migrations()
