"""Views of a set's videos, and notes of what changed since each was made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

# SQLite counts rowids only in an INTEGER primary key.
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables; the index of every set is to be written."""
    op.create_table(
        "seedance_view_changes",
        sa.Column("change_id", _ID, primary_key=True, autoincrement=True),
        sa.Column("view", sa.Text, nullable=False),
        sa.Column("prompt_set", sa.Text, nullable=False),
        sa.Column("partition", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("seedance_view_changes_by_view", "seedance_view_changes", ["view", "prompt_set"])
    op.create_table(
        "seedance_indexes",
        sa.Column("prompt_set", sa.Text, primary_key=True),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("manifest_sha256", sa.Text),
        sa.Column("writer", sa.Text, nullable=False),
    )
    op.create_table(
        "seedance_index_rows",
        sa.Column("prompt_set", sa.Text, primary_key=True),
        sa.Column("partition", sa.Text, primary_key=True),
        sa.Column("part", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
    )
    op.create_table(
        "seedance_checked_sets",
        sa.Column("prompt_set", sa.Text, primary_key=True),
        sa.Column("checked_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "seedance_checked_videos",
        sa.Column("prompt_set", sa.Text, primary_key=True),
        sa.Column("partition", sa.Text, primary_key=True),
        sa.Column("order_id", sa.BigInteger, nullable=False),
        sa.Column("problems", sa.JSON),
    )
    op.execute(
        "INSERT INTO seedance_view_changes (view, prompt_set, partition) "
        "SELECT 'index', prompt_set, min(partition) FROM seedance_links GROUP BY prompt_set"
    )
