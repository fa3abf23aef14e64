"""The tables of the journal's archive: its parts in S3, and the orders with entries in each of them."""

from __future__ import annotations

from enum import StrEnum

import sqlalchemy as sa

from seedance_dagster.ledger.tables.columns import EnumText, UtcDateTime
from seedance_dagster.ledger.tables.schema import metadata, row_id


class PartState(StrEnum):
    """The state of a part of the archive."""

    WRITING = "writing"
    """The journal still has all of its entries."""
    ARCHIVED = "archived"
    """Only the part has its entries."""
    DISCARDED = "discarded"
    """Its writer was interrupted, and its object is to be deleted."""


archive_parts = sa.Table(
    "seedance_archive_parts",
    metadata,
    sa.Column("part_id", row_id, primary_key=True, autoincrement=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("entries", sa.BigInteger, nullable=False),
    sa.Column("first_entry", sa.BigInteger, nullable=False),
    sa.Column("last_entry", sa.BigInteger, nullable=False),
    sa.Column("state", EnumText(PartState), nullable=False),
    sa.Column("written_at", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,  # the number of a part that was discarded never stands for another one
)

archived_journals = sa.Table(
    "seedance_archived_journals",
    metadata,
    sa.Column("order_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("part_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("entries", sa.BigInteger, nullable=False),
)
