"""The ledger's tables, for SQLite and PostgreSQL alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

SCHEMA_VERSION = 3
"""Raised with every change of a table, with a step in `migrations`; a newer ledger is refused."""


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware UTC time in Python, a naive UTC timestamp in both databases."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002  SQLAlchemy's signature
        """Refuse naive times: they would be read back as UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = "the ledger takes aware times only"
            raise ValueError(msg)
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002  SQLAlchemy's signature
        """Give the UTC zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


# SQLite counts rowids only in an INTEGER primary key.
_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData()

schema_version = sa.Table("seedance_schema", metadata, sa.Column("version", sa.Integer, primary_key=True))

orders = sa.Table(
    "seedance_orders",
    metadata,
    sa.Column("order_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("prompt_set", sa.Text, nullable=False),
    sa.Column("partition", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("request", sa.JSON, nullable=False),
    sa.Column("estimated_points", sa.BigInteger, nullable=False),
    sa.Column("price_table", sa.Text, nullable=False),
    sa.Column("price_formula", sa.Text, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("retries", sa.Integer, nullable=False),
    sa.Column("idempotency_key", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("job_name", sa.Text),
    sa.Column("run_tags", sa.JSON),
    sa.Column("reference_facts", sa.JSON),
    sa.Column("ordered_at", UtcDateTime, nullable=False),
    # When the first attempt was accepted: the day and month whose budgets the money belongs to.
    sa.Column("booked_at", UtcDateTime),
    sa.Column("claimed_at", UtcDateTime),
    sa.Column("submitted_at", UtcDateTime),
    sa.Column("due_at", UtcDateTime),
    sa.Column("polls", sa.Integer, nullable=False, default=0),
    sa.Column("lease_owner", sa.Text),
    sa.Column("task_id", sa.Text, unique=True),
    sa.Column("points_held", sa.BigInteger),
    sa.Column("points_charged", sa.BigInteger),
    sa.Column("vendor_created_at", UtcDateTime),
    sa.Column("vendor_started_at", UtcDateTime),
    sa.Column("vendor_ended_at", UtcDateTime),
    sa.Column("vendor_logs", sa.JSON),
    sa.Column("video_url", sa.Text),
    sa.Column("error_class", sa.Text),
    sa.Column("error_message", sa.Text),
    sa.Column("transfer_failures", sa.Integer, nullable=False, default=0),
    sa.Column("video_key", sa.Text),
    sa.Column("poster_key", sa.Text),
    sa.Column("manifest_key", sa.Text),
    sa.Column("size_bytes", sa.BigInteger),
    sa.Column("poster_size_bytes", sa.BigInteger),
    sa.Column("sha256", sa.Text),
    sa.Column("poster_sha256", sa.Text),
    # Of the bytes as the vendor delivered them; another than `sha256` when a credential was put in.
    sa.Column("delivered_sha256", sa.Text),
    sa.Column("credential", sa.JSON),
    sa.Column("duration_s", sa.Float),
    sa.Column("width", sa.Integer),
    sa.Column("height", sa.Integer),
    sa.Column("codec", sa.Text),
    sa.Column("fps", sa.Float),
    # Of the program that stored the video.
    sa.Column("package_version", sa.Text),
    sa.Column("code_version", sa.Text),
    sa.Column("stored_at", UtcDateTime),
    sa.Column("absent_since", UtcDateTime),
    sa.Column("reported", sa.Text),
    sa.UniqueConstraint("prompt_set", "partition", "fingerprint", "attempt"),
    sa.Index("seedance_orders_by_state", "state", "due_at"),
    sa.Index("seedance_orders_by_sha256", "sha256"),
    sa.Index("seedance_orders_by_delivered_sha256", "delivered_sha256"),
    sa.Index("seedance_orders_by_booking", "booked_at"),
    sa.Index("seedance_orders_by_claim", "prompt_set", "claimed_at"),
    sqlite_autoincrement=True,  # the number of a row that was taken out never stands for another order
)

journal = sa.Table(
    "seedance_journal",
    metadata,
    sa.Column("entry_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("order_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("from_state", sa.Text),
    sa.Column("to_state", sa.Text, nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
)

# An asking that joined an order is answered by it, whatever becomes of the order.
order_subscribers = sa.Table(
    "seedance_order_subscribers",
    metadata,
    sa.Column("order_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("idempotency_key", sa.Text, primary_key=True),
)

leases = sa.Table(
    "seedance_leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("since", UtcDateTime),
    sa.Column("until", UtcDateTime, nullable=False),
)

pauses = sa.Table(
    "seedance_pauses",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("until", UtcDateTime, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
)

observations = sa.Table(
    "seedance_observations",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
    sa.Column("observed_at", UtcDateTime, nullable=False),
)

reported_prompts = sa.Table(
    "seedance_reported_prompts",
    metadata,
    sa.Column("prompt_set", sa.Text, primary_key=True),
    sa.Column("partition", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
)

references = sa.Table(
    "seedance_references",
    metadata,
    sa.Column("url_sha256", sa.Text, primary_key=True),
    sa.Column("validator", sa.Text),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("checked_at", UtcDateTime, nullable=False),
)
