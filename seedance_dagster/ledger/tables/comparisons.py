"""The table of blind comparisons."""

from __future__ import annotations

import sqlalchemy as sa

from seedance_dagster.ledger.comparison import Preference
from seedance_dagster.ledger.tables.columns import EnumText, UtcDateTime
from seedance_dagster.ledger.tables.schema import metadata, row_id

# Reviewers' preferences between videos of two variants. Rows are only added; one that takes another back has
# no preference of its own.
comparisons = sa.Table(
    "seedance_comparisons",
    metadata,
    sa.Column("comparison_id", row_id, primary_key=True, autoincrement=True),
    sa.Column("prompt_set", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("left_value", sa.Text, nullable=False),
    sa.Column("left_sha256", sa.Text, nullable=False),
    sa.Column("right_value", sa.Text, nullable=False),
    sa.Column("right_sha256", sa.Text, nullable=False),
    sa.Column("preference", EnumText(Preference)),
    sa.Column("reviewer", sa.Text, nullable=False),
    sa.Column("compared_at", UtcDateTime, nullable=False),
    sa.Column("undoes", sa.BigInteger),
    sa.Index("seedance_comparisons_by_set", "prompt_set", "name"),
    sqlite_autoincrement=True,
)
