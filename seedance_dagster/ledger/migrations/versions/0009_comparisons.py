"""Blind comparisons of variants."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

# SQLite counts rowids only in an INTEGER primary key.
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table of comparisons."""
    op.create_table(
        "seedance_comparisons",
        sa.Column("comparison_id", _ID, primary_key=True, autoincrement=True),
        sa.Column("prompt_set", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("left_value", sa.Text, nullable=False),
        sa.Column("left_sha256", sa.Text, nullable=False),
        sa.Column("right_value", sa.Text, nullable=False),
        sa.Column("right_sha256", sa.Text, nullable=False),
        sa.Column("preference", sa.Text),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("compared_at", sa.DateTime, nullable=False),
        sa.Column("undoes", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_index("seedance_comparisons_by_set", "seedance_comparisons", ["prompt_set", "name"])
