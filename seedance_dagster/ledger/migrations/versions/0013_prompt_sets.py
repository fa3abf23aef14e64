"""Hashes of prompt sets, and an index of edited prompts: a set that did not change is not compared again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Create the table, which the next tick fills, and the index."""
    op.create_table(
        "seedance_prompt_sets",
        sa.Column("prompt_set", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
    )
    is_edited = sa.text("reported != fingerprint")
    op.create_index(
        "seedance_partitions_edited",
        "seedance_partitions",
        ["prompt_set", "partition"],
        sqlite_where=is_edited,
        postgresql_where=is_edited,
    )
