"""The workers of a round: the product's own entry points, in loops, on one ledger."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from chaos import crew
from chaos.boundaries import Life, Trap, set_trap
from chaos.pace import quicken
from chaos.person import resolve_by_hand
from chaos.plan import PERSON, Plan
from chaos.s3_faults import trouble_s3
from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.webhook import webhook_of
from seedance_dagster.engine.events import Emit, Event
from seedance_dagster.engine.ordering.budget_check import budgets_for
from seedance_dagster.engine.ordering.place import place_orders
from seedance_dagster.engine.ordering.preflight import preflight
from seedance_dagster.engine.ordering.quote import OrderingError, quote
from seedance_dagster.engine.policy import Policy
from seedance_dagster.engine.reconcile.reconcile import reconcile
from seedance_dagster.engine.runtime.background import in_background
from seedance_dagster.engine.runtime.pipeline import advance, poll_due
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.worker import working
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.prompts.models import PromptPartition
from seedance_dagster.settings import Settings

CALM_TIMEOUT_S = 10.0
CALM_LEASE_S = 15.0
_REST_S = {"daemon": 0.2, "command": 0.4}
_NO_BUDGET = "fit the budget"  # after "it does not" or "they do not"
UNEXPECTED = "UNEXPECTED"
"""The start of a line of a worker's output that no fault excuses."""
_NOBODY = "http://127.0.0.1:9/hook"  # only its marks are tested; no delivery arrives


@dataclass(frozen=True)
class Environment:
    """The environment of the workers of a round.

    Attributes:
        environ: The environment variables of the product and of boto3.
        folder: The folder of the round.
        killed: The file that names the boundary of each kill.
        calm: The storm is over: workers make no faults of their own, and have more time.
    """

    plan: Plan
    environ: dict[str, str]
    folder: Path
    killed: Path
    calm: bool = False

    @property
    def clock(self) -> Path:
        """The file that says how far the workers' wall clock is ahead."""
        return self.folder / "clock"

    @property
    def settings(self) -> Settings:
        return Settings.from_environ(self.environ)

    @property
    def policy(self) -> Policy:
        return replace(self.plan.policy, lease_s=CALM_LEASE_S) if self.calm else self.plan.policy

    def open_client(self) -> SeedanceClient:
        return SeedanceClient(
            api_key=SecretStr(self.plan.api_key),
            base_url=self.settings.base_url,
            upload_url=f"{self.settings.base_url}/api/ephemeral_resource",
            requests_per_second=200,
            timeout_s=CALM_TIMEOUT_S if self.calm else self.plan.timeout_s,
            post_timeout_s=CALM_TIMEOUT_S if self.calm else self.plan.timeout_s,
            webhook=webhook_of(_NOBODY, self.plan.webhook_secret) if self.plan.webhook_secret else None,
        )


def work(environment: Environment, role: str, life: Life) -> None:
    """Live the whole life of a worker.

    Args:
        environment: The environment of the round.
        role: One of the plan's roles or runs.
        life: The plan for this life.
    """
    os.environ.update(environment.environ)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(_mark_unexpected)
    quicken(
        page_size=environment.plan.page_size,
        phase="calm" if environment.calm else "storm",
        clock=environment.clock,
    )
    set_trap(Trap(life.kills, lambda boundary: _record(environment.killed, boundary)))
    if life.disk_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (life.disk_bytes, life.disk_bytes))
    if environment.plan.s3_trouble and not environment.calm:
        trouble_s3(environment.plan.s3_trouble)
    if environment.plan.dagster and role not in {"command", PERSON}:
        from chaos import dagster_worker

        dagster_worker.work(environment, role)
        return
    if role == PERSON:
        _persist(
            environment, lambda services: resolve_by_hand(services, environment.environ["GOAPI_BASE_URL"])
        )
        return
    steps: dict[str, Callable[[Services, str], None]] = {"daemon": _tick, "command": _reconcile}
    name, _, _ = role.partition("-")
    if role in environment.plan.runs:
        prompt_set = environment.plan.set_of(role)
        wanted = list(prompt_set.partitions.values())
        regenerate = environment.plan.regenerate
        _persist(
            environment,
            lambda services: _wait_for(services, role, prompt_set.name, wanted, regenerate=regenerate),
        )
        return
    while not crew.on_termination:
        _persist(environment, lambda services: steps[name](services, role))
        time.sleep(_REST_S[name])


def _persist(environment: Environment, step: Callable[[Services], None]) -> None:
    """Do a step as a tick or a run would; repeat it while the product reports that it cannot do it now."""
    store = environment.settings.open_store()
    while not crew.on_termination:
        try:
            ledger = Ledger.open(environment.settings.ledger_url)
            try:
                step(
                    Services(
                        ledger=ledger,
                        open_client=environment.open_client,
                        store=store,
                        load_catalog=environment.settings.load_catalog,
                        policy=environment.policy,
                    )
                )
            finally:
                ledger.close()
        except (LedgerError, OrderingError) as error:
            logging.getLogger("chaos").info("trying again soon: %s", error)
            time.sleep(0.2)
        else:
            return


def _tick(services: Services, role: str) -> None:
    """Do a tick of the sensor and, if there is work, a run of the job."""
    name = f"{role} {time.time_ns()}"
    asyncio.run(poll_due(services, owner=f"sensor {name}", time_box_s=5))
    work = services.ledger.workload.actionable()
    if work.to_submit or work.to_collect or work.to_poll:
        _log_events(partial(advance, services, owner=f"run {name}"))


def _wait_for(
    services: Services, role: str, name: str, wanted: Sequence[PromptPartition], *, regenerate: bool
) -> None:
    """Order the partitions of a waiting run, fewer where a budget is too small, and wait for their videos."""
    request = OrderRequest(
        idempotency_key=f"backfill of {role}", run_id=f"run {time.time_ns()}", regenerate=regenerate
    )
    try:
        checked = preflight(services, quote(services, wanted, request, prompt_set=name))
        answers = place_orders(services, checked.valid, request, budgets=budgets_for(services, name, {}))
    except OrderingError as error:
        if _NO_BUDGET not in str(error):
            raise
        if len(wanted) > 1:
            _wait_for(services, role, name, wanted[: len(wanted) // 2], regenerate=regenerate)
        return
    ids = [answer.order.order_id for answer in answers]
    _log_events(partial(advance, services, owner=f"waiting {time.time_ns()}", only=ids))
    if checked.invalid:
        raise OrderingError(f"a file could not be handed over now: {dict(checked.invalid)}")


def _reconcile(services: Services, role: str) -> None:
    """Do what `seedance-dagster reconcile` does."""

    async def now() -> None:
        async with working(services, f"{role} {time.time_ns()}") as worker:
            await reconcile(worker, now=True)

    asyncio.run(now())


def _log_events(work: Callable[[Emit], Awaitable[None]]) -> None:
    with in_background(work) as events:
        for event in events:
            _log_event(event)


def _log_event(event: Event) -> None:
    order = getattr(event, "order", None)
    number = order.order_id if order else "none"
    logging.getLogger("chaos").info(
        "%s, order %s %s", type(event).__name__, number, getattr(event, "reason", "")
    )


def _record(path: Path, boundary: str) -> None:
    with path.open("a") as file:
        file.write(boundary + "\n")


def _mark_unexpected(record: logging.LogRecord) -> logging.LogRecord:
    if record.exc_info and record.levelno >= logging.ERROR:
        marked = logging.makeLogRecord(record.__dict__)
        marked.msg = f"{UNEXPECTED} {record.msg}"
        return marked
    return record
