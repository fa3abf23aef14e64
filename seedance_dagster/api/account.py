"""The account as the vendor reports it: its plan, its balance and its limit of tasks at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal, InvalidOperation
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from seedance_dagster.api.shapes import names_in
from seedance_dagster.api.values import as_mapping, whole_number
from seedance_dagster.money import POINTS_PER_USD

_POINTS_PER_CREDIT = 20_000  # 500 credits are 1 USD (vendor's facts, "Account")
_ROUNDING = 100_000  # a cent: of amounts that differ by less, one in points is more exact
_MOST_POINTS = 10**15
_NUMBER = re.compile(
    r"(?<![0-9.,])-?(?:[0-9]{1,3}(?:[, '][0-9]{3})+|[0-9]+)(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?(?![0-9.,])",
    re.IGNORECASE,
)
"""A number in a text; "20,50" is none, since a comma may stand for a decimal point or for thousands."""


class AccountInfo(BaseModel):
    """The account, which comes in two shapes, possibly both at once, so that any field may be missing.

    Attributes:
        plan: The plan's name.
        points_remaining: Balance in points: the largest of the amounts that the vendor reports, since a
            wallet of 0 beside a full pack of credits is usual.
        balance_source: The field that the balance was taken from.
        max_concurrent_tasks: Number of tasks that may be active at once.
        names: The names in the vendor's answer, for a message.
    """

    model_config = ConfigDict(frozen=True)

    plan: str | None
    points_remaining: int | None
    balance_source: str | None
    max_concurrent_tasks: int | None
    names: str = Field(default="nothing", exclude=True)

    @classmethod
    def parse(cls, data: object) -> AccountInfo:
        """Parse the `data` of an account's envelope."""
        fields = as_mapping(data)
        balances = {name: points for name, points in _balances(fields).items() if points is not None}
        largest = max(balances.values(), default=0)
        source = next((name for name, points in balances.items() if points >= largest - _ROUNDING), None)
        limit = whole_number(fields.get("max_concurrent_task_count"))
        plan = fields.get("plan")
        return cls(
            plan=(str(plan).strip()[:100] or None) if isinstance(plan, str | int) else None,
            points_remaining=None if source is None else balances[source],
            balance_source=source,
            max_concurrent_tasks=limit if limit and limit > 0 else None,
            names=names_in(data),
        )


def _balances(fields: Mapping[str, Any]) -> dict[str, int | None]:
    """Return the balance in points by the field that reports it, the most exact field first."""
    quota = as_mapping(fields.get("quota"))
    points = _sum(fields.get("wallet"), "point_remain", 1)
    packs = _sum(fields.get("credit_pack_info"), "available_credits", _POINTS_PER_CREDIT)
    if points == 0 and packs is None and fields.get("credit_pack_info"):
        points = None  # there is a pack, and an empty wallet says nothing about it
    return {
        "wallet.point_remain": points,
        "equivalent_in_usd": _points(fields.get("equivalent_in_usd"), POINTS_PER_USD),
        "quota.equivalent_in_usd": _points(quota.get("equivalent_in_usd"), POINTS_PER_USD),
        "credit_pack_info.available_credits": packs,
    }


def _sum(info: object, name: str, points_each: int) -> int | None:
    """Return an amount of one wallet or pack, or of a list of them, in points; None where one states none."""
    entries = info if isinstance(info, list) else [info]
    amounts = [_points(as_mapping(entry).get(name), points_each) for entry in entries]
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known and len(known) == len(amounts) else None


def _points(value: object, points_each: int) -> int | None:
    """Return an amount, a number or a text such as "$1,234.56", in points."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    number = _NUMBER.search(str(value)[:40])
    try:
        amount = Decimal(re.sub("[, ']", "", number.group() if number else ""))
        points = int((amount * points_each).to_integral_value(rounding=ROUND_FLOOR))
    except (InvalidOperation, ValueError, OverflowError):
        return None
    return points if 0 <= points <= _MOST_POINTS else None
