"""The leases under which runs of the job `seedance_advance` share the work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event as ThreadEvent
from threading import Thread

from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.ledger import Ledger

REPORT_LEASE = "report"
"""The lease of the run that reports what killed runs did not."""

_LEASE_S = 60.0


def advancer_leases(max_advancers: int) -> list[str]:
    """Return the names of the leases of which each run of the job needs one."""
    return [f"advance {number}" for number in range(1, max_advancers + 1)]


def run_owner(run_id: str) -> str:
    """Return the name under which a run holds its leases."""
    return f"run {run_id}"


@contextmanager
def one_lease_of(ledger: Ledger, names: list[str], owner: str) -> Iterator[bool]:
    """Try to acquire one of some leases, and renew it in a thread while the block runs."""
    name = next((name for name in names if ledger.leases.acquire(name, owner, seconds=_LEASE_S)), None)
    if name is None:
        yield False
        return
    done = ThreadEvent()

    def renew() -> None:
        while not done.wait(_LEASE_S / 4):
            with suppress(LedgerUnavailableError):  # three more attempts before the lease expires
                ledger.leases.acquire(name, owner, seconds=_LEASE_S)

    renewal = Thread(target=renew, name=f"seedance-lease-{name}", daemon=True)
    renewal.start()
    try:
        yield True
    finally:
        done.set()
        renewal.join()
        with suppress(LedgerUnavailableError):
            ledger.leases.release(name, owner)  # otherwise it expires
