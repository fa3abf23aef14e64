"""Workers of the engine over real HTTP: side by side, stopped, in trouble; each order is paid once."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from plant_support import events_of, one_clock

from seedance_dagster.api.errors import AuthenticationError
from seedance_dagster.engine.events import Delayed, Stored, Submitted
from seedance_dagster.engine.runtime.background import in_background
from seedance_dagster.engine.runtime.pipeline import advance
from seedance_dagster.engine.stages.collect import Collector
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.order import State

pytestmark = pytest.mark.integration


def test_two_workers_on_one_ledger_order_once(start_engine):
    """Of two workers with the same orders, one submits and stores each order, and both end."""
    with start_engine() as engine:
        accepted = engine.place(*(f"prompt {number}" for number in range(8)))
        ids = [placement.order.order_id for placement in accepted]

        async def both() -> list[list[object]]:
            return await asyncio.gather(
                *(events_of(engine.services, owner=owner, only=ids) for owner in ("one", "two"))
            )

        for events in asyncio.run(both()):
            assert sum(isinstance(event, Stored) for event in events) == 8
        engine.assert_paid_once(8)


@pytest.mark.further
def test_a_stopped_worker_releases_everything(start_engine):
    """A worker stopped in the middle releases its orders, and another worker finishes them."""
    with start_engine(render_seconds=0.3) as engine:
        accepted = engine.place(*(f"prompt {number}" for number in range(6)))

        ids = [placement.order.order_id for placement in accepted]
        with in_background(partial(advance, engine.services, owner="one", only=ids)) as events:
            next(events)
        assert {order.lease_owner for order in engine.services.ledger.queries.find()} == {None}
        engine.run(accepted, owner="two")
        assert set(engine.states().values()) == {State.STORED}
        engine.assert_paid_once(6)


@pytest.mark.long
def test_a_waiting_run_collects_what_holds_its_slots(start_engine):
    """Without a sensor, the finished tasks of a terminated run keep no other run waiting (case m33)."""
    with start_engine({"max_in_flight": 2}) as engine:
        left = engine.place("a cat", "a dog")
        with in_background(
            partial(
                advance,
                engine.services,
                owner="terminated",
                only=[placement.order.order_id for placement in left],
            )
        ) as events:
            assert {type(next(events)) for _ in left} == {Submitted}
        assert set(engine.states().values()) <= {State.SUBMITTED, State.SUCCEEDED}
        mine = engine.place("a hen", "a cow", name="others")
        engine.run(mine, owner="waiting")
        assert set(engine.states("others").values()) == {State.STORED}
        engine.assert_paid_once(4)


def test_a_time_box_ends_the_work(start_engine):
    """A worker whose time box is over takes nothing new and leaves the rest due."""
    with start_engine() as engine:
        engine.place("a cat")
        assert asyncio.run(events_of(engine.services, owner="w", time_box_s=-1)) == []
        assert set(engine.states().values()) == {State.QUEUED}


def test_an_unavailable_ledger_loses_nothing(start_engine, monkeypatch):
    """The run goes on when the ledger is back, whichever write failed: all is stored, and paid once."""
    failures = {"holds": 2, "submitted": 12, "polled": 1, "succeeded": 2, "stored": 2}
    left = dict(failures)

    def failing(write, works):
        def call(*args, **kwargs):
            if left[write]:
                left[write] -= 1
                raise LedgerUnavailableError("the ledger is locked")
            return works(*args, **kwargs)

        return call

    with start_engine() as engine:
        one_clock(engine)
        # A link that comes late makes sure that a poll is noted.
        accepted = engine.place("a cat [fault:late-url*3]", "a dog [fault:late-url*3]")
        for write in failures:
            part = engine.services.ledger.leases if write == "holds" else engine.services.ledger.tasks
            monkeypatch.setattr(part, write, failing(write, getattr(part, write)))
        events = engine.run(accepted)
        assert left == dict.fromkeys(failures, 0)
        assert sum(isinstance(event, Stored) for event in events) == 2
        engine.assert_paid_once(2)


@pytest.mark.further
def test_an_unexpected_error_with_one_order_does_not_stop_the_others(start_engine, monkeypatch):
    """An unexpected error is reported with its order; the run gives it up, the next one resumes it."""
    handle = Collector.handle

    async def surprised(self, order):
        if order.partition == "p0":
            raise RuntimeError("canary of a signed link")
        await handle(self, order)

    with start_engine() as engine:
        accepted = engine.place("a cat", "a dog")
        with monkeypatch.context() as patch:
            patch.setattr(Collector, "handle", surprised)
            events = engine.run(accepted)
        assert [event.order.partition for event in events if isinstance(event, Stored)] == ["p1"]
        assert "p0: internal error: RuntimeError" in [e.reason for e in events if isinstance(e, Delayed)]
        assert engine.services.ledger.queries.latest("spots")["p0"].lease_owner is None
        engine.run(accepted, owner="next")
        assert set(engine.states().values()) == {State.STORED}
        engine.assert_paid_once(2)


def test_a_run_s_error_reaches_its_caller(start_engine):
    """An error that ends the engine itself, such as a missing key, is raised where its events are read."""
    with start_engine() as engine:
        accepted = engine.place("a cat")

        def no_key():
            raise AuthenticationError("no API key: set GOAPI_API_KEY to your key")

        object.__setattr__(engine.services, "open_client", no_key)
        with pytest.raises(AuthenticationError, match="GOAPI_API_KEY"):
            engine.run(accepted)
        assert set(engine.states().values()) == {State.QUEUED}
