"""Reports of the engine's events to Dagster, each noted in the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import dagster as dg

from seedance_dagster.api.catalog import Estimate
from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.defs.events import AssetEvent
from seedance_dagster.defs.naming import PROMPTS, TASKS, asset_key
from seedance_dagster.defs.steps.metadata import (
    prompt_materialization,
    task_event,
    task_version,
    video_event,
)
from seedance_dagster.defs.steps.outcomes import (
    ended_observations,
    not_ordered_observations,
    stored_observation,
)
from seedance_dagster.defs.steps.provenance import UpstreamEvents, newest_version
from seedance_dagster.defs.steps.report_notes import ReportNotes
from seedance_dagster.engine.events import Stored, Submitted
from seedance_dagster.engine.ordering.quote import estimate_costs
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.collect import stored_event
from seedance_dagster.health import NoVideoReason
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import ENDED, WITHDRAWN, Order, Reported, State
from seedance_dagster.ledger.partitions import Link
from seedance_dagster.ledger.reports import LinkToReport
from seedance_dagster.prompts.models import PromptPartition

_MARKED_TOGETHER = 50  # prompts whose reports the ledger notes in one write
_TASK_UNREPORTED = (None, Reported.ORDERED)
_NO_ESTIMATES: Mapping[str, Estimate] = {}


@dataclass(frozen=True)
class Reporter:
    """The source of one step's events.

    Attributes:
        prompt_set: Report only for partitions of this set; None for all.
        log: Says which tasks were submitted, where Dagster's own line for the event is empty.

    Its iterators must be yielded from one event at a time: Dagster has stored an event when it asks for the
    next one, and only then is it noted in the ledger and can another event point to it.
    """

    instance: dg.DagsterInstance
    services: Services
    prompt_set: str | None = None
    log: dg.DagsterLogManager | None = None
    _materialized_tasks: set[str] = field(default_factory=set)

    @cached_property
    def _upstream(self) -> UpstreamEvents:
        return UpstreamEvents(self.instance)

    @cached_property
    def notes(self) -> ReportNotes:
        """The notes of what it reported."""
        return ReportNotes(self.services.ledger.reports)

    def prompts(
        self,
        prompt_set: str,
        partitions: Iterable[PromptPartition],
        estimates: Mapping[str, Estimate] = _NO_ESTIMATES,
    ) -> Iterator[AssetEvent]:
        """Report requests; those without an estimate, by key, are priced here."""
        all_partitions = list(partitions)
        unpriced = [partition for partition in all_partitions if partition.key not in estimates]
        priced = zip(unpriced, estimate_costs(self.services, unpriced), strict=True)
        estimates = {**estimates, **{partition.key: estimate for partition, estimate in priced}}
        for chunk in chunked(all_partitions, _MARKED_TOGETHER):
            for partition in chunk:
                self._upstream.add(asset_key(prompt_set, PROMPTS), partition.key)
                yield prompt_materialization(
                    prompt_set,
                    partition.key,
                    partition.request,
                    partition.fingerprint,
                    estimates[partition.key].points,
                )
            fingerprints = {partition.key: partition.fingerprint for partition in chunk}
            self.services.ledger.reports.mark_prompts(prompt_set, fingerprints)

    def changed_prompts(
        self,
        prompt_set: str,
        partitions: Iterable[PromptPartition],
        estimates: Mapping[str, Estimate] = _NO_ESTIMATES,
    ) -> Iterator[AssetEvent]:
        """Report requests whose current version Dagster does not know, so that videos can point to them."""
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

    def links(self, order: Order) -> list[LinkToReport]:
        """Return those of an order's partitions that this step reports."""
        links = self.services.ledger.reports.links(order.order_id)
        return [self.notes.up_to_date(link) for link in links if self.prompt_set in (None, link.prompt_set)]

    def task(self, order: Order, partition: str) -> Iterator[AssetEvent]:
        """Materialize the task of an order as it is now, for a partition of this step's set.

        A run must do so: Dagster shows a partition that a run leaves unmaterialized as failed.

        Another worker may report it at the same time: no older state may follow its newer one.
        """
        assert self.prompt_set is not None
        link = Link(self.prompt_set, partition, order.order_id)
        now = self.services.ledger.queries.get(order.order_id)
        yield self._task(now, link, dg.AssetMaterialization)
        self._mark_task(now, link)
        later = self.services.ledger.queries.get(order.order_id)
        if later.task_id != now.task_id:
            yield self._task(later, link, dg.AssetObservation)
            self._mark_task(later, link)

    def planned_tasks(
        self, order: Order, links: Iterable[LinkToReport], planned: Collection[str]
    ) -> Iterator[AssetEvent]:
        """Materialize the task of an order that another run reported, for those links that are planned.

        A run must materialize all that it planned, whoever submitted the order, and a task before its video.
        A partition that another order stands for shows the task of that order.
        """
        for link in links:
            lacks_task = link.partition in planned and link.partition not in self._materialized_tasks
            if not lacks_task or link.reported is None:
                continue
            if not link.superseded:
                yield from self.task(order, link.partition)

    def event(
        self, event: Submitted | Stored, links: Iterable[LinkToReport] | None = None
    ) -> Iterator[AssetEvent]:
        """Report a task that was submitted or a video that was stored, for each partition that has it.

        Where another order stands for a partition, this one is an observation, not a materialization: the
        partition continues to show the other.

        Args:
            event: The event.
            links: The partitions; by default all that this step reports.
        """
        for link in self.links(event.order) if links is None else links:
            yield from self._event(event, link)

    def _event(self, event: Submitted | Stored, link: LinkToReport) -> Iterator[AssetEvent]:
        order = event.order
        if link.lacks_prompt:
            yield self._prompt_of(order, link)
            prompts = {link.partition: order.fingerprint}
            self.services.ledger.reports.mark_prompts(link.prompt_set, prompts)
        kind = dg.AssetObservation if link.superseded else dg.AssetMaterialization
        # The order was materialized before it had a task: one materialization for each order.
        task_kind = dg.AssetObservation if link.reported is Reported.ORDERED else kind
        if isinstance(event, Submitted):
            submitted = self._task(order, link, task_kind)
            if self.log is not None and isinstance(submitted, dg.AssetObservation):
                self.log.info(str(submitted.description))
            yield submitted
            self.notes.add(link, Reported.SUBMITTED)
            return
        if link.reported in _TASK_UNREPORTED:
            yield self._task(order, link, task_kind)
        made_from = self._input(link, PROMPTS, order.fingerprint)
        made_from |= self._input(link, TASKS, task_version(order))
        yield video_event(
            order,
            link,
            self.services.store,
            event.thumbnail_jpeg,
            made_from,
            kind=kind,
            watermark=self._watermark(link),
            gallery_url=self.services.gallery_url,
            video_url=self.services.video_url,
        )
        if not link.superseded:
            yield stored_observation(order, link)
        self.notes.add(link, Reported.OBSERVED if link.superseded else Reported.STORED)

    def _prompt_of(self, order: Order, link: Link) -> AssetEvent:
        """Return the event of a request that no run has reported: the events of its video point to it."""
        request = GenerationRequest.model_validate(order.request, strict=False)
        points = order.estimated_points + (order.source or {}).get("estimated_points", 0)
        return prompt_materialization(link.prompt_set, link.partition, request, order.fingerprint, points)

    def again(self, order: Order, links: Iterable[LinkToReport] | None = None) -> Iterator[AssetEvent]:
        """Report an order that a killed run did not report, or that a partition was just given."""
        if order.state is State.STORED:
            yield from self.event(stored_event(self.services.store, order), links)
        elif order.state in ENDED:
            yield from self.ended(order, links)
        else:
            yield from self.event(Submitted(order), links)

    def ended(self, order: Order, links: Iterable[LinkToReport] | None = None) -> Iterator[AssetEvent]:
        """Report an order that ended without a video: why, what was charged and what to do.

        Its task is materialized if its submission was not reported. If the order was to remove a watermark,
        the video with the watermark is reported as well: it is paid for too. If that video is not stored yet,
        it is reported when it is.

        Args:
            order: The order.
            links: The partitions; by default all that this step reports.
        """
        links = self.links(order) if links is None else list(links)
        source = (
            None if order.source_order_id is None else self.services.ledger.queries.get(order.source_order_id)
        )
        for link in links:
            yield from self._end(order, link, source)
        if source is not None and source.state is State.STORED:
            partitions = {(link.prompt_set, link.partition) for link in links}
            source_links = self.links(source)
            yield from self.again(
                source, [link for link in source_links if (link.prompt_set, link.partition) in partitions]
            )

    def _end(self, order: Order, link: LinkToReport, source: Order | None) -> Iterator[AssetEvent]:
        if order.task_id is not None and link.reported in _TASK_UNREPORTED:
            yield from self.event(Submitted(order), [link])
        # The end of a video's order says more than that of the removal that waited for it.
        waited = order.error_class == WITHDRAWN and source is not None and source.state in ENDED
        if not (waited or link.superseded):
            yield from ended_observations(order, link)
        self.notes.add(link, Reported.ENDED)

    def not_ordered(self, reasons: Mapping[str, NoVideoReason]) -> Iterator[AssetEvent]:
        """Report why partitions of this step's set were given no order."""
        assert self.prompt_set is not None
        for partition, why in reasons.items():
            yield from not_ordered_observations(self.prompt_set, partition, why)

    def _watermark(self, link: LinkToReport) -> str | None:
        """Return why a video still has a watermark that was to be removed for a partition."""
        if link.failed_removal is None:
            return None
        failed = self.services.ledger.queries.get(link.failed_removal)
        return f"not removed: order {failed.order_id} ended without a video: {failed.error_message}"

    def _task(self, order: Order, link: Link, kind: type[AssetEvent]) -> AssetEvent:
        if kind is dg.AssetMaterialization:
            self._materialized_tasks.add(link.partition)
            self._upstream.add(asset_key(link.prompt_set, TASKS), link.partition)
        return task_event(order, link, self._input(link, PROMPTS, order.fingerprint), kind)

    def _mark_task(self, order: Order, link: Link) -> None:
        event = Reported.ORDERED if order.task_id is None else Reported.SUBMITTED
        self.services.ledger.reports.mark_task(link, event)

    def _input(self, link: Link, upstream: str, version: str) -> dict[str, str]:
        asset = asset_key(link.prompt_set, upstream)
        return self._upstream.input_tags(asset, link.partition, version)
