"""A worker's life: its lease is held, renewed and given back, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace

import pytest

from seedance_dagster.api.errors import AuthenticationError
from seedance_dagster.engine.policy import Policy
from seedance_dagster.engine.worker import worker_name, working
from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest


class Leases:
    """A ledger that notes who holds and releases; `gone` writes fail first."""

    def __init__(self) -> None:
        self.held = 0
        self.released: list[tuple[str, set[int]]] = []
        self.gone = 0
        self.gone_for_good = False

    def hold(self, name, owner, *, seconds):
        assert name == owner == "w"
        assert seconds == 0.004
        if self.gone_for_good or (self.held and self.gone):
            self.gone -= 1
            raise LedgerUnavailableError("locked")
        self.held += 1
        return True

    def release(self, owner, *, possibly_sent):
        if self.gone_for_good:
            raise LedgerUnavailableError("locked")
        self.released.append((owner, set(possibly_sent)))


@pytest.fixture
def ledger() -> Leases:
    return Leases()


@pytest.fixture
def services(ledger):
    closed: list[bool] = []

    @contextlib.asynccontextmanager
    async def open_client():
        yield "client"
        closed.append(True)

    policy = Policy(lease_s=0.004)
    return SimpleNamespace(ledger=ledger, policy=policy, open_client=open_client, closed=closed)


@pytest.fixture
def sqlite(tmp_path, clock):
    opened = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=clock)
    yield opened
    opened.close()


async def until(true) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110  a thread's doing cannot be awaited
            await asyncio.sleep(0.001)


def test_a_run_that_goes_on_in_another_process_is_another_worker(sqlite, new_order):
    """A dead process's claim is not given back by the one that resumes its run: its POST may have left."""
    dead, resumed = worker_name("run r"), worker_name("run r")
    sqlite.accept([new_order()], OrderRequest(idempotency_key="c", run_id="r"))
    sqlite.claim(dead, limit=1, max_in_flight=None)
    sqlite.hold(resumed, resumed, seconds=60)
    sqlite.release(resumed)
    assert [order.state for order in sqlite.find()] == [State.CLAIMED]
    assert [order.state for order in sqlite.expire_claims(actor=resumed)] == [State.UNCERTAIN]


async def test_a_worker_holds_renews_and_gives_back(services, ledger):
    """The lease is renewed while the work lasts; what may have left is left to become uncertain."""
    async with working(services, "w") as worker:
        assert (worker.name, worker.client) == ("w", "client")
        await until(lambda: ledger.held > 3)
        worker.possibly_sent.add(7)
    assert ledger.released == [("w", {7})]
    assert services.closed == [True]
    held = ledger.held
    await asyncio.sleep(0.005)
    assert ledger.held == held


async def test_a_renewal_that_fails_is_tried_again(services, ledger):
    """A ledger that is gone for a while costs no worker its life."""
    async with working(services, "w"):
        await until(lambda: ledger.held == 1)
        ledger.gone = 2
        await until(lambda: ledger.held > 2)
    assert ledger.gone == 0


async def test_a_worker_ends_although_the_ledger_is_gone(services, ledger):
    """Leases that cannot be released run out by themselves."""
    async with working(services, "w"):
        ledger.gone_for_good = True
    assert ledger.released == []


@pytest.mark.parametrize("end", [asyncio.CancelledError, RuntimeError, KeyboardInterrupt])
async def test_however_the_work_ends_everything_is_given_back(services, ledger, end):
    """A fault, a cancellation and an interrupt release the lease."""
    with pytest.raises(end):
        async with working(services, "w"):
            raise end
    assert ledger.released == [("w", set())]


async def test_without_a_key_or_a_ledger_no_work_begins(services, ledger):
    """A missing key holds no lease, and a missing ledger leaves no client open."""

    def no_key():
        raise AuthenticationError("no API key: set GOAPI_API_KEY to your key")

    keyless = SimpleNamespace(**vars(services) | {"open_client": no_key})
    with pytest.raises(AuthenticationError):
        async with working(keyless, "w"):
            pass
    assert ledger.held == 0
    ledger.gone_for_good = True
    with pytest.raises(LedgerUnavailableError):
        async with working(services, "w"):
            pass
    assert ledger.held == 0
