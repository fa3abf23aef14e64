"""The catalog: task types with their limits and prices, and estimates in points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from functools import cache, cached_property
from typing import Self

from seedance_dagster.api.errors import UnknownPriceError
from seedance_dagster.api.limits import Limits, TaskType
from seedance_dagster.api.prices import ANY_RESOLUTION, PriceRow, PriceTable
from seedance_dagster.api.wire import REMOVE_WATERMARK, GenerationRequest
from seedance_dagster.money import POINTS_PER_USD


@dataclass(frozen=True)
class Estimate:
    """The price of a request, in whole points, rounded up.

    Attributes:
        points: The cost by the price that applies now.
        reserved_points: The cost by the highest price that could apply: promotions do not count.
        table: The origin of the price: a packaged table, or a team's file and row.
        formula: The calculation of `points` in numbers, for people.
        exact: False when the length of input videos is unknown and the vendor's maximum was used.
    """

    points: int
    reserved_points: int
    table: str
    formula: str
    exact: bool

    def __add__(self, other: Estimate) -> Estimate:
        """Return the price of two requests together."""
        return Estimate(
            points=self.points + other.points,
            reserved_points=self.reserved_points + other.reserved_points,
            table="; ".join(dict.fromkeys((self.table, other.table))),
            formula=f"{self.formula} + {other.formula}",
            exact=self.exact and other.exact,
        )


NO_REMOVAL_PRICE = (
    f"needs the price of {REMOVE_WATERMARK}, which the vendor does not publish: add a row such as "
    f"{{type: {REMOVE_WATERMARK}, usd_per_second: 0.02}} to `prices` in the file that SEEDANCE_PRICES names"
)
"""Why the watermark of a video cannot be removed without a team's own price, and what to do."""


@dataclass(frozen=True)
class Catalog:
    """The task types that can be ordered, with limits and prices."""

    limits: Limits
    prices: PriceTable

    @classmethod
    @cache
    def load(cls) -> Self:
        """Load the packaged catalog.

        Example:
            >>> Catalog.load().task_types[:2]
            ('seedance-2', 'seedance-2-less-restriction')
        """
        return cls(Limits.load(), PriceTable.load())

    def extended(self, types: Mapping[str, TaskType], rows: Iterable[PriceRow]) -> Self:
        """Return a catalog in which a team's types and price rows win over these."""
        limits = self.limits.model_copy(update={"types": {**self.limits.types, **types}})
        return replace(self, limits=limits, prices=self.prices.with_rows(rows))

    @cached_property
    def task_types(self) -> tuple[str, ...]:
        """The types that can be ordered: their limits and a price are known."""
        return tuple(name for name in self.limits.types if self.resolutions(name))

    @property
    def priced_types(self) -> tuple[str, ...]:
        """The types that can be ordered, and the removal of watermarks where its price is known."""
        return (*self.task_types, *((REMOVE_WATERMARK,) if self.can_remove_watermarks else ()))

    def resolutions(self, task_type: str) -> tuple[str, ...]:
        """Return the resolutions at which a type can be ordered."""
        return self._resolutions.get(task_type, ())

    @cached_property
    def _resolutions(self) -> dict[str, tuple[str, ...]]:
        """The resolutions of each type that have limits and a price."""
        removal = self.prices.resolutions(REMOVE_WATERMARK)
        priced = {name: self.prices.resolutions(name) for name in self.limits.types}
        return {REMOVE_WATERMARK: removal} | {
            name: tuple(word for word in limits.resolutions if word in priced[name])
            for name, limits in self.limits.types.items()
        }

    def estimate(
        self, request: GenerationRequest, *, at: datetime, input_video_s: float | None = None
    ) -> Estimate:
        """Estimate the price of a request.

        Args:
            request: A validated request.
            at: When it is ordered.
            input_video_s: Seconds of all its input videos. When unknown (None), the vendor's maximum is
                used, so that the estimate is an upper bound.

        Raises:
            UnknownPriceError: There is no price for the task type and resolution, or `input_video_s` is
                not a length.
        """
        resolution = request.resolution or self.limits.resolution_of(request.task_type)
        if resolution not in self.resolutions(request.task_type):
            raise UnknownPriceError(self._unknown(request.task_type, resolution))
        if input_video_s is not None and not 0 <= input_video_s < float("inf"):
            raise UnknownPriceError(
                f"the length of the input videos is {input_video_s} s; it must be 0 or more"
            )
        price = self.prices.price(request.task_type, resolution, at=at)
        formulas = self.prices.formulas(at=at)
        seconds = Decimal(0)
        if request.video_urls:
            longest = self.limits.max_input_video_s
            seconds = Decimal(str(longest if input_video_s is None else input_video_s))
        most = max(formula.input_s(seconds) for formula in formulas)
        now = formulas[-1].input_s(seconds)
        return Estimate(
            points=_points(price.current, request.duration + now),
            reserved_points=_points(price.reserved, request.duration + most),
            table=price.current.table,
            formula=_calculation(price.current, request, now),
            exact=not request.video_urls or input_video_s is not None,
        )

    @property
    def can_remove_watermarks(self) -> bool:
        """True where a team has set a price for it."""
        return bool(self.prices.resolutions(REMOVE_WATERMARK))

    def estimate_removal(self, request: GenerationRequest, *, at: datetime) -> Estimate:
        """Estimate the price of taking the watermark off a request's video, ordered at a time.

        Raises:
            UnknownPriceError: There is no price for it.
        """
        try:
            price = self.prices.price(REMOVE_WATERMARK, ANY_RESOLUTION, at=at)
        except UnknownPriceError:
            raise UnknownPriceError(f"remove_watermark {NO_REMOVAL_PRICE}") from None
        seconds = Decimal(request.duration)
        return Estimate(
            points=_points(price.current, seconds),
            reserved_points=_points(price.reserved, seconds),
            table=price.current.table,
            formula=f"{price.current.usd_per_second} USD/s x {request.duration} s without watermark",
            exact=True,
        )

    def _unknown(self, task_type: str, resolution: str | None) -> str:
        known = self.resolutions(task_type)
        if known:
            return f"the price of {task_type} at {resolution} is not known; known: {', '.join(known)}"
        return f"the price of task type {task_type!r} is not known; known: {', '.join(self.task_types)}"


def _points(row: PriceRow, seconds: Decimal) -> int:
    points = row.usd_per_second * POINTS_PER_USD * seconds
    return int(points.to_integral_value(rounding=ROUND_CEILING))


def _calculation(row: PriceRow, request: GenerationRequest, input_s: Decimal) -> str:
    text = f"{row.usd_per_second} USD/s x ({request.duration} s output"
    return text + (f" + {input_s.normalize():f} s input)" if request.video_urls else ")")
