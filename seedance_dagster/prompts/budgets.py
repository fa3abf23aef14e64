"""The windows of time that a budget may be for."""

from __future__ import annotations

from enum import StrEnum


class Window(StrEnum):
    """A UTC day, a UTC month, or all time."""

    DAY = "day"
    MONTH = "month"
    TOTAL = "total"
