"""Orders about which all four sources agree: they are counted, a group at a time, and not kept.

Nearly all orders are of this kind. The others are compared together afterwards.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from seedance_dagster.audit import events, vendor
from seedance_dagster.audit.assets import index_version
from seedance_dagster.audit.compare import compare
from seedance_dagster.audit.events import Orchestrator
from seedance_dagster.audit.findings import Kind
from seedance_dagster.audit.read import OrderReader, partitions_of
from seedance_dagster.audit.related import in_groups
from seedance_dagster.audit.snapshots import Scope, Snapshots
from seedance_dagster.audit.sources import Progress
from seedance_dagster.audit.verify import verify_objects, verify_tasks
from seedance_dagster.audit.weigh import weigh
from seedance_dagster.engine.services import Services
from seedance_dagster.health import priced_orders
from seedance_dagster.ledger.order import Order
from seedance_dagster.threads import in_thread

COMPARING = "Comparing orders"
GROUP = 1000
"""The number of orders that are compared at a time."""

_ABOUT_NO_ORDER = frozenset({Kind.SOURCE_UNAVAILABLE, Kind.ESTIMATE_OFF})


@dataclass
class AgreeingOrders:
    """The sums over the orders about which all sources agree.

    Attributes:
        orders: The number of those that were audited.
        archived_entries: The number of their entries in the journal's archive.
        priced: Those of them that price tables are compared with.
        indexes: The version of each set's index that has their videos only.
        vendor_problem: Why the vendor's tasks could not be read; None where they could.
    """

    orders: int = 0
    archived_entries: int = 0
    priced: list[Order] = field(default_factory=list)
    indexes: dict[str, str] = field(default_factory=dict)
    vendor_problem: str | None = None

    def add(self, order_ids: Collection[int], snapshots: Snapshots, scope: Scope) -> None:
        """Add some orders of snapshots."""
        orders = {order.order_id: order for order in snapshots.ledger.orders if order.order_id in order_ids}
        audited = list(filter(scope.covers, orders.values()))
        self.orders += len(audited)
        self.priced = priced_orders([*self.priced, *audited])
        archived = snapshots.ledger.archived_entries
        self.archived_entries += sum(archived.get(order_id, 0) for order_id in orders)
        for name, videos in snapshots.ledger.videos.items():
            agreeing = [video for video in videos if video.order.order_id in orders]
            before = self.indexes.get(name, "")
            self.indexes[name] = index_version(name, agreeing, snapshots, before=before)


@dataclass(frozen=True)
class Screening:
    """The comparison of orders, group by group; `reader` reads the snapshots of a group."""

    reader: OrderReader
    services: Services
    orchestrator: Orchestrator
    scope: Scope
    progress: Progress

    async def screen(self, lists: Collection[list[int]]) -> tuple[AgreeingOrders, list[int]]:
        """Return the sums over the orders about which all sources agree, and the ids of the other orders.

        Args:
            lists: Orders that must be judged together, none of them under way.

        Raises:
            StoreError: S3 cannot be read.
            LedgerError: The ledger cannot be read.
        """
        agreeing, left = AgreeingOrders(), list[int]()
        total, done = sum(map(len, lists)), 0
        for group in in_groups(lists, GROUP):
            ids = {order_id for together in group for order_id in together}
            part = await self._inspected(await in_thread(self.reader.read, sorted(ids)), agreeing)
            in_doubt = await in_thread(_doubtful_orders, part, self.orchestrator, self.scope)
            doubtful = {
                order_id for together in group if not in_doubt.isdisjoint(together) for order_id in together
            }
            await in_thread(agreeing.add, ids - doubtful, part, self.scope)
            left += sorted(doubtful)
            done += len(ids)
            self.progress(COMPARING, done, total)
        return agreeing, left

    async def _inspected(self, part: Snapshots, agreeing: AgreeingOrders) -> Snapshots:
        """Return snapshots with the objects inspected and, in a deep audit, all tasks read."""
        part = replace(
            part,
            storage=await in_thread(verify_objects, part, self.services.store, self.scope, self.progress),
        )
        if not self.scope.deep:
            return part
        if agreeing.vendor_problem is not None:  # the vendor is not asked for every group again
            return replace(part, vendor=replace(part.vendor, unread=part.ledger.owned_tasks))
        read = await verify_tasks(part, self.services, self.scope, self.progress)
        if read.problem != part.vendor.problem:
            agreeing.vendor_problem = read.problem
        return replace(part, vendor=read)


def _doubtful_orders(part: Snapshots, orchestrator: Orchestrator, scope: Scope) -> set[int]:
    """Return the ids of the orders about which the sources disagree, or may disagree."""
    expected, complete_since = orchestrator.expected_metadata, part.vendor.complete_since()
    unverified = {
        order.order_id
        for order in filter(scope.covers, part.ledger.orders)
        if not scope.deep and vendor.needs_verification(order, part.vendor, complete_since=complete_since)
    }
    part = weigh(part, scope)
    findings = [
        difference for difference in compare(part, scope, expected) if difference.kind not in _ABOUT_NO_ORDER
    ]
    unverified |= {difference.order_id for difference in findings if difference.order_id is not None}
    doubtful = {
        (difference.prompt_set, difference.partition)
        for difference in findings
        if difference.order_id is None
    }
    for name, keys in events.partitions_to_verify(part, scope, expected).items():
        doubtful |= {(name, key) for key in keys}
    partitions = {order.order_id: partitions_of(order, part.ledger) for order in part.ledger.orders}
    doubtful = doubtful.union(*(partitions[order_id] for order_id in unverified))
    if not doubtful.issubset(set().union(*partitions.values())):
        return set(partitions)  # something is wrong at a partition of none of these orders
    return {order_id for order_id, own in partitions.items() if not own.isdisjoint(doubtful)}
