"""A worker's life: its lease is held, renewed and released, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace

import pytest

from seedance_dagster.api.errors import AuthenticationError
from seedance_dagster.engine.policy import Policy
from seedance_dagster.engine.worker import worker_name, working
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest

REQUEST = OrderRequest(idempotency_key="c", run_id="r")


class Locks:
    """Counts the writes of a ledger's leases; those that `locked` says fail."""

    def __init__(self, ledger, monkeypatch) -> None:
        self.acquired = self.failed = 0
        self.locked = lambda: False
        acquire, release = ledger.leases.acquire, ledger.tasks.release

        def checked_acquire(name, owner, *, seconds):
            self.fail_if_locked()
            self.acquired += 1
            return acquire(name, owner, seconds=seconds)

        def checked_release(owner, *, possibly_sent):
            self.fail_if_locked()
            release(owner, possibly_sent=possibly_sent)

        monkeypatch.setattr(ledger.leases, "acquire", checked_acquire)
        monkeypatch.setattr(ledger.tasks, "release", checked_release)

    def fail_if_locked(self) -> None:
        if self.locked():
            self.failed += 1
            raise LedgerUnavailableError("locked")


@pytest.fixture
def locks(ledger, monkeypatch):
    return Locks(ledger, monkeypatch)


@pytest.fixture
def services(ledger):
    closed: list[bool] = []

    @contextlib.asynccontextmanager
    async def open_client():
        try:
            yield "client"
        finally:
            closed.append(True)

    policy = Policy(lease_s=0.004)
    return SimpleNamespace(ledger=ledger, policy=policy, open_client=open_client, closed=closed)


async def until(true) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110  a thread's doing cannot be awaited
            await asyncio.sleep(0.001)


def test_a_run_that_goes_on_in_another_process_is_another_worker(ledger, new_order):
    """A resumed run does not return the claim of its dead process: the POST may have left."""
    dead, resumed = worker_name("run r"), worker_name("run r")
    ledger.orders.place([new_order()], REQUEST)
    ledger.claims.take(dead, limit=1, max_in_flight=None)
    ledger.leases.acquire(resumed, resumed, seconds=60)
    ledger.tasks.release(resumed)
    assert [order.state for order in ledger.queries.find()] == [State.CLAIMED]
    assert [order.state for order in ledger.claims.expire(actor=resumed)] == [State.UNCERTAIN]


async def test_a_worker_holds_renews_and_releases_its_lease(services, ledger, locks, new_order):
    """The lease is renewed while the work lasts; then a claim that may have been sent becomes uncertain."""
    ledger.orders.place([new_order("sent"), new_order("unsent")], REQUEST)
    async with working(services, "w") as worker:
        assert (worker.name, worker.client) == ("w", "client")
        assert ledger.leases.owner_of("w") == "w"
        await until(lambda: locks.acquired > 3)
        sent, unsent = ledger.claims.take("w", limit=2, max_in_flight=None)
        worker.possibly_sent.add(sent.order_id)
    assert ledger.queries.get(sent.order_id).state is State.UNCERTAIN
    assert ledger.queries.get(unsent.order_id).state is State.QUEUED
    assert ledger.leases.owner_of("w") is None
    assert services.closed == [True]
    acquired = locks.acquired
    await asyncio.sleep(0.005)
    assert locks.acquired == acquired


async def test_a_failed_renewal_is_retried(services, locks):
    """A worker outlives a ledger that is unavailable for a while."""
    async with working(services, "w"):
        locks.locked = lambda: locks.failed < 2
        await until(lambda: locks.failed == 2)
        acquired = locks.acquired
        await until(lambda: locks.acquired > acquired)


async def test_a_worker_ends_although_the_ledger_is_unavailable(services, ledger, locks):
    """A lease that cannot be released is left to expire."""
    async with working(services, "w"):
        locks.locked = lambda: True
    assert ledger.leases.owner_of("w") == "w"


@pytest.mark.parametrize("end", [asyncio.CancelledError, RuntimeError, KeyboardInterrupt])
async def test_the_lease_is_released_however_the_work_ends(services, ledger, end):
    """An error, a cancellation and an interrupt release the lease."""
    with pytest.raises(end):
        async with working(services, "w"):
            raise end
    assert ledger.leases.owner_of("w") is None


async def test_no_work_begins_without_a_key_or_a_ledger(services, locks):
    """A missing key acquires no lease, and an unavailable ledger leaves no client open."""

    def no_key():
        raise AuthenticationError("no API key: set GOAPI_API_KEY to your key")

    keyless = SimpleNamespace(**vars(services) | {"open_client": no_key})
    with pytest.raises(AuthenticationError):
        async with working(keyless, "w"):
            pass
    assert locks.acquired == 0
    locks.locked = lambda: True
    with pytest.raises(LedgerUnavailableError):
        async with working(services, "w"):
            pass
    assert locks.acquired == 0
    assert services.closed == [True]
