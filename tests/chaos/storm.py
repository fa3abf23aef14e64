"""The storm: workers that are killed and started again, and incidents around them."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaos.boundaries import UNHARMED
from chaos.crew import CRASHED, Crew, fork
from chaos.pace import turn_clock
from chaos.plan import ROLES, Disturbance, Plan
from chaos.programs import EmulatorProcess, hold_the_ledger

_OUT_OF_BAND = {
    "prompt": "a prompt of another program",
    "mode": "text_to_video",
    "duration": 4,
    "aspect_ratio": "1:1",
}
_LONGEST = 4  # times the planned length


class Storm:
    """The storm of one round.

    Attributes:
        disturbed: The number of incidents by kind.
        crashes: The roles of processes that ended by an exception.
    """

    def __init__(
        self, plan: Plan, crew: Crew, emulator: EmulatorProcess, ledger_url: str, log: Path, clock: Path
    ) -> None:
        self._plan = plan
        self._crew = crew
        self._emulator = emulator
        self._ledger_url = ledger_url
        self._log = log
        self._clock = clock
        self._rng = random.Random(plan.seed)
        self._lives: Counter[str] = Counter()
        self._later: list[tuple[float, Callable[[], object]]] = []
        self._resting: dict[str, float] = {}
        self.disturbed: Counter[str] = Counter()
        self.crashes: list[str] = []
        self.down = False

    def run(self) -> None:
        """Run the storm, then make the emulator behave again."""
        self._emulator.control("faults", **self._plan.rates)
        for role in (*ROLES, *self._plan.runs):
            self._start(role)
        began = time.monotonic()
        coming = list(self._plan.disturbances)
        while (now := time.monotonic() - began) < self._plan.storm_s or self._later or self._young(now):
            while coming and coming[0].at_s <= now:
                self._disturb(coming.pop(0), now)
            for at_s, act in [later for later in self._later if later[0] <= now]:
                self._later.remove((at_s, act))
                act()
            self._restart(now)
            time.sleep(0.01)
        self._emulator.control("faults")
        self._emulator.control("outage", seconds=0)

    def _young(self, now: float) -> bool:
        """Return True while too little has happened yet; a slow machine gets more time."""
        if now > _LONGEST * self._plan.storm_s or self.down:
            return False
        return self._emulator.books()["summary"]["videos_downloaded"] < self._plan.storm_videos

    def _start(self, role: str) -> None:
        lives = self._plan.lives[role]
        number = self._lives[role]
        self._lives[role] += 1
        self._crew.start(role, lives[number] if number < len(lives) else UNHARMED)

    def _restart(self, now: float) -> None:
        for end in self._crew.reap():
            if end.status == CRASHED:
                self.crashes.append(end.role)
            # A waiting run that succeeded is launched again too: Dagster may run anything twice.
            self._resting[end.role] = now + self._rng.uniform(0, 0.3)
        for role, at_s in list(self._resting.items()):
            if at_s <= now:
                del self._resting[role]
                self._start(role)

    def _disturb(self, disturbance: Disturbance, now: float) -> None:
        details = disturbance.details
        act: dict[str, Callable[[], bool]] = {
            "kill": lambda: self._crew.signal(details["role"], signal.SIGKILL),
            "stop": lambda: self._crew.signal(details["role"], signal.SIGTERM),
            "stall": lambda: self._stall(details["role"], now + details["seconds"]),
            "sleep": lambda: self._stall(details["role"], now + details["seconds"]),
            "clock": lambda: self._turn_clock(details["ahead_s"], now + details["seconds"]),
            "outage": lambda: self._control("outage", **details),
            "freeze": lambda: self._freeze(now + details["seconds"]),
            "restart": lambda: self._take_down(now + details["seconds"]),
            "lock": lambda: self._lock(details["seconds"]),
            "credits": lambda: self._empty_the_account(now + details["seconds"]),
            "limit": lambda: self._set(
                now + details["seconds"],
                {"plan_limit": details["limit"]},
                {"plan_limit": self._plan.settings["plan_limit"]},
            ),
            "charge": lambda: self._charge_otherwise(details["more"]),
            "unmatched": lambda: self._create_out_of_band(details["count"]),
        }
        self.disturbed[disturbance.kind] += act[disturbance.kind]()

    def _control(self, path: str, **body: Any) -> bool:
        if self.down:
            return False
        self._emulator.control(path, **body)
        return True

    def _stall(self, role: str, until: float) -> bool:
        worker = self._crew.living.get(role)
        if worker is None:
            return False
        self._crew.signal(role, signal.SIGSTOP)

        def go_on() -> None:
            if self._crew.living.get(role) == worker:
                self._crew.signal(role, signal.SIGCONT)

        self._later.append((until, go_on))
        return True

    def _turn_clock(self, ahead_s: float, until: float) -> bool:
        """Set the wall clock of all workers ahead, and right again later."""
        turn_clock(self._clock, ahead_s)
        self._later.append((until, lambda: turn_clock(self._clock, 0.0)))
        return True

    def _freeze(self, until: float) -> bool:
        if self.down:
            return False
        self.down = True
        self._emulator.freeze()

        def thaw() -> None:
            self._emulator.thaw()
            self.down = False

        self._later.append((until, thaw))
        return True

    def _take_down(self, until: float) -> bool:
        if self.down:
            return False
        self.down = True
        self._emulator.kill()

        def bring_back() -> None:
            self._emulator.start()
            self._emulator.control("faults", **self._plan.rates)
            self.down = False

        self._later.append((until, bring_back))
        return True

    def _lock(self, seconds: float) -> bool:
        fork(self._log, lambda: hold_the_ledger(self._ledger_url, seconds))
        return True

    def _empty_the_account(self, until: float) -> bool:
        if self.down:
            return False
        taken = self._points_left()
        self._emulator.control("settings", points=0)

        def refill() -> None:
            if self.down:
                self._later.append((until + 1, refill))
            else:
                self._emulator.control("settings", points=taken + self._points_left())

        self._later.append((until, refill))
        return True

    def _points_left(self) -> int:
        return int(self._emulator.books()["summary"]["points_left"])

    def _set(self, until: float, now: dict[str, Any], later: dict[str, Any]) -> bool:
        if not self._control("settings", **now):
            return False

        def undo() -> None:
            if not self._control("settings", **later):
                self._later.append((until + 1, undo))

        self._later.append((until, undo))
        return True

    def _charge_otherwise(self, more: int) -> bool:
        """Make the vendor charge another price for a task that has just been made."""
        if self.down:
            return False
        young = [task for task in self._emulator.books()["tasks"] if task["state"] == "pending"]
        if not young:
            return False
        task = young[-1]
        points = max(0, task["points_price"] + more)
        self._emulator.control("charge", task_id=task["task_id"], points=points)
        return True

    def _create_out_of_band(self, count: int) -> bool:
        if self.down:
            return False
        for _ in range(count):
            # May be refused like any other POST, for the plan limit or for missing credits.
            self._emulator.create_out_of_band(_OUT_OF_BAND)
        return True
