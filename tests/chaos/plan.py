"""The plan of a round: everything random about it, drawn from its seed alone."""

from __future__ import annotations

import random
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from chaos.boundaries import GROUPS, Kill, Life
from chaos.faults import draw_rates
from chaos.world import draw_sets, draw_settings, estimate
from seedance_dagster.engine.policy import Pacing, Policy
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.money import Window
from seedance_dagster.prompts.models import PromptSet

ROLES = ("daemon-1", "daemon-2", "command")
"""Workers besides the waiting runs; each prompt set has one waiting run."""

PERSON = "person"
"""The operator of the calm, for orders that only a person can resolve."""

_PACING = Pacing(
    take_s=0.2,
    end_check_s=0.05,
    maintenance_s=0.3,
    batch_s=0.3,
    min_poll_s=0.1,
    max_poll_s=0.5,
    failed_poll_s=0.2,
    retry_s=0.2,
    max_transfer_s=0.3,
    answer_s=1.5,
    reconcile_s=0.3,
)

_GUIDED = replace(_PACING, heavy_round_s=0.0, sweep_s=0.3, shown_running_s=0.4)
"""The waits of every other round, in which the history guides polls even of few tasks."""

_CUT_SHORT = 5  # lives of a role


@dataclass(frozen=True)
class Disturbance:
    """An incident at a time of the storm, in seconds from its start."""

    at_s: float
    kind: str
    details: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of one round.

    Attributes:
        settings: The emulator's settings.
        lasting: The emulator keeps its state on disk, so that it can be killed too.
        rates: The emulator's fault rates during the storm.
        s3_trouble: Share of S3 requests that fail during the storm.
        timeout_s: Seconds that the client waits for a reply.
        storm_s: Least length of the storm in seconds.
        storm_videos: Downloaded videos that end the storm; it does not wait for them forever.
        lives: The plans for the first lives of each role.
        runs: The roles of the waiting runs: one for each set, and perhaps a second one for the first set.
        runs_return: The runs are launched again in the calm; otherwise the daemons finish their work.
        regenerate: The runs generate again what others stored, but not what they stored themselves.
        page_size: Rows of the history on one page.
        webhook_secret: Sent with each POST, whose webhook's address carries a mark; None for no webhook.
    """

    seed: int
    database: str
    dagster: bool
    api_key: str
    settings: dict[str, Any]
    lasting: bool
    rates: dict[str, float]
    s3_trouble: float
    sets: tuple[PromptSet, ...]
    policy: Policy
    timeout_s: float
    storm_s: float
    storm_videos: int
    lives: dict[str, tuple[Life, ...]]
    runs: tuple[str, ...]
    runs_return: bool
    regenerate: bool
    page_size: int
    webhook_secret: str | None
    disturbances: tuple[Disturbance, ...]

    def set_of(self, run: str) -> PromptSet:
        """Return the prompt set of a waiting run."""
        name = run.partition("-")[2]
        return next(prompts for prompts in self.sets if prompts.name == name)

    def __str__(self) -> str:
        partitions = sum(len(prompts.partitions) for prompts in self.sets)
        more = "Dagster, " if self.dagster else "budget, " if self.policy.budgets else ""
        return f"{self.database}, {more}{partitions} partitions in {len(self.sets)} sets"


def draw(seed: int, database: str | None = None) -> Plan:
    """Draw the round of a seed; by default every third is on PostgreSQL, and every fourth has Dagster."""
    rng = random.Random(seed)
    settings = draw_settings(rng, seed)
    sets = draw_sets(rng)
    dagster = seed % 4 == 1
    budget = None if dagster or rng.random() < 0.8 else int(rng.uniform(0.4, 0.95) * estimate(sets))
    freeze_s = rng.uniform(0.3, 0.8)
    lease_s = rng.uniform(1.5, 2.5)
    work_s = 1.2 * (settings["queue_seconds"] + settings["render_seconds"])
    hidden_s = settings["history_lag_seconds"] + (0 if settings["history_lists_unfinished"] else work_s)
    # As in production, the grace is longer than any delay of the vendor.
    policy = Policy(
        attempts=2,
        budgets=() if budget is None else (Budget(window=Window.TOTAL, points=budget),),
        allow_private_hosts=True,
        preflight=False,  # its references do not exist
        submit_workers=rng.choice((1, 4)),
        poll_workers=rng.choice((2, 8)),
        collect_workers=rng.choice((1, 4)),
        max_in_flight=rng.choice((None, None, 3, 10)),
        lease_s=lease_s,
        linger_s=rng.uniform(0, 0.4),
        grace_s=hidden_s + freeze_s + 0.5,
        pacing=replace(_GUIDED if seed % 2 else _PACING, history_lag_s=settings["history_lag_seconds"] + 0.3),
    )
    storm_s = rng.uniform(2.5, 3.5) + (2 if dagster else 0)
    lasting = rng.random() < 0.3
    runs = tuple(f"run-{prompts.name}" for prompts in sets)
    if rng.random() < 0.4:
        runs += (f"again-{sets[0].name}",)
    return Plan(
        seed=seed,
        database=database or ("postgresql" if seed % 3 == 0 else "sqlite"),
        dagster=dagster,
        api_key=_secret(rng),
        settings=settings,
        lasting=lasting,
        rates=draw_rates(rng),
        s3_trouble=rng.choice((0, 0, 0.1, 0.3)),
        sets=sets,
        policy=policy,
        timeout_s=rng.uniform(0.5, 1.0),
        storm_s=storm_s,
        storm_videos=int(rng.uniform(0.4, 0.9) * sum(len(prompts.partitions) for prompts in sets)),
        lives={role: _lives(rng, role, dagster=dagster) for role in (*ROLES, *runs)},
        runs=runs,
        runs_return=rng.random() < 0.5,
        regenerate=len(runs) == len(sets) and rng.random() < 0.3,
        page_size=rng.choice((5, 100)),
        webhook_secret=_secret(rng) if rng.random() < 0.7 else None,
        disturbances=_disturbances(
            rng,
            storm_s,
            (*ROLES, *runs),
            freeze_s=freeze_s,
            lost_s=lease_s + policy.grace_s,
            lasting=lasting,
        ),
    )


def _secret(rng: random.Random) -> str:
    return "".join(rng.choices(string.ascii_letters + string.digits, k=40))


def _lives(rng: random.Random, role: str, *, dagster: bool) -> tuple[Life, ...]:
    weights = dict.fromkeys(GROUPS, 1) | {
        "place": int(role.startswith(("run", "again"))),
        # A run of Dagster is slow: the boundaries that only it passes must not be too rare.
        "event": 5 if dagster else 0,
    }
    if role == "command":
        weights = {"settle": 1}
    groups = rng.choices(list(weights), list(weights.values()), k=_CUT_SHORT)
    return tuple(_life(rng, GROUPS[group], dagster=dagster) for group in groups)


def _life(rng: random.Random, group: Sequence[str], *, dagster: bool) -> Life:
    if not dagster and rng.random() < 0.07:
        return Life(disk_bytes=rng.choice((20_000, 100_000)))
    return Life(tuple(Kill(rng.choice(group), rng.choice((1, 1, 2, 3))) for _ in range(3)))


def _disturbances(
    rng: random.Random,
    storm_s: float,
    roles: Sequence[str],
    *,
    freeze_s: float,
    lost_s: float,
    lasting: bool,
) -> tuple[Disturbance, ...]:
    kinds = Counter(
        {"kill": 3, "stop": 1, "stall": 1, "outage": 2, "freeze": 1, "lock": 1, "credits": 1, "limit": 1}
    )
    kinds["unmatched"] = kinds["charge"] = kinds["sleep"] = kinds["clock"] = 1
    kinds["restart"] = 1 if lasting else 0
    drawn = rng.choices(list(kinds), weights=list(kinds.values()), k=rng.randint(4, 9))
    details = {
        "kill": lambda: {"role": rng.choice(roles)},
        "stop": lambda: {"role": rng.choice(roles)},
        "stall": lambda: {"role": rng.choice(roles), "seconds": rng.uniform(0.3, 0.7 * lost_s)},
        # Long enough for others to reconcile and send its claims.
        "sleep": lambda: {"role": rng.choice(roles), "seconds": lost_s * rng.uniform(1.1, 1.4)},
        "clock": lambda: {
            "seconds": rng.uniform(0.5, 2.0),
            "ahead_s": rng.choice((-1, 1)) * rng.uniform(3, 12),
        },
        "outage": lambda: {
            "kind": rng.choice(("500", "html-502", "429", "hang", "drop")),
            "scope": rng.choice(("api", "post", "get", "history", "account", "files", "all")),
            "seconds": rng.uniform(0.3, 1.5),
        },
        "freeze": lambda: {"seconds": freeze_s},
        "lock": lambda: {"seconds": rng.uniform(0.3, 2.0)},
        "credits": lambda: {"seconds": rng.uniform(0.2, 0.8)},
        "limit": lambda: {"seconds": rng.uniform(0.2, 0.8), "limit": rng.choice((1, 2))},
        "charge": lambda: {"more": rng.choice((-1_000_000, -1, 500_000))},
        "unmatched": lambda: {"count": rng.randint(1, 3)},
        "restart": lambda: {"seconds": rng.uniform(0.1, 0.6)},
    }
    return tuple(
        sorted(
            (Disturbance(rng.uniform(0.1, storm_s), kind, details[kind]()) for kind in drawn),
            key=lambda disturbance: disturbance.at_s,
        )
    )
