"""The first schema."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# SQLite counts rowids only in an INTEGER primary key.
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _columns(
    column_type: type[sa.types.TypeEngine[Any]], names: str, *, nullable: bool = False
) -> Iterator[sa.Column[Any]]:
    return (sa.Column(name, column_type, nullable=nullable) for name in names.split())


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "seedance_orders",
        sa.Column("order_id", _ID, primary_key=True, autoincrement=True),
        *_columns(sa.Text, "prompt_set partition fingerprint scope state price_table price_formula"),
        *_columns(sa.Text, "idempotency_key run_id"),
        *_columns(sa.BigInteger, "take attempt estimated_points reserved_points retries polls"),
        *_columns(sa.BigInteger, "transfer_failures"),
        *_columns(sa.JSON, "request tags"),
        *_columns(sa.DateTime, "ordered_at booked_at"),
        *_columns(sa.Text, "job_name lease_owner task_id video_url error_class error_message", nullable=True),
        *_columns(sa.Text, "video_key poster_key manifest_key codec hdr audio_codec", nullable=True),
        *_columns(sa.Text, "video_problem poster_problem", nullable=True),
        *_columns(sa.Boolean, "audio_silent", nullable=True),
        *_columns(sa.Text, "sha256 poster_sha256 delivered_sha256", nullable=True),
        *_columns(sa.Text, "package_version code_version", nullable=True),
        *_columns(sa.BigInteger, "points_held points_charged source_order_id", nullable=True),
        *_columns(sa.BigInteger, "size_bytes poster_size_bytes width height", nullable=True),
        *_columns(sa.BigInteger, "bit_depth audio_channels", nullable=True),
        *_columns(sa.Float, "duration_s fps", nullable=True),
        *_columns(sa.JSON, "run_tags reference_facts vendor_logs credential source", nullable=True),
        *_columns(sa.Text, "account mark source_url", nullable=True),
        *_columns(sa.DateTime, "sent_at lost_at", nullable=True),
        *_columns(
            sa.DateTime, "claimed_at submitted_at due_at stored_at ended_at absent_since", nullable=True
        ),
        *_columns(sa.DateTime, "leased_at leased_until", nullable=True),
        *_columns(sa.DateTime, "vendor_created_at vendor_started_at vendor_ended_at", nullable=True),
        sa.UniqueConstraint("task_id", name="seedance_orders_one_task"),
        sa.UniqueConstraint("fingerprint", "take", "attempt", name="seedance_orders_one_attempt"),
        sqlite_autoincrement=True,
    )
    op.create_index("seedance_orders_by_state", "seedance_orders", ["state", "due_at"])
    op.create_index("seedance_orders_by_sha256", "seedance_orders", ["sha256"])
    op.create_index("seedance_orders_by_delivered_sha256", "seedance_orders", ["delivered_sha256"])
    op.create_index("seedance_orders_by_booking", "seedance_orders", ["booked_at"])
    op.create_index("seedance_orders_by_claim", "seedance_orders", ["prompt_set", "claimed_at"])
    op.create_index("seedance_orders_by_source", "seedance_orders", ["source_order_id"])
    identity = op.create_table(
        "seedance_ledger",
        sa.Column("ledger_id", sa.Text, primary_key=True),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("moved_to", sa.Text),
    )
    created_at = datetime.now(UTC).replace(tzinfo=None)
    op.bulk_insert(identity, [{"ledger_id": str(uuid4()), "created_at": created_at}])
    op.create_table(
        "seedance_journal",
        sa.Column("entry_id", _ID, primary_key=True, autoincrement=True),
        sa.Column("order_id", sa.BigInteger, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("from_state", sa.Text),
        sa.Column("to_state", sa.Text, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
    )
    op.create_index("seedance_journal_by_order", "seedance_journal", ["order_id"])
    op.create_table(
        "seedance_requests",
        sa.Column("idempotency_key", sa.Text, primary_key=True),
        sa.Column("requested_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "seedance_leases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("since", sa.DateTime, nullable=False),
        sa.Column("until", sa.DateTime, nullable=False),
    )
    op.create_table(
        "seedance_pauses",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("until", sa.DateTime, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
    )
    op.create_table(
        "seedance_observations",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.Column("observed_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "seedance_partitions",
        sa.Column("prompt_set", sa.Text, primary_key=True),
        sa.Column("partition", sa.Text, primary_key=True),
        *_columns(sa.Text, "fingerprint scope"),
        sa.Column("take", sa.BigInteger, nullable=False),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("removed_at", sa.DateTime),
        sa.Column("reported", sa.Text),
        sa.Column("postponed_at", sa.DateTime),
    )
    op.create_index("seedance_partitions_by_request", "seedance_partitions", ["fingerprint", "take"])
    op.create_table(
        "seedance_links",
        sa.Column("prompt_set", sa.Text, primary_key=True),
        sa.Column("partition", sa.Text, primary_key=True),
        sa.Column("order_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("linked_at", sa.DateTime, nullable=False),
        sa.Column("reported", sa.Text),
    )
    op.create_index("seedance_links_by_order", "seedance_links", ["order_id"])
    op.create_table(
        "seedance_references",
        sa.Column("url_sha256", sa.Text, primary_key=True),
        sa.Column("validator", sa.Text),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("checked_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "seedance_uploads",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("uploaded_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "seedance_rates",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("reserved_until", sa.DateTime, nullable=False),
    )
