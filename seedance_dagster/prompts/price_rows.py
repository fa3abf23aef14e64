"""The rows of a price file, checked one by one and for gaps and overlaps between their dates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from seedance_dagster.api.limits import TaskType
from seedance_dagster.api.prices import ANY_RESOLUTION, PriceRow
from seedance_dagster.api.wire import REMOVE_WATERMARK
from seedance_dagster.prompts.problems import kind_of, shown

_REQUIRED = ("type", "resolution", "usd_per_second")
_FIELDS = (*_REQUIRED, "valid_from", "valid_until", "promotion")
_MOST_USD = 1000
_FIRST_YEAR, _LAST_YEAR = 1000, 9000
_DATES = "2026-04-06 (00:00 UTC), and times with a zone such as 2026-04-06T06:00Z"
_ALWAYS, _FOR_EVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
Report = Callable[..., None]
"""`report(field, message, place=None)`."""


def read_rows(
    entries: Sequence[Any], types: Mapping[str, TaskType], file: str, report: Report
) -> list[PriceRow]:
    """Return the rows that can be read, in their order, and report all problems.

    Args:
        entries: The rows as parsed.
        types: The task types that a row may be for.
        file: The file's name, for the origin of each price.
        report: Called for each problem.
    """
    rows = []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, Mapping):
            report(None, f"must be a mapping, not {kind_of(entry)}", f"row {number}")
            continue
        row = _Row(entry, number, types, report).read(file)
        if row is not None:
            rows.append((number, row))
    _check_dates(rows, report)
    return [row for _, row in rows]


class _Row:
    """One row and its problems."""

    def __init__(
        self, entry: Mapping[Any, Any], number: int, types: Mapping[str, TaskType], report: Report
    ) -> None:
        self._entry, self._types, self._report = entry, types, report
        self._number, self._place = number, row_place(number, entry.get("type"))
        self._wrong = 0

    def read(self, file: str) -> PriceRow | None:
        """Return the row; None when a problem was reported."""
        for name in self._entry:
            if name not in _FIELDS:
                self._add(str(name), f"is not a field; fields are {', '.join(_FIELDS)}")
        task_type = self._word("type", (*self._types, REMOVE_WATERMARK))
        for name in _REQUIRED:
            if self._entry.get(name) is None and (task_type, name) != (REMOVE_WATERMARK, "resolution"):
                self._add(name, "is missing")
        resolution = self._resolution(task_type)
        rate = self._rate()
        valid_from, valid_until = self._date("valid_from"), self._date("valid_until")
        if valid_from and valid_until and valid_until <= valid_from:
            self._add("valid_until", f"is {shown(self._entry['valid_until'])}, not after valid_from")
        promotion = self._entry.get("promotion", False)
        if not isinstance(promotion, bool):
            self._add("promotion", f"is {shown(promotion)}; allowed are true and false")
        if self._wrong or task_type is None or resolution is None or rate is None:
            return None
        return PriceRow(
            type=task_type,
            resolution=resolution,
            usd_per_second=rate,
            valid_from=valid_from,
            valid_until=valid_until,
            promotion=promotion,
            source="SEEDANCE_PRICES",
            table=f"{file}, row {self._number}",
        )

    def _add(self, field: str, message: str) -> None:
        self._wrong += 1
        self._report(field, message, self._place)

    def _word(self, name: str, allowed: tuple[str, ...]) -> str | None:
        value = self._entry.get(name)
        word = next((word for word in allowed if word == value), None)
        if value is not None and word is None:
            more = "; a new one needs an entry in types" if name == "type" else ""
            self._add(name, f"is {shown(value)}; allowed are {', '.join(allowed)}{more}")
        return word

    def _resolution(self, task_type: str | None) -> str | None:
        if task_type == REMOVE_WATERMARK:
            if self._entry.get("resolution") is not None:
                self._add("resolution", f"cannot be set: {REMOVE_WATERMARK} has one price for all")
            return ANY_RESOLUTION
        return self._word("resolution", self._types[task_type].resolutions) if task_type else None

    def _rate(self) -> Decimal | None:
        value = self._entry.get("usd_per_second")
        if value is None:
            return None
        try:
            rate = Decimal(str(value)) if isinstance(value, int | float | str) else Decimal("NaN")
        except InvalidOperation:
            rate = Decimal("NaN")
        if isinstance(value, bool) or not rate.is_finite() or not 0 < rate <= _MOST_USD:
            self._add("usd_per_second", f"is {shown(value)}; allowed are numbers above 0, up to {_MOST_USD}")
            return None
        return rate

    def _date(self, name: str) -> datetime | None:
        value = self._entry.get(name)
        if value is None:
            return None
        try:
            at = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            at = None
        if at is not None and at.tzinfo is None and len(str(value)) == len("2026-04-06"):
            at = at.replace(tzinfo=UTC)
        if at is None or at.tzinfo is None or not _FIRST_YEAR < at.year < _LAST_YEAR:
            self._add(name, f"is {shown(value)}; allowed are dates such as {_DATES}")
            return None
        return at.astimezone(UTC)


def row_place(number: int, task_type: Any) -> str:
    """Return the name of a row for messages."""
    return f"row {number} ({task_type})" if isinstance(task_type, str) else f"row {number}"


def _check_dates(rows: Sequence[tuple[int, PriceRow]], report: Report) -> None:
    """Report rows for the same price that overlap, and gaps between list prices."""
    prices: dict[tuple[str, str, bool], list[tuple[int, PriceRow]]] = {}
    for number, row in rows:
        prices.setdefault((row.type, row.resolution, row.promotion), []).append((number, row))
    for group in prices.values():
        group.sort(key=lambda item: (item[1].valid_from or _ALWAYS, item[0]))
        previous, end = group[0][0], group[0][1].valid_until or _FOR_EVER
        for number, later in group[1:]:
            start = later.valid_from or _ALWAYS
            place = row_place(number, later.type)
            if start < end:
                report("valid_from", f"begins before row {previous} ends, for the same price", place)
            elif start > end and not later.promotion:
                report(
                    "valid_from",
                    f"leaves a gap: row {previous} ends at {_moment(end)}, this one begins at "
                    f"{_moment(start)}",
                    place,
                )
            if (later.valid_until or _FOR_EVER) > end:
                previous, end = number, later.valid_until or _FOR_EVER


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
