"""A restoration: the ledger to restore, and the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from seedance_dagster.api.errors import UnknownPriceError
from seedance_dagster.audit.events import Orchestrator
from seedance_dagster.audit.sources import Progress
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.ledger import Identity
from seedance_dagster.prompts.models import PromptSet
from seedance_dagster.restore.plan import Plan
from seedance_dagster.restore.planner import Planner
from seedance_dagster.restore.remains import read_remains
from seedance_dagster.restore.verdicts import missing_verdicts
from seedance_dagster.storage.owner import read_owner
from seedance_dagster.threads import in_thread


class RestoreError(Exception):
    """Nothing was restored; the message says why and what to do."""


@dataclass(frozen=True)
class Place:
    """The ledger to restore.

    Attributes:
        identity: Its identity: that of the ledger whose videos are at the prefix.
        is_new: True where a new ledger takes the place of a lost one.
    """

    identity: Identity
    is_new: bool


def find_place(services: Services) -> Place:
    """Return the ledger to restore: this one, or a lost one whose place it takes if it is empty.

    Raises:
        RestoreError: It has orders of its own while the prefix has another owner, or a worker uses it.
        StoreError: S3 cannot be read.
        LedgerError: The ledger cannot be read.
    """
    ledger, store = services.ledger, services.store
    owner, identity = read_owner(store), ledger.identity
    workers = sorted(ledger.restoration.workers())
    if workers:
        raise RestoreError(
            f"{', '.join(workers)} works with the ledger {ledger.label}: switch off seedance_sensor, let its "
            "runs end, and try again after a minute"
        )
    if owner is None or owner.ledger_id == identity.ledger_id:
        return Place(identity, is_new=False)
    if ledger.restoration.is_empty():
        return Place(Identity(owner.ledger_id, owner.created_at), is_new=True)
    raise RestoreError(
        f"the prefix {store.uri(store.prefix)} belongs to the ledger with the id {owner.ledger_id}, and "
        f"{ledger.label} has the id {identity.ledger_id} and orders of its own: set SEEDANCE_LEDGER_URL to a "
        "backup of that one, or to an empty database"
    )


async def plan_restoration(
    services: Services,
    orchestrator: Orchestrator,
    sets: Sequence[PromptSet],
    place: Place,
    *,
    progress: Progress,
) -> Plan:
    """Return the plan of a restoration; nothing is written.

    Args:
        services: The services, with the ledger.
        sets: The prompt sets as they are now.
        place: The ledger that is restored.
        progress: Called with the progress of each step.

    Raises:
        SeedanceError: The vendor cannot be read.
        StoreError: S3 cannot be read.
        LedgerError: The ledger cannot be read.
        RestoreError: The prices cannot be read.
    """
    try:
        catalog = services.load_catalog()
    except UnknownPriceError as error:
        raise RestoreError(str(error)) from None
    since = await in_thread(services.ledger.restoration.last_written)
    remains = await read_remains(
        services, orchestrator, sets, since=place.identity.created_at, progress=progress
    )
    planner = Planner(
        remains,
        orchestrator.expected_metadata,
        catalog,
        since,
        services.clock(),
        place.identity.ledger_id,
    )
    plan = await in_thread(planner.plan)
    verdicts = await in_thread(missing_verdicts, services.ledger, orchestrator, remains, plan.orders)
    return replace(plan, verdicts=verdicts)


def take_place(services: Services, place: Place) -> None:
    """Let the ledger take the place of a lost one, if it is new, and claim the prefix.

    Raises:
        LedgerError: Something was ordered in the ledger meanwhile.
        StoreError: The prefix belongs to another ledger, or S3 does not answer.
    """
    if place.is_new:
        services.ledger.take_identity(place.identity)
    elif services.ledger.identity.ledger_id != place.identity.ledger_id:
        raise LedgerError("the ledger is another one than when the plan was made: nothing was restored")
    services.claim_prefix()
