"""The vendor's task types, their limits and prices by date: `data/task-types-2026-11.yaml`."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import BaseModel

PRICE_TABLE = "task-types-2026-11"
RATIOS = ("21:9", "16:9", "4:3", "1:1", "3:4", "9:16")
_POINTS_PER_USD = 10_000_000
_UNTIL = "until"
REMOVE_WATERMARK = "remove-watermark"
"""The type of a task that removes the watermark of a video."""
WATERMARKED = "-preview"
"""The end of task types whose videos have a watermark."""
FEWER_RESTRICTIONS = "-less-restriction"
"""The end of task types that cost more, and whose references are copied first and echoed as these copies."""


class TaskType(BaseModel):
    """One task type.

    Attributes:
        seconds: The shortest and the longest video, and the step between lengths if it is not 1.
        default: The resolution of a request that names none.
        ratios: The aspect ratios that it renders.
        most: The most references of a kind.
        codec: The codec of the delivered video.
        usd: Prices per second by resolution; the first line that has not ended applies.
    """

    seconds: tuple[int, ...]
    default: str
    ratios: tuple[str, ...] = RATIOS
    most: dict[str, int] = {}
    codec: Literal["h264", "hevc"] = "h264"
    usd: tuple[dict[str, Any], ...]

    def takes(self, seconds: int) -> bool:
        """Return True for a length that it renders."""
        shortest, longest, *step = self.seconds
        return seconds in range(shortest, longest + 1, *step)

    def usd_per_second(self, resolution: str, at: datetime) -> Decimal:
        """Return the price of a second of output."""
        line = next(line for line in self.usd if _UNTIL not in line or at < line[_UNTIL])
        return Decimal(str(line[resolution]))

    def resolution(self, wanted: Any) -> str:
        """Return the resolution to render: the default where the wanted one is unknown."""
        known = self.usd[-1]
        return wanted if isinstance(wanted, str) and wanted in known else self.default


@cache
def task_types() -> dict[str, TaskType]:
    """Return all types by name."""
    facts = _facts()
    named = {name: TaskType.model_validate(entry) for name, entry in facts["types"].items()}
    return named | {name + FEWER_RESTRICTIONS: named[name] for name in facts["less_restriction"]["of"]}


def price(
    task_type: str, resolution: str, *, at: datetime, output_s: int, input_s: Decimal = Decimal(0)
) -> int:
    """Return the points for a task that is made at a time.

    Raises:
        KeyError: There is no such type.
    """
    facts, rate = _facts(), task_types()[task_type].usd_per_second(resolution, at)
    if task_type.endswith(FEWER_RESTRICTIONS):
        factor = Decimal(str(facts["less_restriction"]["factor"]))
        rate = (rate * factor).quantize(Decimal("0.001"), ROUND_HALF_UP)
    billed = input_s / 2 if at >= facts["half_input_since"] else input_s
    return int((rate * _POINTS_PER_USD * (billed + output_s)).to_integral_value(ROUND_HALF_UP))


@cache
def _facts() -> dict[str, Any]:
    text = files("seedance_dagster.emulator").joinpath("data", f"{PRICE_TABLE}.yaml").read_text("utf-8")
    facts: dict[str, Any] = yaml.safe_load(text)
    return facts
