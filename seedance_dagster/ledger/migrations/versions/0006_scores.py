"""Scores of videos."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the tables of scores."""
    op.create_table(
        "seedance_scores",
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("score", sa.Text, primary_key=True),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("measured", sa.JSON, nullable=False),
        sa.Column("problem", sa.Text),
        sa.Column("scored_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "seedance_scored_sets",
        sa.Column("prompt_set", sa.Text, primary_key=True),
        sa.Column("plan", sa.Text, nullable=False),
    )
    op.create_table(
        "seedance_scored_videos",
        sa.Column("prompt_set", sa.Text, primary_key=True),
        sa.Column("partition", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("problems", sa.JSON),
    )
