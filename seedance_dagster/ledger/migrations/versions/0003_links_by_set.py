"""An index of the orders of a set, the newest first."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the index."""
    op.create_index("seedance_links_by_set", "seedance_links", ["prompt_set", "order_id"])
