"""The faults that can be injected, by a marker in the prompt or at a rate.

A marker is `[fault:lost-reply]`, or `[fault:vendor-trouble*1]` with a count.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping

from seedance_dagster.emulator.fault_table import FAULTS, Stage

_MARKER = re.compile(r"\[fault:\s*([a-z0-9-]+)\s*(?:\*\s*(\d{1,6})\s*)?\]")


class UnknownFaultError(ValueError):
    """A fault is unknown, or its rate invalid; the message says what is allowed."""


def markers_of(prompt: str) -> dict[str, int | None]:
    """Return the faults that a prompt asks for, each with its count (None: every time).

    Raises:
        UnknownFaultError: A name is not a fault.
    """
    markers: dict[str, int | None] = {}
    for name, digits in _MARKER.findall(prompt):
        _check_name(name)
        markers[name] = int(digits) if digits else FAULTS[name].count
    return markers


class FaultInjector:
    """The choice of faults to inject, from the markers of a prompt and the rates in force."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.rates: dict[str, float] = {}
        self.fired: Counter[str] = Counter()

    def set_rates(self, rates: Mapping[str, object]) -> None:
        """Replace the rates in force, each a probability per event of the fault's stage.

        Raises:
            UnknownFaultError: A name is unknown, or a rate is not from 0 to 1.
        """
        validated: dict[str, float] = {}
        for name, rate in rates.items():
            _check_name(name)
            if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
                raise UnknownFaultError(f"the rate of {name} is {rate!r}; allowed are numbers from 0 to 1")
            validated[name] = float(rate)
        self.rates = validated

    def inject(
        self, stage: Stage, markers: Mapping[str, int | None], *, earlier: int
    ) -> dict[str, int | None]:
        """Return the faults of a stage to inject now, with their counts.

        Args:
            stage: The stage of the present event.
            markers: The markers of the prompt.
            earlier: Number of earlier events of this stage for the prompt or task.
        """
        injected: dict[str, int | None] = {}
        for name, fault in FAULTS.items():
            if fault.stage is not stage:
                continue
            marked = name in markers and (
                fault.counts_gets or markers[name] is None or earlier < (markers[name] or 0)
            )
            if marked or self._drawn(name):
                injected[name] = markers.get(name, fault.count)
                self.fired[name] += 1
        return injected

    def first(self, stage: Stage, markers: Mapping[str, int | None], *, earlier: int) -> str | None:
        """Return the single fault of a stage to inject now, if any."""
        injected = self.inject(stage, markers, earlier=earlier)
        for extra in list(injected)[1:]:
            self.fired[extra] -= 1
        return next(iter(injected), None)

    def _drawn(self, name: str) -> bool:
        rate = self.rates.get(name, 0.0)
        return rate > 0 and self._rng.random() < rate


def _check_name(name: str) -> None:
    if name not in FAULTS:
        raise UnknownFaultError(f"{name!r} is not a fault; known are {', '.join(FAULTS)}")
