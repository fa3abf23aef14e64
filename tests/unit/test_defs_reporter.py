"""Reports of orders that other workers change at the same time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import dagster as dg
import pytest
from factories import make_order
from gallery_support import unreached_store

from seedance_dagster.defs.steps.metadata import video_event
from seedance_dagster.defs.steps.reporter import Reporter
from seedance_dagster.engine.events import Stored, Submitted
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import Reported, State
from seedance_dagster.ledger.partitions import Link
from seedance_dagster.storage.s3 import VideoStore


def test_an_order_that_is_submitted_while_it_is_reported_is_reported_again(ledger, orders):
    """The newest event of an order is never older than its state in the ledger."""
    [order] = orders.place("cat")
    services = Services(ledger=ledger, open_client=lambda: None, store=None)
    with dg.DagsterInstance.ephemeral() as instance:
        reporting = Reporter(instance, services, "spots").task(order, "cat")
        events = [next(reporting)]
        # Dagster stores the event now; meanwhile another worker submits the order and reports it.
        orders.advance(order, State.SUBMITTED)
        events += reporting
    assert [event.metadata["seedance/task_id"].value for event in events] == ["not yet submitted", "t-1"]
    assert ledger.reports.links(order.order_id)[0].reported == "submitted"


def test_an_order_is_materialized_once(ledger, orders):
    """An order that a run left queued is observed when it is submitted, with the same metadata."""
    [order] = orders.place("cat")
    services = Services(ledger=ledger, open_client=lambda: None, store=None)
    logged = list[str]()
    with dg.DagsterInstance.ephemeral() as instance:
        [ordered] = Reporter(instance, services, "spots").task(order, "cat")
        assert ledger.reports.links(order.order_id)[0].reported == "ordered"
        orders.advance(order, State.SUBMITTED)
        reporter = Reporter(instance, services, log=SimpleNamespace(info=logged.append))
        [submitted] = reporter.event(Submitted(ledger.queries.get(order.order_id)))
    assert (type(ordered), type(submitted)) == (dg.AssetMaterialization, dg.AssetObservation)
    assert submitted.metadata["seedance/task_id"].value == "t-1"
    assert submitted.metadata.keys() == ordered.metadata.keys()
    assert logged == [submitted.description], "Dagster's own line for an observation is empty"
    assert submitted.description.startswith("cat: submitted, task t-1, ")
    assert ledger.reports.links(order.order_id)[0].reported == "submitted"


def test_a_run_materializes_the_task_that_another_run_reported(ledger, orders):
    """Dagster takes what a run leaves unmaterialized for failed; what it has materialized is not repeated."""
    [order] = orders.place("cat")
    services = Services(ledger=ledger, open_client=lambda: None, store=None)
    with dg.DagsterInstance.ephemeral() as instance:
        ours = Reporter(instance, services, "spots")
        orders.advance(order, State.SUBMITTED)
        order = ledger.queries.get(order.order_id)
        assert list(ours.planned_tasks(order, ours.links(order), ["cat"])) == [], "it comes with its event"
        list(Reporter(instance, services).event(Submitted(order)))
        assert list(ours.planned_tasks(order, ours.links(order), ["dog"])) == []
        [event] = ours.planned_tasks(order, ours.links(order), ["cat"])
        assert list(ours.planned_tasks(order, ours.links(order), ["cat"])) == []
    assert isinstance(event, dg.AssetMaterialization)
    assert event.asset_key.path[-1] == "tasks"
    assert event.metadata["seedance/task_id"].value == "t-1"


def test_the_task_of_a_superseded_order_is_not_materialized(ledger, orders):
    """A partition shows the order that stands for it, such as the removal of a video's watermark."""
    [first] = orders.place("cat")
    services = Services(ledger=ledger, open_client=lambda: None, store=None)
    with dg.DagsterInstance.ephemeral() as instance:
        first = orders.advance(first, State.STORED)
        list(Reporter(instance, services, "spots").task(first, "cat"))
        [second] = orders.place("cat")
        second = orders.advance(second, State.SUBMITTED)
        list(Reporter(instance, services).event(Submitted(second)))
        ours = Reporter(instance, services, "spots")
        assert list(ours.planned_tasks(first, ours.links(first), ["cat"])) == []
        [event] = ours.planned_tasks(second, ours.links(second), ["cat"])
    assert event.metadata["seedance/task_id"].value == second.task_id


def test_a_submission_that_no_run_reported_is_unreported_until_one_does(ledger, orders, clock):
    """An order that was materialized before it had a task counts as unreported as soon as it has one."""
    [order] = orders.place("cat")
    services = Services(ledger=ledger, open_client=lambda: None, store=None)
    with dg.DagsterInstance.ephemeral() as instance:
        list(Reporter(instance, services, "spots").task(order, "cat"))
        clock.forward(hours=1)
        assert ledger.reports.unreported(10) == []
        orders.advance(order, State.SUBMITTED)
        clock.forward(hours=1)
        [(unreported, link)] = ledger.reports.unreported(10)
        assert (unreported.task_id, link.reported) == ("t-1", "ordered")
        list(Reporter(instance, services, "spots").task(order, "cat"))
        assert ledger.reports.unreported(10) == []
        ledger.reports.mark_reported({link: Reported.STORED})
        ledger.reports.mark_task(link, Reported.SUBMITTED)
    assert ledger.reports.links(order.order_id)[0].reported == "stored"


def test_an_order_is_reported_as_it_is_now(ledger, orders):
    """An order that was submitted since it was read is reported as submitted, once."""
    [order] = orders.place("cat")
    orders.advance(order, State.SUBMITTED)
    services = Services(ledger=ledger, open_client=lambda: None, store=None)
    with dg.DagsterInstance.ephemeral() as instance:
        events = list(Reporter(instance, services, "spots").task(order, "cat"))
    assert [event.metadata["seedance/task_id"].value for event in events] == ["t-1"]


@pytest.mark.parametrize("reported", ["submitted", "stored"])
def test_the_ledger_notes_a_report_last(ledger, orders, reported):
    """A process that is killed while Dagster stores its event leaves an order that is reported again."""
    order = orders.make(State(reported))
    event = Stored(order, None) if order.state is State.STORED else Submitted(order)
    services = Services(ledger=ledger, open_client=lambda: None, store=VideoStore(None, "videos"))
    with dg.DagsterInstance.ephemeral() as instance:
        marks = [ledger.reports.links(1)[0].reported for _ in Reporter(instance, services).event(event)]
    assert set(marks) == {None}
    assert ledger.reports.links(1)[0].reported == reported


def test_no_time_is_negative():
    """Times of the vendor that contradict each other give no metadata, rather than a time below 0."""
    created = datetime(2026, 4, 6, 12, tzinfo=UTC)
    order = make_order(
        state=State.STORED,
        vendor_created_at=created,
        vendor_started_at=created + timedelta(seconds=5),
        vendor_ended_at=created,
    )
    metadata = video_event(order, Link("spots", "p1", 1), unreached_store(), None, {}).metadata
    assert metadata["seedance/queue_s"].value == 5.0
    assert "seedance/render_s" not in metadata
