"""The work of the job `seedance_advance`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Event as ThreadEvent
from threading import Thread

import dagster as dg

from seedance_dagster.defs.events import StepEvent
from seedance_dagster.defs.step_cleanup import on_termination
from seedance_dagster.defs.steps.checks import evaluations
from seedance_dagster.defs.steps.index import refreshed_indexes
from seedance_dagster.defs.steps.reporter import Reporter
from seedance_dagster.engine.events import Delayed, Ended, Stored, Submitted
from seedance_dagster.engine.indexing import sets_with_videos
from seedance_dagster.engine.runtime.background import in_background
from seedance_dagster.engine.runtime.pipeline import advance
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.worker import worker_name
from seedance_dagster.health import no_video_reason
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State

ADVANCE_LEASE = "advance"
_LEASE_S = 60.0
_TIME_BOX_S = 1800.0  # then the sensor starts the next run, with fresh memory and logs
_MAX_UNREPORTED = 1000  # orders of earlier runs that one run reports


def advance_events(context: dg.OpExecutionContext, services: Services, owner: str) -> Iterator[StepEvent]:
    """Submit, follow and collect, report also what killed runs did not, and check the sets that changed."""
    reporter = Reporter(context.instance, services)
    changed, ended = set[str](), set[str]()
    counts = {"submitted": 0, "stored": 0, "ended without a video": 0, "postponed": 0}
    run = partial(advance, services, owner=worker_name(owner), time_box_s=_TIME_BOX_S)
    with (
        in_background(run) as events,
        on_termination(context.log),
    ):
        # Orders go out while what earlier runs did not report is reported.
        for order, link in services.ledger.reports.unreported(_MAX_UNREPORTED):
            if order.state is State.STORED:
                changed.add(link.prompt_set)
            yield from reporter.again(order, [link])
        for event in events:
            match event:
                case Submitted():
                    counts["submitted"] += 1
                    yield from reporter.event(event)
                case Stored():
                    counts["stored"] += 1
                    changed |= {link.prompt_set for link in reporter.links(event.order)}
                    yield from reporter.event(event)
                case Ended():
                    counts["ended without a video"] += 1
                    order = event.order
                    ended |= {link.prompt_set for link in reporter.links(order)}
                    context.log.warning(f"{order.prompt_set}/{order.partition}: {no_video_reason(order)}")
                    yield from reporter.ended(order)
                case Delayed():
                    counts["postponed"] += 1
                    context.log.warning(event.reason)
    yield from evaluations(services, changed | ended, context.log)
    yield from refreshed_indexes(context, services, sets_with_videos(services), changed=changed)
    context.log.info(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))


@contextmanager
def advance_lease(ledger: Ledger, owner: str) -> Iterator[bool]:
    """Try to acquire the lease of this job, and renew it in a thread while the block runs."""
    if not ledger.leases.acquire(ADVANCE_LEASE, owner, seconds=_LEASE_S):
        yield False
        return
    done = ThreadEvent()

    def renew() -> None:
        while not done.wait(_LEASE_S / 4):
            try:
                ledger.leases.acquire(ADVANCE_LEASE, owner, seconds=_LEASE_S)
            except LedgerUnavailableError:
                continue  # three more attempts before the lease expires

    renewal = Thread(target=renew, name="seedance-advance-lease", daemon=True)
    renewal.start()
    try:
        yield True
    finally:
        done.set()
        renewal.join()
        with suppress(LedgerUnavailableError):
            ledger.leases.release(ADVANCE_LEASE, owner)  # otherwise it expires
