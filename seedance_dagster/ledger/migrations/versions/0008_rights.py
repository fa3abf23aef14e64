"""Rights of prompts and references."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the columns; what was ordered before named no rights."""
    for table in ("seedance_orders", "seedance_partitions"):
        op.add_column(table, sa.Column("rights", sa.JSON))
