"""The spend of one set, in one pass over its orders, for the metadata of its index."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.budgets import order_money
from seedance_dagster.ledger.partitions import same_partition
from seedance_dagster.ledger.tables.schema import orders, partitions, task_type


@dataclass(frozen=True)
class DaySpend:
    """The cost of the orders of one day.

    Attributes:
        day: The UTC day on which the first attempt was placed, as for budgets.
        orders: The number of orders that were charged.
        points: Their charges.
    """

    day: date
    orders: int
    points: int


class OrderSum(NamedTuple):
    """A number of orders, in any state, and the charges that the vendor reported, in points."""

    orders: int
    charged: int


OrderSums = Mapping[str | None, OrderSum]
"""Sums by a key; None for orders without it."""


@dataclass(frozen=True)
class SetSpend:
    """The spend of a set, penalties and earlier attempts included.

    Attributes:
        by_day: The charges by day, without days on which nothing was charged.
        by_model: By task type.
        by_run: By the id of the run that ordered.
        by_tag: By tag name and value, for the tags that most orders have.
    """

    by_day: Sequence[DaySpend]
    by_model: OrderSums
    by_run: OrderSums
    by_tag: Mapping[str, OrderSums]


class SetSpends(LedgerPart):
    """The part of the ledger that knows where the money of one set went."""

    def read(self, prompt_set: str, *, max_tags: int) -> SetSpend:
        """Return the spend of a set, by the tags that most orders have, at most `max_tags`."""
        day = sa.cast(sa.func.date(orders.c.booked_at), sa.Text)
        # The tags as the file has them now, for the partition that the order was made for.
        current = sa.func.coalesce(sa.cast(partitions.c.tags, sa.Text), sa.cast(orders.c.tags, sa.Text))
        with self._database.reading() as connection:
            charged = order_money(connection).charged
            columns = (day.label("day"), task_type.label("model"), orders.c.run_id, current.label("tags_now"))
            is_charged = sa.func.sum(sa.case((charged > 0, 1), else_=0))
            query = (
                sa.select(*columns, sa.func.count(), is_charged, sa.func.sum(charged))
                .select_from(orders.outerjoin(partitions, same_partition(partitions, orders)))
                .where(orders.c.prompt_set == prompt_set)
                .group_by("day", "model", orders.c.run_id, "tags_now")
            )
            rows = [tuple(row) for row in connection.execute(query)]
        tagged = [(json.loads(text), (int(count), int(sum_))) for *_, text, count, _, sum_ in rows]
        names = Counter[str]()
        for values, (count, _) in tagged:
            names.update(dict.fromkeys(values, count))
        return SetSpend(
            by_day=_by_day((iso_day, int(paid), int(sum_)) for iso_day, *_, paid, sum_ in rows),
            by_model=_summed((row[1], (int(row[4]), int(row[6]))) for row in rows),
            by_run=_summed((row[2], (int(row[4]), int(row[6]))) for row in rows),
            by_tag={
                name: _summed((values.get(name), sums) for values, sums in tagged)
                for name, _ in names.most_common(max_tags)
            },
        )


def _by_day(rows: Iterable[tuple[str, int, int]]) -> list[DaySpend]:
    days: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for iso_day, paid, points in rows:
        if paid:
            days[iso_day].append((paid, points))
    return [
        DaySpend(date.fromisoformat(iso_day), *map(sum, zip(*sums, strict=True)))
        for iso_day, sums in sorted(days.items())
    ]


def _summed(rows: Iterable[tuple[str | None, tuple[int, int]]]) -> OrderSums:
    sums: dict[str | None, OrderSum] = {}
    for key, (count, points) in rows:
        before = sums.get(key, OrderSum(0, 0))
        sums[key] = OrderSum(before.orders + count, before.charged + points)
    return sums
