"""Spend: money summed up by day, month, set, model, tag or run."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Self

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.budgets import order_money
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.partitions import same_partition
from seedance_dagster.ledger.tables.columns import total
from seedance_dagster.ledger.tables.schema import orders, partitions, task_type, verdicts
from seedance_dagster.ledger.verdict import Verdict
from seedance_dagster.prompts.matrix import TEMPLATE_TAG


class SpendBy(StrEnum):
    """The key that money is summed up by."""

    DAY = "day"
    MONTH = "month"
    SET = "set"
    MODEL = "model"
    RESOLUTION = "resolution"
    TEMPLATE = "template"
    TAG = "tag"
    RUN = "run"


@dataclass(frozen=True)
class Amounts:
    """A number of orders and their money, in points.

    Attributes:
        orders: All orders, in any state.
        videos: Those of them whose video is in S3.
        rejected: Those of them that moderation rejected.
        accepted: Those of the videos whose last verdict is "accepted", without drafts: a draft and its final
            are one clip, for which both are charged.
        discarded: Those of the videos whose last verdict is "discarded".
        charged: The charges that the vendor reported, penalties among them.
        penalties: The part of the charges that was for rejected prompts.
        assumed: Held for finished tasks whose charge the vendor never reported; budgets count it as spent.
        reserved: Estimated or held for orders that the vendor may still charge, as in budgets.
    """

    orders: int
    videos: int
    rejected: int
    accepted: int
    discarded: int
    charged: int
    penalties: int
    assumed: int
    reserved: int

    @property
    def charged_per_accepted(self) -> int | None:
        """All charges divided by the number of accepted videos, in points; None without any."""
        return per_accepted(self.charged, self.accepted)

    @property
    def accepted_share(self) -> float | None:
        """The share of the videos that was accepted; None without any, as for the other shares."""
        return share(self.accepted, self.videos)

    @property
    def discarded_share(self) -> float | None:
        """The share of the videos that was discarded."""
        return share(self.discarded, self.videos)

    @property
    def rejected_share(self) -> float | None:
        """The share that was rejected of the orders that ended with a video or were rejected."""
        return share(self.rejected, self.videos + self.rejected)

    @classmethod
    def total(cls, parts: Iterable[Amounts]) -> Self:
        """Return the sum of some amounts."""
        amounts = list(parts)
        names = [field.name for field in fields(cls)]
        return cls(**{name: sum(getattr(amount, name) for amount in amounts) for name in names})


Sums = Mapping[str | None, Amounts]
"""Amounts by the key that they are summed up by; None for orders without such a key."""


class Spend(LedgerPart):
    """The part of the ledger that knows where the money went."""

    def total_by(
        self,
        by: SpendBy,
        *,
        tag: str = "",
        since: datetime | None = None,
        prompt_set: str | None = None,
    ) -> Sums:
        """Return orders and money, summed up by a key.

        Days and months are those of the budgets: in UTC, in which the first attempt was placed.

        Args:
            by: The key.
            tag: The tag's name, for `SpendBy.TAG`.
            since: Leave out orders that were booked earlier.
            prompt_set: Count only this set.

        Returns:
            Amounts by key, sorted: a day as 2026-04-06, a month as 2026-04, or a name; a resolution that was
            not requested is "default". None comes last, for orders without the tag or template.
        """
        if by is SpendBy.TEMPLATE:
            by, tag = SpendBy.TAG, TEMPLATE_TAG
        day = sa.cast(sa.func.date(orders.c.booked_at), sa.Text)
        keys: dict[SpendBy, sa.ColumnElement[str]] = {
            SpendBy.DAY: day,
            SpendBy.MONTH: sa.func.substr(day, 1, len("2026-04")),
            SpendBy.SET: orders.c.prompt_set,
            SpendBy.MODEL: task_type,
            SpendBy.RESOLUTION: sa.func.coalesce(orders.c.request["resolution"].as_string(), "default"),
            # Not by a path to the tag: SQLite does not find names there that its JSON writes with escapes.
            # The tags as the file has them now, for the partition that the order was made for.
            SpendBy.TAG: sa.func.coalesce(
                sa.cast(partitions.c.tags, sa.Text), sa.cast(orders.c.tags, sa.Text)
            ),
            SpendBy.RUN: orders.c.run_id,
        }
        with self._database.reading() as connection:
            money = order_money(connection)
            last_verdicts = _last_verdicts()
            sums = (
                sa.func.count(),
                _count(orders.c.state == State.STORED),
                _count(orders.c.state == State.REJECTED),
                _count(
                    sa.and_(last_verdicts.c.verdict == Verdict.ACCEPTED, partitions.c.is_draft.is_not(True))
                ),
                _count(last_verdicts.c.verdict == Verdict.DISCARDED),
                total(money.charged),
                total(sa.case((orders.c.state == State.REJECTED, money.charged), else_=0)),
                total(money.spent - money.charged),
                total(money.reserved),
            )
            on_its_video = (last_verdicts.c.order_id == orders.c.order_id) & (
                last_verdicts.c.sha256 == orders.c.sha256
            )
            made_for = orders.outerjoin(last_verdicts, on_its_video).outerjoin(
                partitions, same_partition(partitions, orders)
            )
            query = sa.select(keys[by].label("key"), *sums).select_from(made_for).group_by("key")
            if since is not None:
                query = query.where(orders.c.booked_at >= since)
            if prompt_set is not None:
                query = query.where(orders.c.prompt_set == prompt_set)
            rows = connection.execute(query).all()
        parts: defaultdict[str | None, list[Amounts]] = defaultdict(list)
        for key, *numbers in rows:
            name = json.loads(key).get(tag) if by is SpendBy.TAG else key
            parts[name].append(Amounts(*map(int, numbers)))
        names = sorted(parts, key=lambda name: (name is None, name or ""))
        return {name: Amounts.total(parts[name]) for name in names}


def per_accepted(points: int, accepted: int) -> int | None:
    """Return charges per accepted video, in points rounded to a hundredth of a cent; None without any.

    Example:
        >>> per_accepted(16_000_000, 3)
        5333000
    """
    return int(round(points / accepted, -3)) if accepted else None


def share(part: int, whole: int) -> float | None:
    """Return a part as a share of the whole; None where the whole is 0."""
    return part / whole if whole else None


def _last_verdicts() -> sa.Subquery:
    """Select the last verdict on each video of an order, whichever partition showed it."""
    newest = sa.select(sa.func.max(verdicts.c.verdict_id)).group_by(verdicts.c.order_id, verdicts.c.sha256)
    columns = (verdicts.c.order_id, verdicts.c.sha256, verdicts.c.verdict)
    return sa.select(*columns).where(verdicts.c.verdict_id.in_(newest)).subquery()


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return total(sa.case((condition, 1), else_=0))
