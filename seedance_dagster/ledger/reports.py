"""What Dagster was last told about each prompt, so that an edited one is told again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.order import Order, Reported, State
from seedance_dagster.ledger.rows import to_order
from seedance_dagster.ledger.schema import orders, reported_prompts

_REPORT_GRACE = timedelta(seconds=60)  # a living run tells Dagster itself within this time


class Reports(LedgerPart):
    """The part of the ledger that remembers the reported prompts."""

    def prompts(self, prompt_set: str) -> dict[str, str]:
        """Fingerprint last reported to Dagster, by partition."""
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(reported_prompts.c.partition, reported_prompts.c.fingerprint).where(
                    reported_prompts.c.prompt_set == prompt_set
                )
            )
            return {row.partition: row.fingerprint for row in rows}

    def mark_prompts(self, prompt_set: str, fingerprints: Mapping[str, str]) -> None:
        """Remember what was reported just now."""
        with self._database.writing() as connection:
            for partition, fingerprint in fingerprints.items():
                here = (
                    reported_prompts.c.prompt_set == prompt_set,
                    reported_prompts.c.partition == partition,
                )
                connection.execute(reported_prompts.delete().where(*here))
                connection.execute(
                    reported_prompts.insert().values(
                        prompt_set=prompt_set, partition=partition, fingerprint=fingerprint
                    )
                )

    def prompt(self, prompt_set: str, partition: str) -> str | None:
        """The fingerprint that Dagster was last told of a prompt; None when it was told nothing."""
        query = sa.select(reported_prompts.c.fingerprint).where(
            reported_prompts.c.prompt_set == prompt_set, reported_prompts.c.partition == partition
        )
        with self._database.reading() as connection:
            return connection.scalar(query)

    def is_superseded(self, order: Order) -> bool:
        """True when another order answers the partition better.

        What Dagster was last told that the file asks for comes first, then the newest order; failed
        and refused ones do not count.
        """
        with self._database.reading() as connection:
            return bool(
                connection.scalar(sa.select(_superseded()).where(orders.c.order_id == order.order_id))
            )

    def unreported(self, limit: int) -> list[Order]:
        """Orders of which Dagster was not told how they stand, because whoever should have is gone."""
        query = sa.select(orders).where(unreported(self._clock())).order_by(orders.c.order_id).limit(limit)
        with self._database.reading() as connection:
            return [to_order(row) for row in connection.execute(query)]

    def mark_reported(self, told: Mapping[int, Reported]) -> None:
        """Note what Dagster was told of orders."""
        with self._database.writing() as connection:
            for order_id, state in told.items():
                connection.execute(
                    orders.update().where(orders.c.order_id == order_id).values(reported=state)
                )


def _superseded() -> sa.ColumnElement[bool]:
    """True for orders whose partition another one answers better; for a query on `orders`."""
    other = orders.alias()
    asked = (
        sa.select(reported_prompts.c.fingerprint)
        .where(
            reported_prompts.c.prompt_set == orders.c.prompt_set,
            reported_prompts.c.partition == orders.c.partition,
        )
        .correlate(orders)
        .scalar_subquery()
    )
    now_asked, newer = other.c.fingerprint == asked, other.c.order_id > orders.c.order_id
    return (
        sa.exists()
        .where(
            other.c.prompt_set == orders.c.prompt_set,
            other.c.partition == orders.c.partition,
            other.c.state.not_in({State.FAILED, State.REJECTED}),
            sa.case((orders.c.fingerprint == asked, now_asked & newer), else_=now_asked | newer),
        )
        .correlate(orders)
    )


def unreported(now: datetime) -> sa.ColumnElement[bool]:
    """Select orders whose present state was not reported to Dagster in time."""
    before = now - _REPORT_GRACE
    told = orders.c.reported
    return sa.or_(
        sa.and_(
            orders.c.state.in_({State.SUBMITTED, State.SUCCEEDED}),
            told.is_(None),
            orders.c.submitted_at <= before,
        ),
        sa.and_(
            orders.c.state == State.STORED,
            told.is_distinct_from(Reported.STORED),
            orders.c.stored_at <= before,
            # One that was told behind a better order is told anew once that came to nothing.
            sa.or_(told.is_distinct_from(Reported.OBSERVED), ~_superseded()),
        ),
    )
