"""From an older schema to today's, one step a version, in the transaction that opens the ledger."""

from __future__ import annotations

import sqlalchemy as sa

from seedance_dagster.ledger.schema import orders

_STEPS: dict[int, tuple[str, ...]] = {
    2: (
        "ALTER TABLE seedance_orders ADD COLUMN booked_at TIMESTAMP",
        "ALTER TABLE seedance_orders ADD COLUMN job_name TEXT",
        "ALTER TABLE seedance_orders ADD COLUMN run_tags JSON",
        "ALTER TABLE seedance_orders ADD COLUMN reference_facts JSON",
        "ALTER TABLE seedance_orders ADD COLUMN vendor_logs JSON",
        "ALTER TABLE seedance_orders ADD COLUMN delivered_sha256 TEXT",
        "ALTER TABLE seedance_orders ADD COLUMN credential JSON",
        "ALTER TABLE seedance_orders ADD COLUMN poster_size_bytes BIGINT",
        "ALTER TABLE seedance_orders ADD COLUMN poster_sha256 TEXT",
        "ALTER TABLE seedance_orders ADD COLUMN fps FLOAT",
        "ALTER TABLE seedance_orders ADD COLUMN package_version TEXT",
        "ALTER TABLE seedance_orders ADD COLUMN code_version TEXT",
        "ALTER TABLE seedance_leases ADD COLUMN since TIMESTAMP",
        "UPDATE seedance_orders SET booked_at = ordered_at, delivered_sha256 = sha256",
    ),
    3: (),  # a new table
}
_NEW_INDEXES = {
    2: ("seedance_orders_by_booking", "seedance_orders_by_claim", "seedance_orders_by_delivered_sha256")
}


def migrate(connection: sa.Connection, *, found: int, wanted: int) -> None:
    """Bring the tables from version `found` to `wanted`; all or nothing with the caller's transaction."""
    for version in range(found + 1, wanted + 1):
        for statement in _STEPS[version]:
            connection.exec_driver_sql(statement)
        for index in orders.indexes:
            if index.name in _NEW_INDEXES.get(version, ()):
                index.create(connection)
