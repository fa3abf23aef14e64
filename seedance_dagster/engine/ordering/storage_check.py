"""The check of the store before anything is ordered: once a day it is tried in every way it will be used."""

from __future__ import annotations

from datetime import timedelta

from seedance_dagster.engine.services import Services
from seedance_dagster.storage.capabilities import examine
from seedance_dagster.storage.s3 import StoreError

_GOOD_FOR = timedelta(days=1)


def check_storage(services: Services) -> None:
    """Check that finished videos can be stored; at least that something can be written now.

    Raises:
        StoreError: They cannot; the message says why.
        LedgerError: The ledger cannot be read or written.
    """
    observations, store = services.ledger.observations, services.store
    store.check_writable()
    name = f"storage_checked:{store.configuration}"
    checked = observations.recall(name).get(name)
    if checked is not None and services.clock() - checked.at < _GOOD_FOR:
        return
    blocking = [trial for trial in examine(store) if trial.blocks]
    if blocking:
        reasons = "; ".join(f"{trial.capability.name}: {trial.words}" for trial in blocking)
        raise StoreError(f"videos could not be stored ({reasons}); see `seedance-dagster check-storage`")
    observations.remember({name: 1})
