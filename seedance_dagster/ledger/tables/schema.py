"""The ledger's tables, the same for SQLite and PostgreSQL.

A change of a table needs a revision in `migrations/versions`, and `REVISION` names the newest one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from seedance_dagster.api.wire import REMOVE_WATERMARK
from seedance_dagster.ledger.order import IN_FLIGHT, NewOrder, Order, Reported
from seedance_dagster.ledger.tables.columns import EnumText, UtcDateTime, columns_of
from seedance_dagster.ledger.verdict import GivenVerdict, Verdict

REVISION = "0013"
"""The newest revision of the schema; revisions sort as text, and a ledger of a newer one is refused."""

OLDER_REVISIONS = frozenset(f"{number:04d}" for number in range(1, int(REVISION)))
"""The revisions that are upgraded when a ledger is opened."""

VERSION_TABLE = "seedance_schema"
"""The table in which alembic keeps the revision of a ledger."""


# SQLite counts rowids only in an INTEGER primary key.
row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData()


def is_one_of(column: sa.ColumnElement[Any], members: Iterable[StrEnum]) -> sa.ColumnElement[bool]:
    """Compare a column with members of an enumeration written into the statement.

    A partial index is used for a query only where the condition of both is the same text.
    """
    literals: list[sa.ColumnElement[str]] = [sa.literal_column(f"'{member}'") for member in sorted(members)]
    return column == literals[0] if len(literals) == 1 else column.in_(literals)


def _partial(name: str, *columns: str | sa.Column[Any], where: sa.ColumnElement[bool]) -> sa.Index:
    return sa.Index(name, *columns, sqlite_where=where, postgresql_where=where)


_MONEY = ("prompt_set", "state", "reserved_points", "points_held", "points_charged", "task_id")
_TOTALS = ("estimated_points", "points_held", "points_charged")

orders = sa.Table(
    "seedance_orders",
    metadata,
    sa.Column("order_id", row_id, primary_key=True, autoincrement=True),
    *columns_of(Order, without="order_id"),
    sa.UniqueConstraint("task_id", name="seedance_orders_one_task"),
    sa.UniqueConstraint("fingerprint", "take", "attempt", name="seedance_orders_one_attempt"),
    sa.Index("seedance_orders_by_state", "state", "due_at"),
    sa.Index("seedance_orders_by_sha256", "sha256"),
    sa.Index("seedance_orders_by_delivered_sha256", "delivered_sha256"),
    # With all columns that the queries need, so that they read no rows.
    sa.Index("seedance_orders_by_booking", "booked_at", *_MONEY),
    sa.Index("seedance_orders_by_set", "prompt_set", "state", *_TOTALS),
    sa.Index("seedance_orders_queue", "state", "prompt_set", "order_id", "due_at", "estimated_points"),
    sa.Index("seedance_orders_ends", "state", "vendor_ended_at", "ended_at", "ordered_at", "prompt_set"),
    sa.Index("seedance_orders_by_key", "idempotency_key"),
    sa.Index("seedance_orders_by_sending", "account", "sent_at"),
    sa.Index("seedance_orders_by_creation", "account", "vendor_created_at"),
    sa.Index("seedance_orders_by_claim", "prompt_set", "claimed_at"),
    sa.Index("seedance_orders_by_source", "source_order_id"),
    sqlite_autoincrement=True,  # the number of a deleted row never stands for another order
)

occupies_slot = sa.and_(orders.c.state.in_(IN_FLIGHT), orders.c.vendor_ended_at.is_(None))
"""The condition of orders that may have a running task; one that only lacks its video link does not count."""

_partial("seedance_orders_by_ending", orders.c.vendor_ended_at, where=orders.c.vendor_ended_at.is_not(None))
_partial("seedance_orders_by_owner", orders.c.lease_owner, where=orders.c.lease_owner.is_not(None))
task_type = sa.case(
    (orders.c.source_order_id.is_not(None), REMOVE_WATERMARK),
    else_=orders.c.request["task_type"].as_string(),
)
"""The type of an order's own task, as `Order.task_type`."""

other_orders = orders.alias("other_orders")
"""Orders beside those of a query. Made once, since an alias of all columns takes milliseconds."""

NO_LEASE: dict[str, Any] = {"lease_owner": None, "leased_at": None, "leased_until": None}
"""The columns of an order that no worker holds."""

ledger_identity = sa.Table(
    "seedance_ledger",
    metadata,
    sa.Column("ledger_id", sa.Text, primary_key=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("moved_to", sa.Text),  # the database that it was moved to: this is an old copy
)

journal = sa.Table(
    "seedance_journal",
    metadata,
    sa.Column("entry_id", row_id, primary_key=True, autoincrement=True),
    sa.Column("order_id", sa.BigInteger, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("from_state", sa.Text),
    sa.Column("to_state", sa.Text, nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Index("seedance_journal_by_order", "order_id"),
)

# When each request that pays again was first made: orders that ended later answer its retries.
requests = sa.Table(
    "seedance_requests",
    metadata,
    sa.Column("idempotency_key", sa.Text, primary_key=True),
    sa.Column("requested_at", UtcDateTime, nullable=False),
)

leases = sa.Table(
    "seedance_leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("since", UtcDateTime, nullable=False),
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

# The request of each partition, as last read from its file; `reported` is the fingerprint that Dagster was
# last given, and `postponed_at` when a budget had no room for a request of an automation condition.
partitions = sa.Table(
    "seedance_partitions",
    metadata,
    sa.Column("prompt_set", sa.Text, primary_key=True),
    sa.Column("partition", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("take", sa.BigInteger, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("removed_at", UtcDateTime),
    sa.Column("reported", sa.Text),
    sa.Column("postponed_at", UtcDateTime),
    sa.Column("is_draft", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("rights", sa.JSON),
    sa.Index("seedance_partitions_by_request", "fingerprint", "take"),
)

is_edited = partitions.c.reported != partitions.c.fingerprint
"""The condition of partitions whose request differs from the one last reported, as an index has it."""

_partial("seedance_partitions_edited", partitions.c.prompt_set, partitions.c.partition, where=is_edited)
_partial(
    "seedance_partitions_postponed",
    partitions.c.postponed_at,
    partitions.c.prompt_set,
    where=partitions.c.postponed_at.is_not(None),
)

# A hash of the requests of each set's partitions, as they were last compared with its file.
prompt_sets = sa.Table(
    "seedance_prompt_sets",
    metadata,
    sa.Column("prompt_set", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
)

# The orders that are linked to each partition: placed, joined, reused or skipped for it.
links = sa.Table(
    "seedance_links",
    metadata,
    sa.Column("prompt_set", sa.Text, primary_key=True),
    sa.Column("partition", sa.Text, primary_key=True),
    sa.Column("order_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("linked_at", UtcDateTime, nullable=False),
    sa.Column("reported", EnumText(Reported)),
    sa.Index("seedance_links_by_order", "order_id"),
    sa.Index("seedance_links_by_set", "prompt_set", "order_id"),
)

is_unreported = sa.or_(
    links.c.reported.is_(None),
    is_one_of(links.c.reported, [Reported.OBSERVED, Reported.ORDERED, Reported.SUBMITTED]),
)
"""The condition of links whose order's end is not reported yet, as an index has it."""

_partial(
    "seedance_links_unreported",
    *(links.c[name] for name in ("order_id", "prompt_set", "partition", "linked_at", "reported")),
    where=is_unreported,
)

references = sa.Table(
    "seedance_references",
    metadata,
    sa.Column("url_sha256", sa.Text, primary_key=True),
    sa.Column("validator", sa.Text),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("checked_at", UtcDateTime, nullable=False),
)

uploads = sa.Table(
    "seedance_uploads",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("uploaded_at", UtcDateTime, nullable=False),
)

# The time until which each shared rate limit is reserved.
rates = sa.Table(
    "seedance_rates",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("reserved_until", UtcDateTime, nullable=False),
)

# The verdicts on videos. Rows are only added; only `reported_at` is written later.
verdicts = sa.Table(
    "seedance_verdicts",
    metadata,
    sa.Column("verdict_id", row_id, primary_key=True, autoincrement=True),
    sa.Column("prompt_set", sa.Text, nullable=False),
    sa.Column("partition", sa.Text, nullable=False),
    sa.Column("order_id", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("verdict", EnumText(Verdict), nullable=False),
    sa.Column("reviewer", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("given_at", UtcDateTime, nullable=False),
    sa.Column("undoes", sa.BigInteger),
    sa.Column("reported_at", UtcDateTime),
    sa.Index("seedance_verdicts_by_video", "prompt_set", "partition", "sha256", "verdict_id"),
    sa.Index("seedance_verdicts_by_report", "reported_at"),
    sqlite_autoincrement=True,
)


def to_order(row: sa.Row[Any]) -> Order:
    """Return a row of `orders` as an `Order`."""
    return Order(**row._mapping)  # noqa: SLF001  SQLAlchemy's documented mapping view


def ordered_values(order: NewOrder) -> dict[str, Any]:
    """Return the columns of an order that every attempt at it shares."""
    return {field.name: getattr(order, field.name) for field in fields(NewOrder)}


def to_verdict(row: sa.Row[Any]) -> GivenVerdict:
    """Return a row of `verdicts` as a `GivenVerdict`."""
    return GivenVerdict(**row._mapping)  # noqa: SLF001  SQLAlchemy's documented mapping view
