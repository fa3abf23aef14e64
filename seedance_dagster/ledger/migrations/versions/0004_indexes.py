"""Indexes for the queries of ticks, runs and checks among 100,000 orders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_ORDERS = "seedance_orders"
_INDEXES = {
    "by_booking": "booked_at prompt_set state reserved_points points_held points_charged task_id",
    "by_set": "prompt_set state estimated_points points_held points_charged",
    "queue": "state prompt_set order_id due_at estimated_points",
    "ends": "state vendor_ended_at ended_at ordered_at prompt_set",
    "by_key": "idempotency_key",
    "by_sending": "account sent_at",
    "by_creation": "account vendor_created_at",
}
_OPEN_LINK = "reported IS NULL OR reported IN ('observed', 'ordered', 'submitted')"


def upgrade() -> None:
    """Create the indexes; that of bookings replaces one of a single column."""
    op.drop_index("seedance_orders_by_booking", _ORDERS)
    for name, columns in _INDEXES.items():
        op.create_index(f"{_ORDERS}_{name}", _ORDERS, columns.split())
    _create_partial("orders_by_ending", "vendor_ended_at", "vendor_ended_at IS NOT NULL")
    _create_partial("orders_by_owner", "lease_owner", "lease_owner IS NOT NULL")
    _create_partial("links_unreported", "order_id prompt_set partition linked_at reported", _OPEN_LINK)
    _create_partial("partitions_postponed", "postponed_at prompt_set", "postponed_at IS NOT NULL")


def _create_partial(name: str, columns: str, where: str) -> None:
    table, condition = f"seedance_{name.partition('_')[0]}", sa.text(where)
    op.create_index(
        f"seedance_{name}", table, columns.split(), sqlite_where=condition, postgresql_where=condition
    )
