"""Price estimates in integer points, from dated price tables; an unknown price is an error."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from seedance_dagster.api.errors import UnknownPriceError
from seedance_dagster.api.limits import Limits, load_data_file
from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.money import POINTS_PER_USD

DEFAULT_TABLE = "goapi-2026-04"


class Formula(StrEnum):
    """The share of input video seconds that is billed: as the vendor's page says, or as later bills show."""

    OUTPUT_PLUS_INPUT = "output_plus_input"
    OUTPUT_PLUS_HALF_INPUT = "output_plus_half_input"


@dataclass(frozen=True)
class Estimate:
    """The estimated price of a request.

    Attributes:
        points: Rounded up to a whole point.
        table: The price table's name.
        formula: The calculation in numbers, for people.
        exact: False when the length of input videos is unknown and the vendor's maximum was used.
    """

    points: int
    table: str
    formula: str
    exact: bool


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    formula: Formula
    default_resolution: str
    usd_per_second: dict[str, dict[str, Annotated[Decimal, Field(gt=0)]]]


class PriceTable:
    """A dated price table.

    Example:
        >>> PriceTable.load().task_types
        ('seedance-2', 'seedance-2-fast')
    """

    def __init__(self, table: _Table, *, max_input_video_s: float) -> None:
        self._table = table
        self._max_input_video_s = Decimal(str(max_input_video_s))

    @classmethod
    def load(cls, path: Path | None = None, *, table: str = DEFAULT_TABLE) -> Self:
        """Load a packaged table by its name, or a file of the same form.

        Raises:
            UnknownPriceError: The table does not exist or cannot be read.
        """
        try:
            parsed = load_data_file(_Table, table, path)
        except ValueError as error:
            raise UnknownPriceError(f"the price table {error}") from None
        return cls(parsed, max_input_video_s=Limits.load().max_input_video_s)

    @property
    def task_types(self) -> tuple[str, ...]:
        """The task types that have a price."""
        return tuple(self._table.usd_per_second)

    def estimate(self, request: GenerationRequest, *, input_video_s: float | None = None) -> Estimate:
        """Estimate the price of a request.

        Args:
            request: A validated request.
            input_video_s: Seconds of all its input videos. When unknown (None), the vendor's maximum is
                used, so that the estimate is an upper bound.

        Raises:
            UnknownPriceError: The table has no price for the task type and resolution, or `input_video_s`
                is not a length.
        """
        by_resolution = self._table.usd_per_second.get(request.task_type)
        if by_resolution is None:
            raise UnknownPriceError(
                f"the price of task type {request.task_type!r} is not in {self._table.table}; "
                f"known: {', '.join(self.task_types)}"
            )
        resolution = request.resolution or self._table.default_resolution
        unit = by_resolution.get(resolution)
        if unit is None:
            raise UnknownPriceError(
                f"the price of {request.task_type} at {resolution} is not in {self._table.table}; "
                f"known: {', '.join(by_resolution)}"
            )
        if input_video_s is not None and not 0 <= input_video_s < float("inf"):
            raise UnknownPriceError(
                f"the length of the input videos is {input_video_s} s; it must be 0 or more"
            )
        exact = not request.video_urls or input_video_s is not None
        seconds = Decimal(0)
        if request.video_urls:
            seconds = self._max_input_video_s if input_video_s is None else Decimal(str(input_video_s))
        counted = seconds / 2 if self._table.formula is Formula.OUTPUT_PLUS_HALF_INPUT else seconds
        points = unit * POINTS_PER_USD * (request.duration + counted)
        formula = f"{unit} USD/s x ({request.duration} s output"
        formula += f" + {counted.normalize():f} s input)" if request.video_urls else ")"
        return Estimate(
            int(points.to_integral_value(rounding=ROUND_CEILING)), self._table.table, formula, exact
        )
