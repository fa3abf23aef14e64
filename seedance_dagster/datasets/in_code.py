"""One video that code orders, waits for and loads, with the promises of a prompt set."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.datasets.video import Video, load_videos
from seedance_dagster.engine.events import Delayed, Event, Waiting
from seedance_dagster.engine.ordering.budget_check import budgets_for
from seedance_dagster.engine.ordering.place import place_orders
from seedance_dagster.engine.ordering.preflight import preflight
from seedance_dagster.engine.ordering.quote import OrderingError, quote
from seedance_dagster.engine.reference_contents import read_contents
from seedance_dagster.engine.runtime.background import in_background
from seedance_dagster.engine.runtime.pipeline import advance
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.worker import worker_name
from seedance_dagster.health import no_video_reason
from seedance_dagster.ledger.order import OPEN, Order, State
from seedance_dagster.ledger.orders import OrderRequest, Outcome
from seedance_dagster.prompts.assembly import PROMPT_FIELDS, RawSet, Row, assemble
from seedance_dagster.prompts.models import PromptPartition, PromptSet
from seedance_dagster.prompts.problems import Problem, PromptSetError

_SOURCE = "generate"
_OWNER = "code"
_log = logging.getLogger("seedance_dagster")
T = TypeVar("T")


@dataclass(frozen=True)
class VideoInCode:
    """A video to order in code.

    Attributes:
        request: The request, or its fields as in a prompt file.
        key: Its name: the partition that its order is made for.
        prompt_set: The set that the key belongs to.
        take: From 1; a higher one is another video of the same request.
        max_points: The most that its order may cost, in points; None leaves that to the budgets.
    """

    request: GenerationRequest | Mapping[str, Any]
    key: str
    prompt_set: str
    take: int
    max_points: int | None

    def order(self, services: Services) -> Order:
        """Return the order of the video: an existing one, or a new one.

        Raises:
            PromptSetError: The request breaks a rule of the vendor's.
            OrderingError: Nothing was ordered; the message says why.
            LedgerError: The ledger cannot be read or written.
        """
        prompt_set = self._checked(services)
        prompt_set = read_contents(services, prompt_set, prompt_set.partitions)
        partition = list(prompt_set.partitions.values())[-1]
        self._check_key_is_free(services, partition)
        name = f"{self.prompt_set}/{partition.key}"
        request = OrderRequest(
            idempotency_key=f"{_SOURCE} {name}", run_id=_OWNER, job_name=_SOURCE, max_points=self.max_points
        )
        quotes = quote(services, [partition], request, prompt_set=self.prompt_set)
        checked = preflight(services, quotes)
        if checked.invalid:
            raise OrderingError(f"nothing was ordered: {name}: {'; '.join(checked.invalid.values())}")
        budgets = budgets_for(services, self.prompt_set, {})
        [placed] = place_orders(services, checked.valid, request, budgets=budgets)
        if placed.outcome is Outcome.SKIPPED:
            raise OrderingError(f"{name} has no video: {no_video_reason(placed.order)}")
        return placed.order

    def video(self, services: Services, order: Order) -> Video:
        """Return the video of an order that has ended; raise `OrderingError` if it has none."""
        key = str(self.key) if self.take == 1 else f"{self.key}.t{self.take}"
        latest = services.ledger.queries.latest(self.prompt_set).get(key, order)
        if latest.state is not State.STORED:
            reason = no_video_reason(latest) or "it is not stored yet; call again to continue waiting"
            raise OrderingError(f"{self.prompt_set}/{key} has no video: {reason}")
        return load_videos(services.ledger, services.store, self.prompt_set, key)[key]

    def _checked(self, services: Services) -> PromptSet:
        """Return a set of this prompt alone, checked by the rules of prompt files."""
        request = self.request
        try:
            fields = (
                request.model_dump(mode="json") if isinstance(request, GenerationRequest) else dict(request)
            )
        except (TypeError, ValueError):
            message = 'must be a dictionary of fields, such as {"prompt": "A cat"}'
            raise PromptSetError([Problem(source=_SOURCE, field="request", message=message)]) from None
        if own := sorted({"id", "takes", "fresh"} & fields.keys()):
            message = "is not a field of a request: use the arguments key and take"
            raise PromptSetError(Problem(source=_SOURCE, field=name, message=message) for name in own)
        row = Row(
            place="request",
            fields={name: value for name, value in fields.items() if value is not None}
            | {"id": self.key, "takes": self.take},
            unknown=tuple(sorted(fields.keys() - set(PROMPT_FIELDS))),
        )
        raw = RawSet(name=self.prompt_set, source=_SOURCE, rows=[row], folder=Path.cwd())
        prompt_set, problems = assemble(raw, catalog=services.load_catalog())
        if prompt_set is None:
            raise PromptSetError(problem for problem in problems if problem.severity == "error")
        for problem in problems:
            _log.warning("%s", problem)
        return prompt_set

    def _check_key_is_free(self, services: Services, partition: PromptPartition) -> None:
        """Refuse a key that stands for another request: the caller would get another video than before."""
        earlier = services.ledger.queries.latest(self.prompt_set).get(partition.key)
        if earlier is None or earlier.fingerprint == partition.fingerprint:
            return
        if earlier.state in OPEN or earlier.state is State.STORED:
            raise OrderingError(
                f"nothing was ordered: the key {partition.key!r} of {self.prompt_set} stands for another "
                f"request, made at {earlier.ordered_at:%Y-%m-%d %H:%M} UTC: use another key"
            )


def generate(services: Services, wanted: VideoInCode) -> Video:
    """Order a video, wait until it is stored, and return it; raise as its `order` and `video`."""
    order = _outside_of_loops(partial(wanted.order, services))
    if order.state in OPEN:
        work = partial(advance, services, owner=worker_name(_OWNER), only=[order.order_id])
        with in_background(work) as events:
            for event in events:
                _log_reason(event)
    return wanted.video(services, order)


async def generate_async(services: Services, wanted: VideoInCode) -> Video:
    """Do the same as `generate` without blocking; cancelling it ends the wait, not the order."""
    order = await asyncio.to_thread(wanted.order, services)
    if order.state in OPEN:

        async def emit(event: Event) -> None:
            _log_reason(event)

        await advance(services, emit, owner=worker_name(_OWNER), only=[order.order_id])
    return await asyncio.to_thread(wanted.video, services, order)


def _log_reason(event: Event) -> None:
    if isinstance(event, Delayed | Waiting):
        _log.info("%s", event.reason)


def _outside_of_loops(work: Callable[[], T]) -> T:
    """Run work that starts its own event loops, even in a notebook, whose cells run inside a loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work).result()
