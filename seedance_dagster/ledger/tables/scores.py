"""The tables of scores: the results for each video's bytes, and their use in each set."""

from __future__ import annotations

import sqlalchemy as sa

from seedance_dagster.ledger.tables.columns import UtcDateTime
from seedance_dagster.ledger.tables.schema import metadata

# The newest result of each score for each video's bytes: values by name, or why there are none.
scores = sa.Table(
    "seedance_scores",
    metadata,
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("score", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("measured", sa.JSON, nullable=False),
    sa.Column("problem", sa.Text),
    sa.Column("scored_at", UtcDateTime, nullable=False),
)

# The plan by which all videos of a set were last scored: a hash of its scores, thresholds and rule.
scored_sets = sa.Table(
    "seedance_scored_sets",
    metadata,
    sa.Column("prompt_set", sa.Text, primary_key=True),
    sa.Column("plan", sa.Text, nullable=False),
)

# The numbers among the newest results, in the order that videos are sorted in.
score_values = sa.Table(
    "seedance_score_values",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Double, primary_key=True),
    sa.Column("sha256", sa.Text, primary_key=True),
    sqlite_with_rowid=False,
)

# The results last reported to Dagster of each video that a partition shows, and its problems: reasons by the
# names of checks; NULL where nothing is wrong.
scored_videos = sa.Table(
    "seedance_scored_videos",
    metadata,
    sa.Column("prompt_set", sa.Text, primary_key=True),
    sa.Column("partition", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("problems", sa.JSON(none_as_null=True)),
)
