"""Partitions that are drafts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column; no partition was a draft before."""
    is_draft = sa.Column("is_draft", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("seedance_partitions", is_draft)
