"""Reading of snapshots, of some orders or of everything; the ledger is read last.

It then knows everything that the other sources show, so nothing that arrives meanwhile looks unmatched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import closing
from dataclasses import replace
from itertools import chain

from seedance_dagster.audit.events import Orchestrator
from seedance_dagster.audit.records import read_journals
from seedance_dagster.audit.snapshots import LedgerSnapshot, Scope, Snapshots
from seedance_dagster.audit.sources import READING, STEPS, Progress, Sources
from seedance_dagster.engine.journals import JournalReader
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.repairs import MissingOrder
from seedance_dagster.storage.keys import object_keys
from seedance_dagster.threads import in_thread


async def read_snapshots(
    services: Services,
    orchestrator: Orchestrator,
    scope: Scope,
    progress: Progress,
    *,
    sets: Collection[str] = (),
) -> Snapshots:
    """Read all four snapshots whole.

    Args:
        scope: It covers all sets.
        progress: Called with each snapshot that was read.
        sets: Prompt sets whose events are read even where neither ledger nor S3 knows them.

    Raises:
        StoreError: S3 cannot be listed.
        LedgerError: The ledger cannot be read.
    """
    with closing(Sources(services, orchestrator, scope)) as sources:
        await sources.read(progress, sets=sets)
        ids = await in_thread(services.ledger.queries.ids)
        snapshots = await in_thread(OrderReader(services, sources, scope).read_with_rest, ids, frozenset())
    progress(READING, STEPS, STEPS)
    return snapshots


class OrderReader:
    """A reader of snapshots of some orders."""

    def __init__(self, services: Services, sources: Sources, scope: Scope) -> None:
        self._services, self._sources, self._scope = services, sources, scope
        self._journals = JournalReader(services.ledger, lambda: services.store)
        self._complete_since = sources.vendor.complete_since()

    def read(self, order_ids: Collection[int]) -> Snapshots:
        """Return snapshots of orders, with their partitions, folders and tasks."""
        ledger, vendor = self._read_ledger(order_ids), self._sources.vendor
        history = {
            task_id: vendor.history[task_id] for task_id in ledger.owned_tasks if task_id in vendor.history
        }
        return Snapshots(
            read_at=self._sources.read_at,
            ledger=ledger,
            vendor=replace(vendor, history=history, first_at=self._complete_since),
            storage=self._sources.storage(self._folders(ledger.orders)),
            dagster=self._sources.dagster(_partitions(ledger)),
        )

    def read_with_rest(self, order_ids: Collection[int], owned_tasks: Collection[str]) -> Snapshots:
        """Return snapshots of orders, and of everything that was never read with an order.

        Args:
            order_ids: The orders.
            owned_tasks: The tasks of orders that were read before.
        """
        ledger, repairs = self._read_ledger(order_ids), self._services.ledger
        dagster = self._sources.dagster(_partitions(ledger), rest=True)
        vendor = self._sources.vendor
        own = ledger.owned_tasks.union(owned_tasks)
        others = {*vendor.history, *dagster.reported, *dagster.submitted} - own
        missing = self._journals.read(repairs.repairs.missing_orders())
        ledger = replace(
            ledger,
            missing_orders=tuple(
                MissingOrder.of(journal.entries) for journal in missing.values() if journal.entries
            ),
            owned_tasks=own | repairs.reconciliation.owned_tasks(others),
            archive_problems=self._journals.problems,
        )
        return Snapshots(
            read_at=self._sources.read_at,
            ledger=ledger,
            vendor=vendor,
            storage=self._sources.storage(self._folders(ledger.orders), rest=True),
            dagster=dagster,
        )

    def _read_ledger(self, order_ids: Collection[int]) -> LedgerSnapshot:
        ledger, scope = self._services.ledger, self._scope
        links = ledger.partitions.links_of(order_ids)
        keys: defaultdict[str, set[str]] = defaultdict(set)
        for link in chain.from_iterable(links.values()):
            if scope.covers_set(link.prompt_set):
                keys[link.prompt_set].add(link.partition)
        videos = {name: ledger.videos.current_among(name, sorted(keys[name])) for name in sorted(keys)}
        current = {(name, video.partition): video.order for name in videos for video in videos[name]}
        shown = {order.order_id: order for order in current.values()}
        others = ledger.queries.get_many(order_id for order_id in order_ids if order_id not in shown)
        # The videos first, which other sets may have made; none of them is read twice.
        orders = shown | {order.order_id: order for order in others if scope.covers_set(order.prompt_set)}
        orders = {order_id: orders[order_id] for order_id in sorted(orders)}
        journals = read_journals(self._journals, orders)
        return LedgerSnapshot(
            orders=tuple(orders.values()),
            owned_tasks=frozenset(order.task_id for order in orders.values() if order.task_id is not None),
            current_videos={partition: order.order_id for partition, order in current.items()},
            links=links | ledger.partitions.links_of(orders.keys() - links.keys()),
            journal_problems=journals.problems,
            archived_entries=journals.archived_entries,
            videos=videos,
        )

    def _folders(self, orders: Iterable[Order]) -> set[str]:
        """Return the folders that orders write to or name."""
        keys = set[str | None]()
        for order in orders:
            prefix, identity = self._services.store.prefix, (order.fingerprint, order.attempt)
            keys.add(object_keys(prefix, order.prompt_set, order.partition, *identity).video)
            keys |= {order.video_key, order.poster_key, order.manifest_key}
        return {key.rpartition("/")[0] for key in keys if key is not None}


def partitions_of(order: Order, ledger: LedgerSnapshot) -> set[tuple[str, str]]:
    """Return the partitions that an order was made for or given to."""
    return {(order.prompt_set, order.partition)} | ledger.partitions(order)


def _partitions(ledger: LedgerSnapshot) -> set[tuple[str, str]]:
    return set[tuple[str, str]]().union(*(partitions_of(order, ledger) for order in ledger.orders))
