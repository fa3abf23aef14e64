"""Reports: the prompts and orders that were reported to Dagster, and those that were not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import ENDED, Order, Reported, State
from seedance_dagster.ledger.partitions import UPDATE_PARTITION, Link, asks_for, same_partition
from seedance_dagster.ledger.tables.schema import (
    is_edited,
    is_unreported,
    links,
    orders,
    other_orders,
    partitions,
    to_order,
)

_REPORT_GRACE = timedelta(seconds=60)  # a living run reports its own orders within this time
_UPDATE_LINK = links.update().where(
    links.c.prompt_set == sa.bindparam("of_set"),
    links.c.partition == sa.bindparam("of_partition"),
    links.c.order_id == sa.bindparam("of_order_id"),
    # A submission that is noted late must not hide what another worker reported meanwhile.
    sa.or_(
        sa.bindparam("event", type_=links.c.reported.type) != Reported.SUBMITTED,
        links.c.reported.is_(None),
        links.c.reported == Reported.ORDERED,
    ),
)
_LINK = (links.c.prompt_set, links.c.partition, links.c.order_id, links.c.reported)


@dataclass(frozen=True, kw_only=True)
class LinkToReport(Link):
    """A partition that an order is reported for, with the facts that decide the event.

    Attributes:
        lacks_prompt: The partition asks for the order's request, which was never reported.
        superseded: Another order stands for the partition. One for its current request comes first, then the
            newest; failed and rejected ones do not count.
        failed_removal: The newest order of the partition that failed to take the watermark off the video.
    """

    lacks_prompt: bool
    superseded: bool
    failed_removal: int | None


class Reports(LedgerPart):
    """The part of the ledger that remembers what was reported to Dagster."""

    def edited_prompts(self) -> dict[str, set[str]]:
        """Return the partitions whose request differs from the one last reported, by set."""
        edited: defaultdict[str, set[str]] = defaultdict(set)
        query = sa.select(partitions.c.prompt_set, partitions.c.partition)
        with self._database.reading() as connection:
            for row in connection.execute(query.where(is_edited, partitions.c.removed_at.is_(None))):
                edited[row.prompt_set].add(row.partition)
        return edited

    def mark_prompts(self, prompt_set: str, fingerprints: Mapping[str, str]) -> None:
        """Remember the fingerprints that were just reported, by partition."""
        rows = [
            {"of_set": prompt_set, "of_partition": partition, "reported": fingerprint}
            for partition, fingerprint in fingerprints.items()
        ]
        if rows:
            with self._database.writing() as connection:
                connection.execute(UPDATE_PARTITION, rows)

    def prompt(self, prompt_set: str, partition: str) -> str | None:
        """Return the fingerprint that was last reported for a partition; None when none was."""
        query = sa.select(partitions.c.reported).where(
            partitions.c.prompt_set == prompt_set, partitions.c.partition == partition
        )
        with self._database.reading() as connection:
            return connection.scalar(query)

    def links(self, order_id: int) -> list[LinkToReport]:
        """Return the partitions that an order is reported for, sorted."""
        with self._database.reading() as connection:
            rows = connection.execute(_links_to_report(), {"of_order_id": order_id})
            return [LinkToReport(**row) for row in rows.mappings()]

    def unreported(self, limit: int) -> list[tuple[Order, Link]]:
        """Return orders that were not reported in time, because their worker is gone."""
        with self._database.reading() as connection:
            rows = connection.execute(_overdue(), {**report_times(self._clock()), "limit": limit})
            overdue = [Link(*row) for row in rows]
            by_id = {
                row.order_id: to_order(row)
                for chunk in chunked({link.order_id for link in overdue})
                for row in connection.execute(sa.select(orders).where(orders.c.order_id.in_(chunk)))
            }
        return [(by_id[link.order_id], link) for link in overdue]

    def mark_reported(self, reported: Mapping[Link, Reported]) -> None:
        """Remember the events that were just reported of orders, for some partitions."""
        # Always in the same order, so that no two workers wait for each other's rows.
        in_order = sorted(
            reported.items(), key=lambda item: (item[0].order_id, item[0].prompt_set, item[0].partition)
        )
        rows = [
            {
                "of_set": link.prompt_set,
                "of_partition": link.partition,
                "of_order_id": link.order_id,
                "reported": event,
                "event": event,
            }
            for link, event in in_order
        ]
        if rows:
            with self._database.updating() as connection:
                connection.execute(_UPDATE_LINK, rows)

    def mark_task(self, link: Link, event: Reported) -> None:
        """Remember that the task of an order was reported, unless a later event was reported meanwhile."""
        earlier: list[sa.ColumnElement[bool]] = [links.c.reported.is_(None)]
        if event is not Reported.ORDERED:
            earlier.append(links.c.reported == Reported.ORDERED)
        with self._database.updating() as connection:
            connection.execute(links.update().where(*_is(link), sa.or_(*earlier)).values(reported=event))

    def forget(self, reported_links: Iterable[Link]) -> None:
        """Forget what was reported of orders for some partitions, so that it is reported again.

        The worker that does so has the same time for it as for a new link.
        """
        with self._database.writing() as connection:
            for link in reported_links:
                values = {"reported": None, "linked_at": self._clock()}
                connection.execute(links.update().where(*_is(link)).values(values))
                connection.execute(
                    partitions.update()
                    .where(same_partition(partitions, links), *_is(link))
                    .values(reported=None)
                )


def _is(link: Link) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        links.c.prompt_set == link.prompt_set,
        links.c.partition == link.partition,
        links.c.order_id == link.order_id,
    )


@cache
def _superseded() -> sa.ColumnElement[bool]:
    """Select links whose partition another order stands for; for a query on `links` and `orders`."""
    other, other_link = other_orders, links.alias()
    is_current = sa.exists().where(same_partition(partitions, links), asks_for()).correlate(links, orders)
    other_is_current = (
        sa.exists()
        .where(same_partition(partitions, other_link), asks_for(order=other))
        .correlate(other_link, other)
    )
    is_newer = other.c.order_id > orders.c.order_id
    return (
        sa.exists()
        .where(
            same_partition(other_link, links),
            other.c.order_id == other_link.c.order_id,
            other.c.state.not_in(ENDED),
            sa.case((is_current, other_is_current & is_newer), else_=other_is_current | is_newer),
        )
        .correlate(links, orders)
    )


@cache
def _links_to_report() -> sa.Select[Any]:
    """Select the rows of `Reports.links` in one statement, since every event needs them."""
    same_request = (same_partition(partitions, links), partitions.c.fingerprint == orders.c.fingerprint)
    lacks_prompt = sa.exists().where(*same_request, partitions.c.reported.is_(None)).correlate(links, orders)
    removal, removal_link = other_orders, links.alias()
    failed_removal = (
        sa.select(sa.func.max(removal.c.order_id))
        .join(removal_link, removal_link.c.order_id == removal.c.order_id)
        .where(
            removal.c.source_order_id == orders.c.order_id,
            removal.c.state.in_(ENDED),
            same_partition(removal_link, links),
        )
        .correlate(links, orders)
    )
    return (
        sa.select(
            *_LINK,
            lacks_prompt.label("lacks_prompt"),
            _superseded().label("superseded"),
            failed_removal.scalar_subquery().label("failed_removal"),
        )
        .join(orders, orders.c.order_id == links.c.order_id)
        .where(links.c.order_id == sa.bindparam("of_order_id"))
        .order_by(links.c.prompt_set, links.c.partition)
    )


@cache
def _was_tried_again() -> sa.ColumnElement[bool]:
    """Select orders with a later attempt, which shows the outcome of the request; for a query on `orders`."""
    later = other_orders
    return (
        sa.exists()
        .where(
            later.c.fingerprint == orders.c.fingerprint,
            later.c.take == orders.c.take,
            later.c.scope == orders.c.scope,
            later.c.attempt > orders.c.attempt,
        )
        .correlate(orders)
    )


@cache
def _overdue() -> sa.Select[Any]:
    """Select the rows of `Reports.unreported` in one statement, since every advance asks."""
    return (
        sa.select(*_LINK)
        .join(orders, orders.c.order_id == links.c.order_id)
        .where(is_overdue())
        .order_by(links.c.order_id, links.c.prompt_set, links.c.partition)
        .limit(sa.bindparam("limit", type_=sa.Integer))
    )


def report_times(now: datetime) -> dict[str, datetime]:
    """Return the parameters of `is_overdue`."""
    return {"report_deadline": now - _REPORT_GRACE}


@cache
def is_overdue() -> sa.ColumnElement[bool]:
    """Select links whose order's present state was not reported in time; for a query with `orders`."""
    deadline = sa.bindparam("report_deadline", type_=links.c.linked_at.type)
    # As an expression that no index has, so that planners go from the few open links to their orders.
    state, reported = sa.cast(orders.c.state, sa.Text).concat(""), links.c.reported
    return sa.and_(
        is_unreported,
        links.c.linked_at <= deadline,
        sa.or_(
            sa.and_(
                state.in_({State.SUBMITTED, State.SUCCEEDED}),
                sa.or_(reported.is_(None), reported == Reported.ORDERED),
                orders.c.submitted_at <= deadline,
            ),
            sa.and_(
                state == State.STORED,
                reported.is_distinct_from(Reported.STORED),
                orders.c.stored_at <= deadline,
                # One that was observed behind a better order is reported again if that one ended without a
                # video.
                sa.or_(reported.is_distinct_from(Reported.OBSERVED), ~_superseded()),
            ),
            sa.and_(
                state.in_(ENDED),
                reported.is_distinct_from(Reported.ENDED),
                orders.c.ended_at <= deadline,
                ~_was_tried_again(),
                ~_superseded(),
            ),
        ),
    )
