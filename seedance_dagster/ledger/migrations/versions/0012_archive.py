"""The archive of the journal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

# SQLite counts rowids only in an INTEGER primary key.
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables; nothing was archived before."""
    op.create_table(
        "seedance_archive_parts",
        sa.Column("part_id", _ID, primary_key=True, autoincrement=True),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("entries", sa.BigInteger, nullable=False),
        sa.Column("first_entry", sa.BigInteger, nullable=False),
        sa.Column("last_entry", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("written_at", sa.DateTime, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "seedance_archived_journals",
        sa.Column("order_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("part_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("entries", sa.BigInteger, nullable=False),
    )
