"""The tables of the views that are kept up to date with a set's videos: its index and its checks."""

from __future__ import annotations

import sqlalchemy as sa

from seedance_dagster.ledger.tables.columns import UtcDateTime
from seedance_dagster.ledger.tables.schema import metadata, row_id

# The partitions whose row in a view may have changed. A view deletes the rows that it has read and no others,
# so a transaction that commits late is not missed.
view_changes = sa.Table(
    "seedance_view_changes",
    metadata,
    sa.Column("change_id", row_id, primary_key=True, autoincrement=True),
    sa.Column("view", sa.Text, nullable=False),
    sa.Column("prompt_set", sa.Text, nullable=False),
    sa.Column("partition", sa.Text, nullable=False),
    sa.Index("seedance_view_changes_by_view", "view", "prompt_set"),
    sqlite_autoincrement=True,  # the number of a deleted note never stands for another change
)

# The index of each set as it was last written: where, and the SHA-256 of its manifest. The hash is NULL from
# before the first part is written until all are, and `writer` says by whom.
indexes = sa.Table(
    "seedance_indexes",
    metadata,
    sa.Column("prompt_set", sa.Text, primary_key=True),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("manifest_sha256", sa.Text),
    sa.Column("writer", sa.Text, nullable=False),
)

index_rows = sa.Table(
    "seedance_index_rows",
    metadata,
    sa.Column("prompt_set", sa.Text, primary_key=True),
    sa.Column("partition", sa.Text, primary_key=True),
    sa.Column("part", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
)

# When all videos of a set were last checked, and the problems of each that a partition shows: reasons by the
# names of checks; NULL where nothing is wrong.
checked_sets = sa.Table(
    "seedance_checked_sets",
    metadata,
    sa.Column("prompt_set", sa.Text, primary_key=True),
    sa.Column("checked_at", UtcDateTime, nullable=False),
)

checked_videos = sa.Table(
    "seedance_checked_videos",
    metadata,
    sa.Column("prompt_set", sa.Text, primary_key=True),
    sa.Column("partition", sa.Text, primary_key=True),
    sa.Column("order_id", sa.BigInteger, nullable=False),
    sa.Column("problems", sa.JSON(none_as_null=True)),
)
