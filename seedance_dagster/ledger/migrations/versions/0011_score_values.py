"""The numbers that scores gave, to sort videos by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

# Of a name that several scores gave, the last score's value, as the ledger shows it.
_NUMBERS = {
    "sqlite": "SELECT name, value, sha256 "
    "FROM (SELECT each.key AS name, each.value AS value, sha256, max(score) "
    "FROM seedance_scores, json_each(measured) AS each "
    "WHERE each.type IN ('integer', 'real') GROUP BY each.key, sha256)",
    "postgresql": "SELECT DISTINCT ON (each.key, sha256) "
    "each.key, CAST(CAST(each.value AS text) AS double precision), sha256 "
    "FROM seedance_scores, json_each(measured) AS each "
    "WHERE json_typeof(each.value) = 'number' ORDER BY each.key, sha256, score DESC",
}


def upgrade() -> None:
    """Create the table, with the numbers that the ledger has."""
    op.create_table(
        "seedance_score_values",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Double, primary_key=True),
        sa.Column("sha256", sa.Text, primary_key=True),
        sqlite_with_rowid=False,
    )
    dialect = op.get_context().dialect.name
    op.execute(f"INSERT INTO seedance_score_values (name, value, sha256) {_NUMBERS[dialect]}")
