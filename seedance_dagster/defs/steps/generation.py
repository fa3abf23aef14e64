"""One run of a prompt set's step: check, accept, wait, tell, and name at the end what has no video."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import dagster as dg

from seedance_dagster.defs.configs import GenerationConfig, limit_points
from seedance_dagster.defs.naming import INDEX, PROMPTS, TASKS, VIDEOS, asset_key, user_tags
from seedance_dagster.defs.step_cleanup import on_termination
from seedance_dagster.defs.steps.checks import evaluations
from seedance_dagster.defs.steps.index import refreshed_indexes
from seedance_dagster.defs.steps.metadata import AssetEvent, StepEvent, reasons_table
from seedance_dagster.defs.steps.reporter import Reporter
from seedance_dagster.engine.events import Delayed, Ended, Outcome, Placed, Stored, Submitted
from seedance_dagster.engine.ordering.budget_check import budgets_for, fit
from seedance_dagster.engine.ordering.place import OrderOptions, place_orders, quote
from seedance_dagster.engine.ordering.preflight import preflight
from seedance_dagster.engine.runtime.background import in_background
from seedance_dagster.engine.runtime.pipeline import advance
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.collect import stored_event
from seedance_dagster.engine.worker import worker_name
from seedance_dagster.health import no_video_reason
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.order import OPEN, Order, State
from seedance_dagster.ledger.orders import OrderRequest, find_existing_order
from seedance_dagster.prompts.models import PromptPartition, PromptSet

_NAMED_IN_TEXT = 20  # reasons in a failure's text; the table in its metadata has them all
_BACKFILL_TAG = "dagster/backfill"


@dataclass
class GenerationRun:
    """The work of one step; `events()` does it.

    Attributes:
        missing: Why a partition has no video, by partition.
        stored: How many videos came home while it waited.
        ended: How many orders ended without one.
    """

    context: dg.AssetExecutionContext
    config: GenerationConfig
    services: Services
    prompt_set: PromptSet
    missing: dict[str, str] = field(default_factory=dict)
    stored: int = 0
    ended: int = 0

    def events(self) -> Iterator[StepEvent]:
        """Do what is selected, and yield Dagster's events as it happens.

        Raises:
            dg.Failure: Nothing was accepted, or some partitions have no video; each is named.
        """
        _options(self.config)  # before anything is told
        keys = self._asked_for()
        wanted = [self.prompt_set.partitions[key] for key in keys if key in self.prompt_set.partitions]
        orders = self._selected(TASKS) and not self.config.dry_run
        # Before the prompts are told: their costs are exact then.
        valid = self._valid(wanted) if orders else wanted
        if self._selected(PROMPTS):
            yield from self._reporter.prompts(self.prompt_set.name, wanted)
        elif not self.config.dry_run:
            yield from self._reporter.changed_prompts(self.prompt_set.name, wanted)
        if self.config.dry_run:
            self._tell_costs(wanted)
            return
        if self._selected(TASKS) or self._selected(VIDEOS):
            answers = self._removed(keys)
            if self._selected(TASKS):
                answers += self._accept(valid)
            else:
                answers += self._standing({each.key: each.fingerprint for each in wanted})
            yield from self._follow(answers)
        if self.stored or self.ended:
            name = self.prompt_set.name
            yield from evaluations(self.services, [name], self.context.log, self._budgets)
        if self._selected(VIDEOS):
            yield from self._index()
        self._fail_if_missing(len(keys))

    def _asked_for(self) -> list[str]:
        if not (self.context.has_partition_key or self.context.has_partition_key_range):
            raise dg.Failure("no prompts were chosen: launch the run with partitions", allow_retries=False)
        return list(self.context.partition_keys)

    def _selected(self, asset: str) -> bool:
        return asset_key(self.prompt_set.name, asset) in self.context.selected_asset_keys

    def _tell_costs(self, wanted: list[PromptPartition]) -> None:
        options = _options(self.config)
        quotes = quote(
            self.services,
            wanted,
            prompt_set=self.prompt_set.name,
            options=options,
            idempotency_key=self._idempotency_key,
        )
        told = fit(self.services, quotes, self._budgets, run_limit=options.max_cost_points)
        self.context.log.info(f"dry run, nothing was accepted: {len(quotes)} prompts, {told}")

    @property
    def _budgets(self) -> list[Budget]:
        return budgets_for(self.services, self.prompt_set.name, self.prompt_set.budgets)

    def _valid(self, wanted: list[PromptPartition]) -> list[PromptPartition]:
        """Those whose references may be sent to the vendor; the others are missing, with the reason."""
        looked = preflight(
            self.services,
            wanted,
            prompt_set=self.prompt_set.name,
            options=_options(self.config),
            idempotency_key=self._idempotency_key,
        )
        self.missing |= looked.refused
        return list(looked.valid)

    def _accept(self, wanted: list[PromptPartition]) -> list[Placed]:
        answers = place_orders(
            self.services,
            wanted,
            prompt_set=self.prompt_set.name,
            options=_options(self.config),
            idempotency_key=self._idempotency_key,
            run_id=self.context.run.run_id,
            job_name=self.context.run.job_name,
            run_tags=user_tags(self.context.run.tags),
            budgets=self._budgets,
        )
        counts = {outcome.value: sum(each.outcome is outcome for each in answers) for outcome in Outcome}
        said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
        self.context.log.info(f"{len(answers)} prompts: {said or 'nothing to do'}")
        return answers

    def _removed(self, keys: list[str]) -> list[Placed]:
        """Prompts that left their file: what was ordered is still brought home, nothing is ordered."""
        gone = [key for key in keys if key not in self.prompt_set.partitions]
        latest = self.services.ledger.queries.latest(self.prompt_set.name) if gone else {}
        self.missing |= {key: "this prompt is no longer in its file" for key in gone if key not in latest}
        return self._standing({key: latest[key].fingerprint for key in gone if key in latest})

    def _standing(self, fingerprints: Mapping[str, str]) -> list[Placed]:
        """What earlier orders answer for partitions with these fingerprints; nothing is ordered."""
        if not fingerprints:
            return []
        made: defaultdict[str, list[Order]] = defaultdict(list)
        for order in self.services.ledger.queries.find(prompt_set=self.prompt_set.name):
            if fingerprints.get(order.partition) == order.fingerprint:
                made[order.partition].append(order)
        nobody = OrderRequest(idempotency_key="", run_id=self.context.run.run_id)
        found = []
        for key in fingerprints:
            if key not in made:
                self.missing[key] = "not ordered yet: select tasks as well as videos"
                continue
            order, outcome = find_existing_order(made[key], nobody) or (made[key][-1], Outcome.SKIPPED)
            found.append(Placed(order, outcome))
        return found

    def _follow(self, answers: list[Placed]) -> Iterator[AssetEvent]:
        waiting: list[Order] = []
        for answer in answers:
            order = answer.order
            if answer.outcome is Outcome.SKIPPED:
                self.missing[order.partition] = no_video_reason(order) or ""
                continue
            if self._selected(TASKS):
                yield from self._reporter.task(order)
            if order.state is State.STORED and self._selected(VIDEOS):
                yield from self._reporter.event(stored_event(self.services.store, order))
            elif order.state in OPEN:
                waiting.append(order)
        if waiting and self._selected(VIDEOS):
            yield from self._wait(waiting)

    def _wait(self, waiting: list[Order]) -> Iterator[AssetEvent]:
        self.missing |= {order.partition: "the run ended before its video was there" for order in waiting}
        self.context.log.info(f"waiting for {len(waiting)} videos")
        ids = [order.order_id for order in waiting]
        owner = worker_name(f"run {self.context.run.run_id}")
        with (
            in_background(lambda: advance(self.services, owner=owner, only=ids)) as events,
            on_termination(self.context.log),
        ):
            for event in events:
                match event:
                    case Submitted():
                        yield from self._reporter.event(event)
                    case Stored():
                        self.missing.pop(event.order.partition, None)
                        self.stored += 1
                        yield from self._reporter.event(event)
                    case Ended():
                        self.ended += 1
                        self.missing[event.order.partition] = no_video_reason(event.order) or ""
                    case Delayed():
                        self.context.log.warning(event.reason)

    def _index(self) -> Iterator[AssetEvent]:
        """Bring the index in step; Dagster skips its own step behind this one, which gives no outputs."""
        name = self.prompt_set.name
        asked = asset_key(name, INDEX) in (self.context.run.asset_selection or ())
        yield from refreshed_indexes(
            self.context, self.services, [name], changed=[name] if asked or self.stored else ()
        )

    def _fail_if_missing(self, asked: int) -> None:
        if not self.missing:
            return
        named = list(self.missing.items())[:_NAMED_IN_TEXT]
        text = "\n".join(f"{partition}: {reason}" for partition, reason in named)
        more = len(self.missing) - len(named)
        text += f"\n... and {more} more, see the table" if more else ""
        lack = "have no video" if self._selected(VIDEOS) else "were not accepted"
        raise dg.Failure(
            f"{len(self.missing)} of {asked} prompts {lack}; the others are not affected:\n{text}",
            metadata={"missing": reasons_table(self.missing.items())},
            allow_retries=False,
        )

    @cached_property
    def _reporter(self) -> Reporter:
        return Reporter(self.context.instance, self.services)

    @property
    def _idempotency_key(self) -> str:
        """What asked: the backfill, or the run that this one retries, or this run."""
        run = self.context.run
        return run.tags.get(_BACKFILL_TAG) or run.root_run_id or run.run_id


def _options(config: GenerationConfig) -> OrderOptions:
    """The config for the engine; raises `dg.Failure` for an amount that is none."""
    try:
        points = limit_points(config.max_cost_usd, "max_cost_usd")
    except ValueError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    return OrderOptions(
        regenerate=config.regenerate,
        resubmit_rejected=config.resubmit_rejected,
        max_cost_points=points,
    )
