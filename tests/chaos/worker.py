"""What the workers do: the product's own entries, in loops, on one ledger."""

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
from chaos.person import settle_by_hand
from chaos.plan import PERSON, Plan
from chaos.s3_faults import trouble_s3
from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.engine.events import Emit, Event
from seedance_dagster.engine.ordering.budget_check import budgets_for
from seedance_dagster.engine.ordering.place import place_orders
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
_NO_BUDGET = "do not fit the budget"
UNEXPECTED = "UNEXPECTED"
"""Begins a line of a worker's output that no fault excuses."""


@dataclass(frozen=True)
class Surroundings:
    """Where the workers of a round find everything.

    Attributes:
        environ: The contract's variables and boto3's own.
        folder: The round's folder.
        killed: The file that names the boundary of each kill.
        calm: The storm is over: no fault of the worker's own making any more, and more patience.
    """

    plan: Plan
    environ: dict[str, str]
    folder: Path
    killed: Path
    calm: bool = False

    @property
    def found(self) -> Settings:
        return Settings.from_environ(self.environ)

    @property
    def policy(self) -> Policy:
        return replace(self.plan.policy, lease_s=CALM_LEASE_S) if self.calm else self.plan.policy

    def open_client(self) -> SeedanceClient:
        return SeedanceClient(
            api_key=SecretStr(self.plan.api_key),
            base_url=self.found.base_url,
            requests_per_second=200,
            timeout_s=CALM_TIMEOUT_S if self.calm else self.plan.timeout_s,
        )


def work(around: Surroundings, role: str, life: Life) -> None:
    """A worker's whole life.

    Args:
        around: The round's surroundings.
        role: One of the plan's roles or runs.
        life: Where it is to be killed, and what else is in store for it.
    """
    os.environ.update(around.environ)
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
        page_size=around.plan.page_size,
        phase="calm" if around.calm else "storm",
    )
    set_trap(Trap(life.kills, lambda boundary: _record(around.killed, boundary)))
    if life.disk_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (life.disk_bytes, life.disk_bytes))
    if around.plan.s3_trouble and not around.calm:
        trouble_s3(around.plan.s3_trouble)
    if around.plan.dagster and role not in {"command", PERSON}:
        from chaos import dagster_worker

        dagster_worker.work(around, role)
        return
    if role == PERSON:
        _persist(around, lambda services: settle_by_hand(services, around.environ["GOAPI_BASE_URL"]))
        return
    steps: dict[str, Callable[[Services, str], None]] = {"daemon": _tick, "command": _settle}
    name, _, _ = role.partition("-")
    if role in around.plan.runs:
        prompt_set = around.plan.set_of(role)
        wanted = list(prompt_set.partitions.values())
        regenerate = around.plan.regenerate
        _persist(
            around,
            lambda services: _wait_for(services, role, prompt_set.name, wanted, regenerate=regenerate),
        )
        return
    while not crew.on_termination:
        _persist(around, lambda services: steps[name](services, role))
        time.sleep(_REST_S[name])


def _persist(around: Surroundings, step: Callable[[Services], None]) -> None:
    """Do a step as a tick or a run would: what the product says it cannot do now is tried again."""
    store = around.found.open_store()
    while not crew.on_termination:
        try:
            ledger = Ledger.open(around.found.ledger_url)
            try:
                step(
                    Services(
                        ledger=ledger,
                        open_client=around.open_client,
                        store=store,
                        policy=around.policy,
                    )
                )
            finally:
                ledger.close()
        except (LedgerError, OrderingError) as error:
            logging.getLogger("chaos").info("again soon: %s", error)
            time.sleep(0.2)
        else:
            return


def _tick(services: Services, role: str) -> None:
    """A sensor's tick and, if it is worth one, a run of the job."""
    name = f"{role} {time.time_ns()}"
    asyncio.run(poll_due(services, owner=f"sensor {name}", time_box_s=5))
    work = services.ledger.workload.actionable()
    if work.to_submit or work.to_collect or work.to_poll:
        _listen(partial(advance, services, owner=f"run {name}"))


def _wait_for(
    services: Services, role: str, name: str, wanted: Sequence[PromptPartition], *, regenerate: bool
) -> None:
    """A waiting run: accepts its partitions, fewer where the budget says so, and waits for their videos."""
    request = OrderRequest(
        idempotency_key=f"backfill of {role}", run_id=f"run {time.time_ns()}", regenerate=regenerate
    )
    try:
        quotes = quote(services, wanted, request, prompt_set=name)
        answers = place_orders(services, quotes, request, budgets=budgets_for(services, name, {}))
    except OrderingError as error:
        if _NO_BUDGET not in str(error):
            raise
        if len(wanted) > 1:
            _wait_for(services, role, name, wanted[: len(wanted) // 2], regenerate=regenerate)
        return
    ids = [answer.order.order_id for answer in answers]
    _listen(partial(advance, services, owner=f"waiting {time.time_ns()}", only=ids))


def _settle(services: Services, role: str) -> None:
    """`seedance-dagster reconcile`, by somebody impatient."""

    async def now() -> None:
        async with working(services, f"{role} {time.time_ns()}") as worker:
            await reconcile(worker, now=True)

    asyncio.run(now())


def _listen(work: Callable[[Emit], Awaitable[None]]) -> None:
    with in_background(work) as events:
        for event in events:
            _say(event)


def _say(event: Event) -> None:
    number = event.order.order_id if event.order else "none"
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
