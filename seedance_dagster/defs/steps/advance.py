"""The work of the job `seedance_advance`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import dagster as dg

from seedance_dagster.defs.events import StepEvent
from seedance_dagster.defs.step_cleanup import on_termination
from seedance_dagster.defs.steps.advancers import REPORT_LEASE, one_lease_of
from seedance_dagster.defs.steps.checks import evaluations
from seedance_dagster.defs.steps.index import refreshed_indexes
from seedance_dagster.defs.steps.reporter import Reporter
from seedance_dagster.defs.steps.waiting_runs import WaitingRuns
from seedance_dagster.engine.events import Delayed, Ended, Stored, Submitted
from seedance_dagster.engine.indexing import sets_to_index
from seedance_dagster.engine.runtime.background import in_background
from seedance_dagster.engine.runtime.pipeline import advance
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.worker import worker_name
from seedance_dagster.health import no_video_reason
from seedance_dagster.ledger.order import ENDED, State

_TIME_BOX_S = 1800.0  # then the sensor starts the next run, with fresh memory and logs
_MAX_UNREPORTED = 1000  # orders of earlier runs that one run reports


def advance_events(context: dg.OpExecutionContext, services: Services, owner: str) -> Iterator[StepEvent]:
    """Submit, follow and collect; also report what killed runs did not, and check the sets that changed."""
    reporter = Reporter(context.instance, services, log=context.log)
    waiting = WaitingRuns(context.instance)
    changed, ended = set[str](), set[str]()
    counts = {"submitted": 0, "stored": 0, "ended without a video": 0, "postponed": 0}
    run = partial(advance, services, owner=worker_name(owner), time_box_s=_TIME_BOX_S)
    with (
        reporter.notes.together(),
        in_background(run, idle=reporter.notes.write) as events,
        on_termination(context.log),
    ):
        # Orders are sent while this reports what earlier runs did not.
        with one_lease_of(services.ledger, [REPORT_LEASE], owner) as alone:
            unreported = services.ledger.reports.unreported(_MAX_UNREPORTED) if alone else []
            for order, link in unreported:
                if order.state is State.STORED:
                    changed.add(link.prompt_set)
                elif order.state in ENDED:
                    ended.add(link.prompt_set)
                partition = (link.prompt_set, link.partition)
                links = [
                    current
                    for current in reporter.links(order)
                    if (current.prompt_set, current.partition) == partition
                ]
                yield from reporter.again(order, links)
        for event in events:
            match event:
                case Submitted():
                    counts["submitted"] += 1
                    yield from reporter.event(event, waiting.leave(event.order, reporter.links(event.order)))
                case Stored():
                    counts["stored"] += 1
                    links = reporter.links(event.order)
                    changed |= {link.prompt_set for link in links}
                    yield from reporter.event(event, waiting.leave(event.order, links))
                case Ended():
                    counts["ended without a video"] += 1
                    order, links = event.order, reporter.links(event.order)
                    ended |= {link.prompt_set for link in links}
                    context.log.warning(f"{order.prompt_set}/{order.partition}: {no_video_reason(order)}")
                    yield from reporter.ended(order, waiting.leave(order, links))
                case Delayed():
                    counts["postponed"] += 1
                    context.log.warning(str(event))
    yield from evaluations(services, changed | ended, context.log)
    yield from refreshed_indexes(context, services, sets_to_index(services), changed=changed)
    context.log.info(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
