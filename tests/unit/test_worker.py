"""A worker's life: the leases of its orders are renewed and released, however it ends."""

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
    """Counts the renewals of a ledger's leases; those that `locked` says fail, and so does a release."""

    def __init__(self, ledger, monkeypatch) -> None:
        self.renewed = self.failed = 0
        self.locked = lambda: False
        renew, release = ledger.leases.renew, ledger.tasks.release

        def checked_renew(owner, order_ids, *, seconds):
            self.fail_if_locked()
            self.renewed += 1
            renew(owner, order_ids, seconds=seconds)

        def checked_release(owner, *, possibly_sent):
            self.fail_if_locked()
            release(owner, possibly_sent=possibly_sent)

        monkeypatch.setattr(ledger.leases, "renew", checked_renew)
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


def test_a_run_that_goes_on_in_another_process_is_another_worker(ledger, clock, new_order):
    """A resumed run does not return the claim of its dead process: the POST may have left."""
    dead, resumed = worker_name("run r"), worker_name("run r")
    ledger.orders.place([new_order()], REQUEST)
    [claimed] = ledger.claims.take(dead, limit=1, max_in_flight=None, lease_s=60)
    ledger.claims.mark_sent(claimed, account="mine")
    ledger.tasks.release(resumed)
    assert [order.state for order in ledger.queries.find()] == [State.CLAIMED]
    clock.forward(seconds=61)
    assert [order.state for order in ledger.claims.expire(actor=resumed)] == [State.UNCERTAIN]


async def test_a_worker_renews_what_it_has_in_hand_and_releases_all(
    services, ledger, locks, clock, new_order
):
    """Leases are renewed while the work lasts; then a claim that may have been sent becomes uncertain."""
    ledger.orders.place([new_order(name) for name in ("sent", "unsent", "lost")], REQUEST)
    async with working(services, "w") as worker:
        assert (worker.name, worker.client) == ("w", "client")
        sent, unsent, lost = ledger.claims.take("w", limit=3, max_in_flight=None, lease_s=60)
        clock.forward(seconds=59)
        worker.in_hand.append({sent.order_id})
        worker.unwritten.add(unsent.order_id)
        worker.possibly_sent.add(sent.order_id)
        renewed = locks.renewed
        await until(lambda: locks.renewed > renewed + 1)
        leased = {order.order_id: order.leased_at for order in ledger.queries.find()}
        assert leased == {sent.order_id: clock(), unsent.order_id: clock(), lost.order_id: lost.leased_at}
    states = [ledger.queries.get(order.order_id).state for order in (sent, unsent, lost)]
    assert states == [State.UNCERTAIN, State.QUEUED, State.QUEUED]
    assert services.closed == [True]
    renewed = locks.renewed
    await asyncio.sleep(0.005)
    assert locks.renewed == renewed


async def test_a_failed_renewal_is_retried(services, locks):
    """A worker outlives a ledger that is unavailable for a while."""
    async with working(services, "w"):
        locks.locked = lambda: locks.failed < 2
        await until(lambda: locks.failed == 2)
        renewed = locks.renewed
        await until(lambda: locks.renewed > renewed)


async def test_a_worker_ends_although_the_ledger_is_unavailable(services, ledger, locks, new_order):
    """Leases that cannot be released are left to expire."""
    ledger.orders.place([new_order()], REQUEST)
    async with working(services, "w"):
        ledger.claims.take("w", limit=1, max_in_flight=None)
        locks.locked = lambda: True
    assert [order.lease_owner for order in ledger.queries.find()] == ["w"]


@pytest.mark.parametrize("end", [asyncio.CancelledError, RuntimeError, KeyboardInterrupt])
async def test_orders_are_released_however_the_work_ends(services, ledger, new_order, end):
    """An error, a cancellation and an interrupt release them."""
    ledger.orders.place([new_order()], REQUEST)

    async def work() -> None:
        async with working(services, "w"):
            ledger.claims.take("w", limit=1, max_in_flight=None)
            raise end

    with pytest.raises(end):
        await work()
    assert [order.state for order in ledger.queries.find()] == [State.QUEUED]


async def test_no_work_begins_without_a_key(services):
    """Without a key an error is raised before any work begins."""

    def no_key():
        raise AuthenticationError("no API key: set GOAPI_API_KEY to your key")

    keyless = SimpleNamespace(**vars(services) | {"open_client": no_key})
    with pytest.raises(AuthenticationError):
        async with working(keyless, "w"):
            pytest.fail("there is no key")
