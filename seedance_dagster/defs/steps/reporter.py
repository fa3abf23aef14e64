"""The engine's events in Dagster's words, and the note in the ledger that Dagster was told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import dagster as dg

from seedance_dagster.api.prices import Estimate
from seedance_dagster.defs.naming import PROMPTS, TASKS, asset_key
from seedance_dagster.defs.steps.metadata import (
    AssetEvent,
    prompt_materialization,
    task_event,
    task_version,
    video_event,
)
from seedance_dagster.defs.steps.provenance import Pointers, input_tags, newest_version
from seedance_dagster.engine.events import Stored, Submitted
from seedance_dagster.engine.ordering.quote import estimate_costs
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.collect import stored_event
from seedance_dagster.ledger.order import Order, Reported, State
from seedance_dagster.prompts.models import PromptPartition

_NO_ESTIMATES: Mapping[str, Estimate] = {}


@dataclass(frozen=True)
class Reporter:
    """Makes Dagster's events for one of its steps.

    Its iterators must be yielded from one event at a time: Dagster has stored an event when it asks
    for the next, and only then is the ledger told so, and the next event can point to it.
    """

    instance: dg.DagsterInstance
    services: Services
    _found: Pointers = field(default_factory=dict)

    def prompts(
        self,
        prompt_set: str,
        partitions: Iterable[PromptPartition],
        estimates: Mapping[str, Estimate] = _NO_ESTIMATES,
    ) -> Iterator[AssetEvent]:
        """Report requests; those whose estimate the run does not have, by key, are priced here."""
        wanted, reported = list(partitions), dict[str, str]()
        unpriced = [partition for partition in wanted if partition.key not in estimates]
        priced = zip(unpriced, estimate_costs(self.services, unpriced), strict=True)
        estimates = {**estimates, **{partition.key: estimate for partition, estimate in priced}}
        for partition in wanted:
            yield prompt_materialization(prompt_set, partition, estimates[partition.key].points)
            reported[partition.key] = partition.fingerprint
        self.services.ledger.reports.mark_prompts(prompt_set, reported)

    def changed_prompts(
        self,
        prompt_set: str,
        partitions: Iterable[PromptPartition],
        estimates: Mapping[str, Estimate] = _NO_ESTIMATES,
    ) -> Iterator[AssetEvent]:
        """Report requests that Dagster does not know as they are now; what is made of them points there."""
        asset = asset_key(prompt_set, PROMPTS)
        yield from self.prompts(
            prompt_set,
            (
                partition
                for partition in partitions
                if newest_version(self.instance, asset, partition.key) != partition.fingerprint
            ),
            estimates,
        )

    def task(self, order: Order) -> Iterator[AssetEvent]:
        """Tell of an order as it stands.

        Others work on it meanwhile, and what they tell must not be followed by what was before.
        """
        now = self.services.ledger.queries.get(order.order_id)
        yield self._task(now, dg.AssetMaterialization)
        later = self.services.ledger.queries.get(order.order_id)
        if later.task_id != now.task_id:
            yield self._task(later, dg.AssetMaterialization)

    def event(self, event: Submitted | Stored) -> Iterator[AssetEvent]:
        """Tell of a task that was submitted or a video that was stored.

        When another order answers the same partition better, this one is observed, not materialized:
        the partition goes on showing the newest.
        """
        order = event.order
        superseded = self.services.ledger.reports.is_superseded(order)
        kind = dg.AssetObservation if superseded else dg.AssetMaterialization
        if isinstance(event, Submitted):
            yield self._task(order, kind)
            self.services.ledger.reports.mark_reported({order.order_id: Reported.SUBMITTED})
            return
        # Asked now: the event's order may be older than what was told of it since.
        if self.services.ledger.queries.get(order.order_id).reported is None:
            yield self._task(order, kind)
        made_from = self._input(order, PROMPTS, order.fingerprint)
        made_from |= self._input(order, TASKS, task_version(order))
        yield video_event(order, self.services.store, event.thumbnail_jpeg, made_from, kind)
        self.services.ledger.reports.mark_reported(
            {order.order_id: Reported.OBSERVED if superseded else Reported.STORED}
        )

    def again(self, order: Order) -> Iterator[AssetEvent]:
        """Tell what a run that is gone should have told."""
        if order.state is State.STORED:
            yield from self.event(stored_event(self.services.store, order))
        else:
            yield from self.event(Submitted(order))

    def _task(self, order: Order, kind: type[AssetEvent]) -> AssetEvent:
        return task_event(order, self._input(order, PROMPTS, order.fingerprint), kind)

    def _input(self, order: Order, upstream: str, version: str) -> dict[str, str]:
        asset = asset_key(order.prompt_set, upstream)
        return input_tags(self.instance, asset, order.partition, version, self._found)
