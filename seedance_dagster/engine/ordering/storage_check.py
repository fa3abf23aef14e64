"""The check of the store before anything is ordered: once a day, everything that storing a video needs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from seedance_dagster.engine.services import Services
from seedance_dagster.engine.worker import worker_name
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.storage.capabilities import examine
from seedance_dagster.storage.errors import StoreError

_GOOD_FOR = timedelta(days=1)
_LEASE = "storage check"
_LEASE_S = 60.0
_LOOK_S = 0.2


def check_storage(services: Services) -> None:
    """Check that finished videos can be stored: in full once a day, otherwise only that writing works.

    Raises:
        StoreError: They cannot; the message says why.
        LedgerError: The ledger cannot be read or written.
    """
    services.store.check_writable()
    if _was_checked(services):
        return
    with _alone(services.ledger):
        if _was_checked(services):  # meanwhile
            return
        blocking = [trial for trial in examine(services.store) if trial.blocks]
        if blocking:
            reasons = "; ".join(f"{trial.capability.name}: {trial.words}" for trial in blocking)
            raise StoreError(f"videos could not be stored ({reasons}); see `seedance-dagster check-storage`")
        services.ledger.observations.remember({_name(services): 1})


def _name(services: Services) -> str:
    return f"storage_checked:{services.store.configuration}"


def _was_checked(services: Services) -> bool:
    name = _name(services)
    checked = services.ledger.observations.recall(name).get(name)
    return checked is not None and services.clock() - checked.at < _GOOD_FOR


@contextmanager
def _alone(ledger: Ledger) -> Iterator[None]:
    """Wait until no other process tries the store: all use the same objects, and delete them."""
    owner = worker_name("storage check")
    deadline = time.monotonic() + _LEASE_S
    while not ledger.leases.acquire(_LEASE, owner, seconds=_LEASE_S) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    try:
        yield
    finally:
        ledger.leases.release(_LEASE, owner)
