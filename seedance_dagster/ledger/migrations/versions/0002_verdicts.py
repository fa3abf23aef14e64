"""Verdicts on videos."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# SQLite counts rowids only in an INTEGER primary key.
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table of verdicts."""
    op.create_table(
        "seedance_verdicts",
        sa.Column("verdict_id", _ID, primary_key=True, autoincrement=True),
        sa.Column("prompt_set", sa.Text, nullable=False),
        sa.Column("partition", sa.Text, nullable=False),
        sa.Column("order_id", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("given_at", sa.DateTime, nullable=False),
        sa.Column("undoes", sa.BigInteger),
        sa.Column("reported_at", sa.DateTime),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "seedance_verdicts_by_video",
        "seedance_verdicts",
        ["prompt_set", "partition", "sha256", "verdict_id"],
    )
    op.create_index("seedance_verdicts_by_report", "seedance_verdicts", ["reported_at"])
