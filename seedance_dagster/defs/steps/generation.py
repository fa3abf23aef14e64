"""One run of a prompt set's step: check, order, wait, report, and at the end name what has no video."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial

import dagster as dg

from seedance_dagster.api.catalog import Estimate
from seedance_dagster.counting import counted
from seedance_dagster.defs.configs import GenerationConfig
from seedance_dagster.defs.events import AssetEvent, StepEvent
from seedance_dagster.defs.naming import INDEX, PROMPTS, TASKS, VIDEOS, WAITS_TAG, asset_key
from seedance_dagster.defs.step_cleanup import on_termination
from seedance_dagster.defs.steps.binding import try_to_remember
from seedance_dagster.defs.steps.index import refreshed_indexes
from seedance_dagster.defs.steps.missing import MissingVideos
from seedance_dagster.defs.steps.outputs import outputs
from seedance_dagster.defs.steps.partitions import read_partitions
from seedance_dagster.defs.steps.placed import log_placed
from seedance_dagster.defs.steps.reporter import Reporter
from seedance_dagster.defs.steps.request import (
    PlannedAssets,
    ask_for_discarded,
    is_automated,
    order_request,
    selected_partitions,
)
from seedance_dagster.engine.events import Delayed, Ended, Event, Placed, Stored, Submitted, Waiting
from seedance_dagster.engine.ordering.budget_check import budgets_for
from seedance_dagster.engine.ordering.changed_links import look_again
from seedance_dagster.engine.ordering.current import read_set
from seedance_dagster.engine.ordering.existing import existing_answers
from seedance_dagster.engine.ordering.finals import declined_finals
from seedance_dagster.engine.ordering.place import place_orders
from seedance_dagster.engine.ordering.preflight import preflight
from seedance_dagster.engine.ordering.quote import OrderingError, Quote, quote
from seedance_dagster.engine.ordering.unattended import no_limit_reason, within_limits
from seedance_dagster.engine.runtime.background import in_background
from seedance_dagster.engine.runtime.pipeline import advance
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.worker import worker_name
from seedance_dagster.health import NoVideoReason, no_video_reason
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.order import OPEN, WITHDRAWN, Order, State
from seedance_dagster.ledger.orders import OrderRequest, Outcome
from seedance_dagster.ledger.partitions import Link
from seedance_dagster.prompts.models import PromptPartition, PromptSet

_UNFINISHED = NoVideoReason(
    "the run ended before its video was stored", "seedance_sensor continues to follow it"
)
_NO_VIDEO = ("has no video", "have no video")
_NOT_ORDERED = ("was not ordered", "were not ordered")
_HEAD_START_S = 0.5  # of the first POSTs, before events are written


@dataclass
class GenerationRun:
    """The work of one step; `events()` does it.

    Attributes:
        planned: The assets and partitions that it was launched with.
        unattended_points: The most that it may spend, in points, if an automation condition started it; None
            leaves that to the budgets.
        awaited: True if the run selects assets that may be downstream of this step.
        missing: The partitions that have no video.
        changed: True once a video was stored, or an order ended without one.
        stored: True once a video was stored.
        waiting: The open orders whose videos it waits for, by partition.
    """

    context: dg.AssetExecutionContext
    config: GenerationConfig
    services: Services
    prompt_set: PromptSet
    planned: PlannedAssets
    unattended_points: int | None = None
    awaited: bool = False
    missing: MissingVideos = field(default_factory=MissingVideos)
    changed: bool = False
    stored: bool = False
    waiting: dict[str, Order] = field(default_factory=dict)

    def events(self) -> Iterator[StepEvent]:
        """Make the selected assets, and yield Dagster's events as they happen.

        Raises:
            dg.Failure: Nothing was ordered, or some partitions have no video; the message names them.
        """
        request = self._request  # checks the config before anything is reported
        keys = selected_partitions(self.context, self.prompt_set.name, self.planned)
        name = self.prompt_set.name
        orders = self._selected(TASKS) or self._selected(VIDEOS)
        looked_at = keys if orders else ()
        self.prompt_set = read_set(self.services, self.prompt_set, looked_at)
        read_partitions(self.services.ledger, [self.prompt_set], actor=f"run {self.context.run.run_id}")
        partitions = [self.prompt_set.partitions[key] for key in keys if key in self.prompt_set.partitions]
        quotes = valid = list[Quote]()
        if orders:
            quotes = quote(self.services, partitions, request, prompt_set=name)
            if look_again(self.services, quotes):
                quotes = quote(self.services, partitions, request, prompt_set=name)
            # Before the prompts are reported: their costs are exact then.
            checked = preflight(self.services, quotes)
            quotes, valid = list(checked.quotes), checked.valid
            self.missing.add(checked.invalid, "correct the prompt's references, and materialize it again")
        estimates = {quoted.partition.key: quoted.estimate for quoted in quotes}
        try:
            placed = self._removed(keys) + self._place(valid) if orders else []
        except OrderingError as error:
            yield from self._prompts(partitions, estimates)
            new = [quoted.partition.key for quoted in quotes if quoted.is_new]
            yield from self._reporter.not_ordered(dict.fromkeys(new, NoVideoReason(str(error))))
            raise
        with (
            self._reporter.notes.together(),
            on_termination(self.context.log),
            self._engine(placed) as engine_events,
        ):
            # Orders are sent while this reports what is known already.
            yield from self._prompts(partitions, estimates)
            yield from self._answered(placed)
            yield from self._watch(engine_events)
        without_order = self.missing.without_order
        yield from self._reporter.not_ordered({key: self.missing.reasons[key] for key in without_order})
        # The assets downstream in the same run wait for this step's outputs; the index is one of them.
        if self._selected(VIDEOS) and not self.awaited:
            yield from self._index()
        self._fail_if_missing(len(keys), strict=self.awaited)
        if self.awaited:
            yield from outputs(self.context, self.services, name, keys, partitions, placed)

    def _selected(self, asset: str) -> bool:
        return asset_key(self.prompt_set.name, asset) in self.context.selected_asset_keys

    @property
    def _budgets(self) -> list[Budget]:
        return budgets_for(self.services, self.prompt_set.name, self.prompt_set.budgets)

    def _prompts(
        self, partitions: Collection[PromptPartition], estimates: Mapping[str, Estimate]
    ) -> Iterator[AssetEvent]:
        every = self._selected(PROMPTS)
        report = self._reporter.prompts if every else self._reporter.changed_prompts
        return report(self.prompt_set.name, partitions, estimates)

    def _place(self, quotes: list[Quote]) -> list[Placed]:
        declined = declined_finals(self.services.ledger, self.prompt_set.name, quotes)
        self.missing.decline(declined)
        quotes = [quote for quote in quotes if quote.partition.key not in declined]
        if self._automated and any(quote.is_new for quote in quotes):
            unlimited = no_limit_reason(self.services, [self.prompt_set], self._request.max_points)
            if unlimited is not None:
                raise OrderingError(f"nothing was ordered: {unlimited}")
            affordable = within_limits(self.services, quotes, self._request, budgets=self._budgets)
            self.missing.add(affordable.declined)
            quotes = list(affordable.quotes)
        placed = place_orders(self.services, quotes, self._request, budgets=self._budgets)
        try_to_remember(self.context.instance, self.services.ledger, self.context.log)
        log_placed(self.context.log, placed, regenerate=self.config.regenerate)
        return placed

    def _removed(self, keys: list[str]) -> list[Placed]:
        """Return the existing orders of prompts that left their file; nothing is ordered for them."""
        removed = [key for key in keys if key not in self.prompt_set.partitions]
        name, ledger = self.prompt_set.name, self.services.ledger
        latest = ledger.queries.latest(name) if removed else {}
        orders = {key: latest[key] for key in removed if key in latest}
        placed = existing_answers(self.services, name, orders, run_id=self.context.run.run_id)
        self.missing.not_asked_for(self.prompt_set, removed, placed)
        return placed

    def _engine(self, placed: list[Placed]) -> AbstractContextManager[Iterator[Event]]:
        """Send, follow and store the orders that the run waits for, in the background."""
        for answer in placed:
            reason = no_video_reason(answer.order) if answer.outcome is Outcome.SKIPPED else None
            if reason is not None:
                self.missing.reasons[answer.partition] = reason
                if answer.order.state is State.REJECTED:
                    self.missing.rejected_before.add(answer.partition)
        if self._selected(VIDEOS):
            self.waiting = {
                answer.partition: answer.order
                for answer in placed
                if answer.order.state in OPEN and answer.outcome is not Outcome.SKIPPED
            }
        if not self.waiting:
            return nullcontext(iter(()))
        self.missing.reasons |= dict.fromkeys(self.waiting, _UNFINISHED)
        order_ids = {order.order_id for order in self.waiting.values()}
        self.context.log.info(f"waiting for {counted(len(order_ids), 'video')}")
        # Before the first video comes: a run that advances orders leaves the reports to this one.
        self.context.instance.add_run_tags(self.context.run.run_id, WAITS_TAG)
        owner = worker_name(f"run {self.context.run.run_id}")
        work = partial(advance, self.services, owner=owner, only=list(order_ids))
        return in_background(work, head_start_s=_HEAD_START_S, idle=self._reporter.notes.write)

    def _answered(self, placed: list[Placed]) -> Iterator[AssetEvent]:
        """Report the orders of partitions, except those that are about to be submitted."""
        for answer in placed:
            order, key = answer.order, answer.partition
            if answer.outcome is Outcome.SKIPPED:
                continue
            if self._selected(TASKS) and (order.task_id is not None or key not in self.waiting):
                yield from self._reporter.task(order, key)
            if order.state is State.STORED and self._selected(VIDEOS):
                links = [link for link in self._reporter.links(order) if link.partition == key]
                yield from self._reporter.again(order, links)

    def _watch(self, events: Iterator[Event]) -> Iterator[AssetEvent]:
        """Report what becomes of the orders that the run waits for."""
        planned = self.waiting if self._selected(TASKS) else {}
        for event in events:
            match event:
                case Submitted():
                    yield from self._reporter.event(event)
                case Stored():
                    for link in (links := self._reporter.links(event.order)):
                        # A video whose watermark is still to be removed does not count.
                        if self._awaits(link.partition, event.order):
                            self.missing.stored(link.partition)
                    self.stored = self.changed = True
                    yield from self._reporter.planned_tasks(event.order, links, planned)
                    yield from self._reporter.event(event, links)
                case Ended():
                    self.changed = True
                    self._note_end(event.order, links := self._reporter.links(event.order))
                    yield from self._reporter.planned_tasks(event.order, links, planned)
                    yield from self._reporter.ended(event.order, links)
                case Delayed():
                    self.context.log.warning(str(event))
                case Waiting():
                    self.context.log.info(event.reason)

    def _awaits(self, partition: str, order: Order) -> bool:
        waiting = self.waiting.get(partition)
        return waiting is not None and waiting.fingerprint == order.fingerprint

    def _note_end(self, order: Order, links: Collection[Link]) -> None:
        reason, reasons = no_video_reason(order), self.missing.reasons
        for link in links:
            known = reasons.get(link.partition, _UNFINISHED) != _UNFINISHED
            # The end of a video's order says more than that of the removal that waited for it.
            if reason and link.partition in self.waiting and not (known and order.error_class == WITHDRAWN):
                reasons[link.partition] = reason

    def _index(self) -> Iterator[AssetEvent]:
        """Bring the index up to date: Dagster skips the index's step, since this one yields no outputs."""
        name = self.prompt_set.name
        selected = asset_key(name, INDEX) in (self.context.run.asset_selection or ())
        changed = [name] if selected or self.stored else []
        yield from refreshed_indexes(self.context, self.services, [name], changed=changed)

    def _fail_if_missing(self, count: int, *, strict: bool) -> None:
        lack = _NO_VIDEO if self._selected(VIDEOS) else _NOT_ORDERED
        failure = self.missing.failure(count, lack, strict=strict)
        if failure is not None:
            raise failure
        if (warning := self.missing.warning()) is not None:
            self.context.log.warning(warning)

    @cached_property
    def _reporter(self) -> Reporter:
        return Reporter(self.context.instance, self.services, self.prompt_set.name, self.context.log)

    @cached_property
    def _automated(self) -> bool:
        return is_automated(self.context.instance, self.context.run)

    @cached_property
    def _request(self) -> OrderRequest:
        """The config as the engine takes it; raises `dg.Failure` for an amount that is not allowed."""
        limit = self.unattended_points if self._automated else None
        request = order_request(self.context.instance, self.context.run, self.config, limit)
        if not self.config.regenerate_discarded:
            return request
        keys = selected_partitions(self.context, self.prompt_set.name, self.planned)
        return ask_for_discarded(
            self.services,
            request,
            self.prompt_set.name,
            keys,
            max_attempts=self.config.max_attempts,
            log=self.context.log,
        )
