"""The audit itself: count the orders on which all sources agree, verify the rest, name every difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace

from seedance_dagster.audit.compare import KINDS, compare
from seedance_dagster.audit.events import Orchestrator
from seedance_dagster.audit.findings import Finding, Kind
from seedance_dagster.audit.read import OrderReader
from seedance_dagster.audit.related import RelatedOrders
from seedance_dagster.audit.screen import AgreeingOrders, Screening
from seedance_dagster.audit.snapshots import GRACE, Scope, Snapshots
from seedance_dagster.audit.sources import READING, STEPS, Progress, Sources
from seedance_dagster.audit.verify import verify
from seedance_dagster.audit.weigh import weigh
from seedance_dagster.engine.indexing import is_due
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.index_state import IndexState
from seedance_dagster.threads import in_thread


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The numbers of things that an audit compared.

    Attributes:
        orders: Orders that were audited.
        vendor_tasks: Tasks in the vendor's history.
        materialized_partitions: Partitions with a video in Dagster.
        objects: Objects in S3.
        archived_entries: Entries of journals in their archive.
        replaced_objects: Objects that earlier repairs replaced and kept.
    """

    orders: int
    vendor_tasks: int
    materialized_partitions: int
    objects: int
    archived_entries: int
    replaced_objects: int


@dataclass(frozen=True)
class Audit:
    """The result of an audit; `findings` are sorted by kind, then by set and partition.

    Attributes:
        snapshots: Without the orders about which all sources agree.
    """

    scope: Scope
    snapshots: Snapshots
    compared: Compared
    findings: tuple[Finding, ...]

    @property
    def totals(self) -> Mapping[Kind, tuple[int, int]]:
        """The number of findings of each kind, and the points at stake."""
        counts, points = Counter[Kind](), Counter[Kind]()
        for difference in self.findings:
            counts[difference.kind] += 1
            points[difference.kind] += difference.cost_points
        return {kind: (counts[kind], points[kind]) for kind in KINDS if counts[kind]}


def no_progress(step: str, done: int, total: int) -> None:
    """Show no progress."""


async def audit(
    services: Services, orchestrator: Orchestrator, scope: Scope, *, progress: Progress = no_progress
) -> Audit:
    """Compare ledger, vendor, Dagster and S3 without changing anything.

    Args:
        progress: Called with the progress of each step, from several threads.

    Raises:
        StoreError: S3 cannot be read.
        LedgerError: The ledger cannot be read.
    """
    with closing(Sources(services, orchestrator, scope)) as sources:
        await sources.read(progress)
        indexes = await in_thread(_index_states, services, scope)
        lists, apart, owned_tasks = await in_thread(_related_orders, services, sources, scope)
        reader = OrderReader(services, sources, scope)
        progress(READING, STEPS, STEPS)
        screening = Screening(reader, services, orchestrator, scope, progress)
        agreeing, left = await screening.screen(lists)
        snapshots = await in_thread(reader.read_with_rest, [*apart, *left], owned_tasks)
        snapshots = await in_thread(_with_agreeing, snapshots, agreeing, indexes, services)
        reported = sources.partitions - len(snapshots.dagster.newest)
        snapshots = await verify(snapshots, services, orchestrator, scope, progress)
        compared = Compared(
            orders=agreeing.orders + sum(map(scope.covers, snapshots.ledger.orders)),
            vendor_tasks=len(snapshots.vendor.history),
            materialized_partitions=reported + len(snapshots.dagster.newest),
            objects=sources.objects,
            archived_entries=agreeing.archived_entries + sum(snapshots.ledger.archived_entries.values()),
            replaced_objects=sources.replaced_objects,
        )
    snapshots = weigh(snapshots, scope)
    return Audit(scope, snapshots, compared, compare(snapshots, scope, orchestrator.expected_metadata))


def _index_states(services: Services, scope: Scope) -> dict[str, IndexState | None]:
    """Return each set's index as it was last written."""
    ledger = services.ledger
    names = ledger.partitions.sets() if scope.prompt_set is None else {scope.prompt_set}
    return {name: ledger.indexes.state(name) for name in names}


def _related_orders(
    services: Services, sources: Sources, scope: Scope
) -> tuple[list[list[int]], list[int], set[str]]:
    """Return the orders that must be judged together, those to judge last, and the tasks that orders own."""
    related = RelatedOrders()
    related.add(services.ledger.repairs.outlines(scope.prompt_set), busy_since=sources.read_at - GRACE)
    related.add_events(sources.reported_tasks())
    return *related.sort(), related.owned_tasks


def _with_agreeing(
    snapshots: Snapshots,
    agreeing: AgreeingOrders,
    before: Mapping[str, IndexState | None],
    services: Services,
) -> Snapshots:
    """Return the snapshots of the remaining orders, completed with the results for the agreeing ones."""
    shown = agreeing.indexes.keys() | {name for name, videos in snapshots.ledger.videos.items() if videos}
    # An index that was written while videos were read may have other videos.
    indexes = {
        name: agreeing.indexes.get(name, "")
        for name in sorted(shown)
        if name in before
        and services.ledger.indexes.state(name) == before[name]
        and not is_due(services, name)
    }
    vendor = snapshots.vendor
    return replace(
        snapshots,
        ledger=replace(snapshots.ledger, indexes=indexes),
        vendor=replace(vendor, problem=agreeing.vendor_problem or vendor.problem),
        priced=agreeing.priced,
    )
