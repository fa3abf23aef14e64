"""Previews of videos that browsers do not play."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the columns; no video had a preview before."""
    for name in ("preview_key", "preview_problem"):
        op.add_column("seedance_orders", sa.Column(name, sa.Text))
