"""Prices by date: rows of rates, those of a team before the packaged ones; an unknown price is an error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from functools import cache
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from seedance_dagster.api.data_file import load_data_file
from seedance_dagster.api.errors import UnknownPriceError

ANY_RESOLUTION = ""
"""The resolution in the rows of a type whose price does not depend on it."""

_PACKAGED = "prices-2026-11"
_DECIMALS = Decimal("0.001")  # the vendor rounds rates with a surcharge to these
_WAIT = timedelta(days=7)
"""The time that an order may wait until it is sent: a price that begins by then could apply."""


class Formula(StrEnum):
    """A formula for the seconds that are billed: as the vendor's page says, or as later bills show."""

    OUTPUT_PLUS_INPUT = "output_plus_input"
    OUTPUT_PLUS_HALF_INPUT = "output_plus_half_input"

    def input_s(self, seconds: Decimal) -> Decimal:
        """Return the billed seconds for these seconds of input video."""
        return seconds if self is Formula.OUTPUT_PLUS_INPUT else seconds / 2


class _Dated(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    valid_from: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None

    def applies(self, at: datetime) -> bool:
        """Return True for a moment in the period; its end is excluded."""
        return (self.valid_from is None or self.valid_from <= at) and (
            self.valid_until is None or at < self.valid_until
        )


class PriceRow(_Dated):
    """One rate: the price of a second of output during a period.

    Attributes:
        promotion: A temporary lower rate, which never lowers what is reserved.
        source: The origin of the rate.
        table: The name of the packaged table, or the file and row.
    """

    type: str
    resolution: str
    usd_per_second: Decimal = Field(gt=0)
    promotion: bool = False
    source: str
    table: str = ""


class _DatedFormula(_Dated):
    formula: Formula


class _Surcharge(BaseModel):
    of: str
    percent: Decimal


class _Packaged(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    formulas: tuple[_DatedFormula, ...]
    surcharges: dict[str, _Surcharge]
    rows: tuple[PriceRow, ...]

    def all_rows(self) -> Iterator[PriceRow]:
        for row in self.rows:
            yield row.model_copy(update={"table": self.table})
            for name, surcharge in self.surcharges.items():
                if surcharge.of == row.type:
                    exact = row.usd_per_second * (100 + surcharge.percent) / 100
                    rate = exact.quantize(_DECIMALS, ROUND_HALF_UP)
                    yield row.model_copy(update={"type": name, "usd_per_second": rate, "table": self.table})


@dataclass(frozen=True)
class Price:
    """The price of a type and resolution at a moment.

    Attributes:
        current: The row that applies.
        reserved: The row with the highest rate that could apply to an order placed at that moment.
    """

    current: PriceRow
    reserved: PriceRow


class PriceTable:
    """Price rows by date.

    Args:
        rows: The first one that applies wins among list prices, and among promotions.
        formulas: How input video is billed, the newest last.
    """

    def __init__(self, rows: Iterable[PriceRow], formulas: Sequence[_DatedFormula]) -> None:
        self.rows = tuple(rows)
        self._formulas = formulas

    @classmethod
    @cache
    def load(cls) -> Self:
        """Load the packaged rows."""
        packaged = load_data_file(_Packaged, _PACKAGED)
        return cls(_promotions_first(packaged.all_rows()), packaged.formulas)

    def with_rows(self, own: Iterable[PriceRow]) -> PriceTable:
        """Return a table in which a team's rows win over these, for as long as they apply."""
        return PriceTable((*_promotions_first(own), *self.rows), self._formulas)

    def resolutions(self, task_type: str) -> tuple[str, ...]:
        """Return the resolutions of a type that have a price, whenever it applies."""
        return tuple(dict.fromkeys(row.resolution for row in self.rows if row.type == task_type))

    def price(self, task_type: str, resolution: str, *, at: datetime) -> Price:
        """Return the price of a type and resolution at a moment.

        Raises:
            UnknownPriceError: No row applies.
        """
        rows = [row for row in self.rows if (row.type, row.resolution) == (task_type, resolution)]
        current = next((row for row in rows if row.applies(at)), None)
        if current is None:
            raise UnknownPriceError(
                f"the price of {task_type} at {resolution} is not known for {at:%Y-%m-%d}; add a row to the "
                "file that SEEDANCE_PRICES names"
            )
        list_prices = [row for row in rows if not row.promotion]
        could_apply = [current]
        for moment in _changes(list_prices, at):
            could_apply += [row for row in list_prices if row.applies(moment)][:1]
        return Price(current, max(could_apply, key=lambda row: row.usd_per_second))

    def formulas(self, *, at: datetime) -> list[Formula]:
        """Return the formulas that could apply at a moment, the newest last."""
        return [row.formula for row in self._formulas if row.applies(at)]


def _promotions_first(rows: Iterable[PriceRow]) -> list[PriceRow]:
    return sorted(rows, key=lambda row: not row.promotion)


def _changes(rows: Iterable[PriceRow], at: datetime) -> Iterator[datetime]:
    """Yield a moment, and those soon after it at which another row may begin to apply."""
    yield at
    for row in rows:
        for moment in (row.valid_from, row.valid_until):
            if moment is not None and at < moment <= at + _WAIT:
                yield moment
