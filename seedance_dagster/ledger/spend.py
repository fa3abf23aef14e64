"""What was spent, summed up by day, month, set, model, tag or run."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from enum import StrEnum
from typing import Self

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.budgets import order_money
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.schema import orders


class SpendBy(StrEnum):
    """What money is summed up by."""

    DAY = "day"
    MONTH = "month"
    SET = "set"
    MODEL = "model"
    TAG = "tag"
    RUN = "run"


@dataclass(frozen=True)
class Amounts:
    """Orders and their money, in points.

    Attributes:
        orders: How many, whatever became of them.
        videos: How many of them have their video in S3.
        charged: What the vendor told that it charged, penalties among it.
        penalties: The part of it that was charged for refused prompts.
        assumed: Held for finished tasks whose charge the vendor never told; budgets count it as spent.
        reserved: Estimated or held for what the vendor may still charge, as in budgets.
    """

    orders: int
    videos: int
    charged: int
    penalties: int
    assumed: int
    reserved: int

    @classmethod
    def together(cls, parts: Iterable[Amounts]) -> Self:
        """The sum of some."""
        every = list(parts)
        return cls(**{each.name: sum(getattr(part, each.name) for part in every) for each in fields(cls)})


Sums = Mapping[str | None, Amounts]
"""Amounts by what they are summed up by; None for what has no such key."""


@dataclass(frozen=True)
class DaySpend:
    """What the orders of one day cost.

    Attributes:
        day: In UTC, on which the first attempt was accepted, as for budgets.
        orders: How many were charged.
        points: Their charges.
    """

    day: date
    orders: int
    points: int


class Spend(LedgerPart):
    """The part of the ledger that tells where the money went."""

    def total_by(
        self,
        by: SpendBy,
        *,
        tag: str = "",
        since: datetime | None = None,
        prompt_set: str | None = None,
    ) -> Sums:
        """Orders and money by what they are summed up by.

        Days and months are those of the budgets: in UTC, in which the first attempt was accepted.

        Args:
            by: What to sum up by.
            tag: The tag's name, for `SpendBy.TAG`.
            since: Without orders that were booked before.
            prompt_set: Only this set.

        Returns:
            Amounts by key, the keys in order: a day as 2026-04-06, a month as 2026-04, or a name. None
            stands, at the end, for orders without the tag.
        """
        booked = sa.func.coalesce(orders.c.booked_at, orders.c.ordered_at)
        day = sa.cast(sa.func.date(booked), sa.Text)
        keys: dict[SpendBy, sa.ColumnElement[str]] = {
            SpendBy.DAY: day,
            SpendBy.MONTH: sa.func.substr(day, 1, len("2026-04")),
            SpendBy.SET: orders.c.prompt_set,
            SpendBy.MODEL: orders.c.request["task_type"].as_string(),
            # Not by the tag's own path: SQLite finds no names there that its JSON writes with escapes.
            SpendBy.TAG: sa.cast(orders.c.tags, sa.Text),
            SpendBy.RUN: orders.c.run_id,
        }
        with self._database.reading() as connection:
            money = order_money(connection)
            sums = (
                sa.func.count(),
                _total(sa.case((orders.c.state == State.STORED, 1), else_=0)),
                _total(money.charged),
                _total(sa.case((orders.c.state == State.REJECTED, money.charged), else_=0)),
                _total(money.spent - money.charged),
                _total(money.reserved),
            )
            query = sa.select(keys[by].label("key"), *sums).select_from(orders).group_by("key")
            if since is not None:
                query = query.where(booked >= since)
            if prompt_set is not None:
                query = query.where(orders.c.prompt_set == prompt_set)
            rows = connection.execute(query).all()
        found: defaultdict[str | None, list[Amounts]] = defaultdict(list)
        for key, *numbers in rows:
            name = json.loads(key).get(tag) if by is SpendBy.TAG else key
            found[name].append(Amounts(*map(int, numbers)))
        return {
            name: Amounts.together(found[name])
            for name in sorted(found, key=lambda name: (name is None, name or ""))
        }

    def by_day(self, prompt_set: str) -> list[DaySpend]:
        """What a set was charged by day, penalties and earlier attempts included."""
        day = sa.func.date(sa.func.coalesce(orders.c.booked_at, orders.c.ordered_at), type_=sa.Text)
        with self._database.reading() as connection:
            charged = order_money(connection).charged
            query = (
                sa.select(day, sa.func.count(), sa.func.sum(charged))
                .where(orders.c.prompt_set == prompt_set, charged > 0)
                .group_by(day)
                .order_by(day)
            )
            return [
                DaySpend(date.fromisoformat(str(when)), int(count), int(points))
                for when, count, points in connection.execute(query)
            ]


def _total(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(column), 0)
