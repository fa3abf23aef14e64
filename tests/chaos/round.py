"""One round: a storm, a calm in which everything must end, and the judgement."""

from __future__ import annotations

import contextlib
import json
import os
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from pprint import pformat

import sqlalchemy as sa

from chaos import worker
from chaos.canaries import leaks
from chaos.crew import CRASHED, Crew, fork
from chaos.evidence import Evidence, outstanding, unordered, waits_for_ever
from chaos.extras import write_files
from chaos.judge import judge
from chaos.plan import PERSON, ROLES, Plan
from chaos.programs import EmulatorProcess, database
from chaos.storm import Storm
from chaos.world import settle_in
from seedance_dagster.ledger.ledger import Ledger

_CALM_S = 300.0  # only busy machines need it; a round ends as soon as it can
_STOP_S = 15.0


@dataclass
class Result:
    """The result of a round.

    Attributes:
        kills: By boundary; "at random" for those from outside.
        tally: Further counts by name.
        violations: Messages; empty for a round that passes.
    """

    seed: int
    about: str
    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    disturbed: Counter[str] = field(default_factory=Counter)
    tally: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def run_round(plan: Plan, folder: Path, s3_environ: Mapping[str, str], server: sa.URL | None) -> None:
    """Run a round in this process, which must have no threads, and write `result.json`.

    Args:
        plan: The plan of the round.
        folder: An empty folder.
        s3_environ: The environment that makes boto3 use the S3 server.
        server: The PostgreSQL server.
    """
    began = time.monotonic()
    result = Result(plan.seed, str(plan))
    plan = replace(plan, sets=settle_in(plan.sets, folder))
    try:
        _run(plan, folder, s3_environ, server, result)
    except Exception:  # noqa: BLE001  part of the result
        result.violations.append(f"the round itself failed:\n{traceback.format_exc()}")
    # Without the key, which is a canary.
    (folder / "plan.txt").write_text(pformat(vars(replace(plan, api_key=""))))
    result.seconds = round(time.monotonic() - began, 1)
    (folder / "result.json").write_text(json.dumps(vars(result)))


def read_result(folder: Path) -> Result | None:
    """Return the result that a round wrote; None when it wrote none."""
    with contextlib.suppress(OSError):
        fields = json.loads((folder / "result.json").read_text())
        counters = {
            name: Counter(value) if isinstance(value, dict) else value for name, value in fields.items()
        }
        return Result(**counters)
    return None


def _run(
    plan: Plan, folder: Path, s3_environ: Mapping[str, str], server: sa.URL | None, result: Result
) -> None:
    logs = folder / "logs"
    logs.mkdir()
    kills = folder / "kills"
    kills.touch()
    with database(plan, folder, server) as url:
        emulator = EmulatorProcess(plan, folder)
        environ = {
            **s3_environ,
            "GOAPI_BASE_URL": emulator.url,
            "GOAPI_API_KEY": plan.api_key,
            "SEEDANCE_LEDGER_URL": url,
            "SEEDANCE_S3_PREFIX": f"round-{plan.seed}-{os.getpid()}",
            "SEEDANCE_PRICES": str(write_files(folder)),
            "AWS_MAX_ATTEMPTS": "1",
            "DAGSTER_HOME": str(folder),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
        }
        environment = worker.Environment(plan, environ, folder, kills)
        _prepare(environment, logs / "prepare.log")
        later = replace(environment, calm=True)
        armed = Crew(logs, lambda role, life: worker.work(environment, role, life))
        unarmed = Crew(logs, lambda role, life: worker.work(later, role, life))
        try:
            storm = Storm(plan, armed, emulator, url, logs / "lock.log", environment.clock)
            storm.run()
            ended, stubborn = armed.stop(_STOP_S)
            storm.crashes += [end.role for end in ended if end.status == CRASHED]
            result.violations += [f"{role} did not stop on SIGTERM" for role in stubborn]
            result.violations += [
                f"{role} crashed {times} times, see its log" for role, times in Counter(storm.crashes).items()
            ]
            _calm(environment, unarmed, emulator, result)
            result.kills.update(kills.read_text().splitlines())
            result.disturbed = storm.disturbed
            result.faults = emulator.faults_fired()
            os.environ.update(environ)
            evidence = Evidence.gather(environment, emulator.books())
            evidence.write(folder)
            judge(evidence, result)
            result.violations += leaks(environment, evidence)
        finally:
            armed.stop(0)
            unarmed.stop(0)
            emulator.end()


def _prepare(environment: worker.Environment, log: Path) -> None:
    """Create all tables before the workers start; in a child, since this process must have no threads."""

    def work() -> None:
        Ledger.open(environment.settings.ledger_url).close()
        if environment.plan.dagster:
            from chaos import dagster_worker

            dagster_worker.prepare(environment)

    _, status = os.waitpid(fork(log, work), 0)
    if status:
        raise RuntimeError(log.read_text())


def _calm(environment: worker.Environment, crew: Crew, emulator: EmulatorProcess, result: Result) -> None:
    """Stop all faults: every order must end, and every waiting run must notice."""
    runs = [
        run for run in environment.plan.runs if environment.plan.runs_return or unordered(environment, run)
    ]
    for role in (*ROLES, *runs, PERSON):
        crew.start(role)
    began = time.monotonic()
    unfinished = ["nothing was checked"]
    while unfinished and time.monotonic() - began < _CALM_S:
        time.sleep(0.1)
        for end in crew.reap():
            if end.role not in runs or end.status or end.signal:
                result.violations.append(f"{end.role} ended in the calm with {end}")
        unfinished = outstanding(environment, emulator.books())
        unfinished += [
            role
            for role in crew.living
            if role in runs and not waits_for_ever(environment, role, emulator.books())
        ]
    result.tally["calm s"] = round(time.monotonic() - began)
    result.violations += [f"after {_CALM_S:.0f} s of calm: {message}" for message in unfinished]
    _, stubborn = crew.stop(_STOP_S)
    result.violations += [f"{role} did not stop on SIGTERM" for role in stubborn]
