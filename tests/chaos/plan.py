"""The plan of a round: everything random about it, drawn from its seed alone."""

from __future__ import annotations

import random
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from chaos.boundaries import GROUPS, Kill, Life
from seedance_dagster.api.catalog import Catalog
from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.engine.policy import Pacing, Policy
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.money import Window
from seedance_dagster.prompts.models import Prompt, PromptSet

ROLES = ("daemon-1", "daemon-2", "command")
"""Workers beside the waiting runs, of which each prompt set has one."""

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

# Probabilities per event: most work still ends within the storm's few seconds.
_RATES = {
    **dict.fromkeys(("500-before", "429", "reset-before", "hang-before"), 0.15),
    **dict.fromkeys(("lost-reply", "cut-reply", "hang", "500-after", "500-with-task", "garbage-reply"), 0.15),
    **dict.fromkeys(("moderation", "moderation-early", "real-person"), 0.06),
    "vendor-trouble": 0.15,
    **dict.fromkeys(("odd-status", "late-url", "url-while-pending"), 0.3),
    "missing-url": 0.04,
    **dict.fromkeys(("get-500", "get-429", "get-drop", "get-hang"), 0.15),
    "history-500": 0.4,
    "expired": 0.3,
    **dict.fromkeys(("truncated", "garbage", "html", "empty", "wrong-length"), 0.2),
    **dict.fromkeys(("redirect", "redirect-loop", "redirect-file", "download-500", "slow"), 0.2),
    **dict.fromkeys(("endless", "redirect-private"), 0.1),
}
_CUT_SHORT = 5  # lives of a role
_MARKERS = (
    *("lost-reply*1", "cut-reply*2", "hang*1", "500-after*1", "500-with-task*1", "garbage-reply*1"),
    *("500-before*1", "reset-before*2", "hang-before*1", "429*1"),
    *("vendor-trouble*1", "vendor-trouble", "moderation", "moderation-early", "real-person"),
    *("odd-status", "late-url*3", "url-while-pending", "missing-url"),
    *("get-500*2", "get-429*1", "get-drop*3", "get-hang*1"),
    *("expired*2", "truncated*1", "garbage*2", "html*1", "empty*1", "wrong-length*2", "endless*1"),
    *("redirect", "redirect-loop*1", "redirect-file*1", "redirect-private*1", "download-500*2", "slow"),
    "garbage",
)
BROKEN_FOR_EVER = ("[fault:garbage]",)
"""In the text of a prompt whose file the vendor never delivers whole."""


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
    settings = _settings(rng, seed)
    sets = _sets(rng)
    dagster = seed % 4 == 1
    budget = None if dagster or rng.random() < 0.8 else int(rng.uniform(0.4, 0.95) * _estimate(sets))
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
        pacing=replace(_PACING, history_lag_s=settings["history_lag_seconds"] + 0.3),
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
        api_key="".join(rng.choices(string.ascii_letters + string.digits, k=40)),
        settings=settings,
        lasting=lasting,
        rates={
            name: round(_RATES[name] * rng.uniform(0.3, 1), 3)
            for name in rng.sample(sorted(_RATES), rng.randint(0, 12))
        },
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
        disturbances=_disturbances(
            rng,
            storm_s,
            (*ROLES, *runs),
            freeze_s=freeze_s,
            lost_s=lease_s + policy.grace_s,
            lasting=lasting,
        ),
    )


def _settings(rng: random.Random, seed: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "plan_limit": rng.choice((2, 4, 8, 20, 100)),
        "queue_seconds": rng.uniform(0, 0.3),
        "render_seconds": rng.uniform(0, 0.5),
        "account_shape": rng.choice(("wallet", "credit_pack")),
        "penalties": rng.random() < 0.8,
        "frozen_after_completion": rng.choice(("zero", "consume")),
        "echo_input": rng.choice(("as_sent", "as_rendered")),
        "credits_status": rng.choice((402, 400, 403, 429)),
        "plan_limit_status": rng.choice((429, 400, 402)),
        "errors_in_200": rng.random() < 0.3,
        "history_lag_seconds": rng.choice((0, rng.uniform(0, 1))),
        "history_lists_unfinished": rng.random() < 0.8,
        "link_seconds": rng.choice((86_400, 0.5)),
        "dead_link": rng.choice(("html", "empty", "404")),
        "slow_seconds": 0.4,
        "video_bytes_at_least": rng.choice((0, 0, 0, 1_500_000)),
    }


def _sets(rng: random.Random) -> tuple[PromptSet, ...]:
    count = rng.randint(1, 3)
    total = rng.randint(5, 30)
    ordinary = [f"prompt {number}" for number in range(total)]
    texts = [f"{text} [fault:{rng.choice(_MARKERS)}]" if rng.random() < 0.3 else text for text in ordinary]
    for _ in range(rng.randint(0, 3)):
        texts[rng.randrange(total)] = rng.choice(texts)
    return tuple(
        PromptSet(
            name=f"set{number}",
            prompts=tuple(
                Prompt(id=f"p{position}", request=_request(rng, text), takes=2 if rng.random() < 0.08 else 1)
                for position, text in enumerate(texts[number::count])
            ),
        )
        for number in range(count)
    )


def _estimate(sets: Sequence[PromptSet]) -> int:
    catalog, now = Catalog.load(), datetime.now(UTC)
    return sum(
        catalog.estimate(partition.request, at=now).reserved_points
        for prompts in sets
        for partition in prompts.partitions.values()
    )


def _request(rng: random.Random, text: str) -> GenerationRequest:
    # Few different requests, so that equal ones are common.
    common = {
        "task_type": rng.choice(("seedance-2", "seedance-2-fast")),
        "prompt": text,
        "duration": rng.choice((4, 4, 5)),
    }
    if rng.random() < 0.15:
        return GenerationRequest(
            **common,
            mode=Mode.OMNI_REFERENCE,
            aspect_ratio="1:1",
            image_urls=("https://cdn.example.com/cat.png?ratio=1:1&signature=not-for-manifests",),
        )
    return GenerationRequest(**common, mode=Mode.TEXT_TO_VIDEO, aspect_ratio=rng.choice(("16:9", "9:16")))


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
        # So long that its claims may have been reconciled and sent by others.
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
