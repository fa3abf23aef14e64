"""Reports: the prompts and orders that were reported to Dagster, and those that were not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.order import Order, Reported, State
from seedance_dagster.ledger.schema import orders, reported_prompts, to_order

_REPORT_GRACE = timedelta(seconds=60)  # a living run reports its own orders within this time


class Reports(LedgerPart):
    """The part of the ledger that remembers what was reported to Dagster."""

    def prompts(self, prompt_set: str) -> dict[str, str]:
        """Return the fingerprints of a set that were last reported, by partition."""
        query = sa.select(reported_prompts.c.partition, reported_prompts.c.fingerprint).where(
            reported_prompts.c.prompt_set == prompt_set
        )
        with self._database.reading() as connection:
            return {row.partition: row.fingerprint for row in connection.execute(query)}

    def mark_prompts(self, prompt_set: str, fingerprints: Mapping[str, str]) -> None:
        """Remember the fingerprints that were just reported, by partition."""
        with self._database.writing() as connection:
            for partition, fingerprint in fingerprints.items():
                connection.execute(
                    reported_prompts.delete().where(
                        reported_prompts.c.prompt_set == prompt_set, reported_prompts.c.partition == partition
                    )
                )
                connection.execute(
                    reported_prompts.insert().values(
                        prompt_set=prompt_set, partition=partition, fingerprint=fingerprint
                    )
                )

    def prompt(self, prompt_set: str, partition: str) -> str | None:
        """Return the fingerprint that was last reported for a partition; None when none was."""
        query = sa.select(reported_prompts.c.fingerprint).where(
            reported_prompts.c.prompt_set == prompt_set, reported_prompts.c.partition == partition
        )
        with self._database.reading() as connection:
            return connection.scalar(query)

    def is_superseded(self, order: Order) -> bool:
        """Return True when another order stands for the partition.

        An order of the fingerprint that was last reported comes first, then the newest order; failed
        and rejected ones do not count.
        """
        query = sa.select(_superseded()).where(orders.c.order_id == order.order_id)
        with self._database.reading() as connection:
            return bool(connection.scalar(query))

    def unreported(self, limit: int) -> list[Order]:
        """Return orders whose state was not reported, because the worker that should have is gone."""
        query = sa.select(orders).where(unreported(self._clock())).order_by(orders.c.order_id).limit(limit)
        with self._database.reading() as connection:
            return [to_order(row) for row in connection.execute(query)]

    def mark_reported(self, reported: Mapping[int, Reported]) -> None:
        """Remember the events of orders that were just reported, by order id."""
        with self._database.writing() as connection:
            for order_id, event in reported.items():
                connection.execute(
                    orders.update().where(orders.c.order_id == order_id).values(reported=event)
                )


def _superseded() -> sa.ColumnElement[bool]:
    """Select orders whose partition another order stands for; for a query on `orders`."""
    other = orders.alias()
    current = (
        sa.select(reported_prompts.c.fingerprint)
        .where(
            reported_prompts.c.prompt_set == orders.c.prompt_set,
            reported_prompts.c.partition == orders.c.partition,
        )
        .correlate(orders)
        .scalar_subquery()
    )
    is_current, is_newer = other.c.fingerprint == current, other.c.order_id > orders.c.order_id
    return (
        sa.exists()
        .where(
            other.c.prompt_set == orders.c.prompt_set,
            other.c.partition == orders.c.partition,
            other.c.state.not_in({State.FAILED, State.REJECTED}),
            sa.case((orders.c.fingerprint == current, is_current & is_newer), else_=is_current | is_newer),
        )
        .correlate(orders)
    )


def unreported(now: datetime) -> sa.ColumnElement[bool]:
    """Select orders whose present state was not reported to Dagster in time."""
    before = now - _REPORT_GRACE
    reported = orders.c.reported
    return sa.or_(
        sa.and_(
            orders.c.state.in_({State.SUBMITTED, State.SUCCEEDED}),
            reported.is_(None),
            orders.c.submitted_at <= before,
        ),
        sa.and_(
            orders.c.state == State.STORED,
            reported.is_distinct_from(Reported.STORED),
            orders.c.stored_at <= before,
            # One that was observed behind a better order is reported again once that order came to nothing.
            sa.or_(reported.is_distinct_from(Reported.OBSERVED), ~_superseded()),
        ),
    )
