"""Repairs that two systems confirm, each noted in the journal; no money is spent and nothing is deleted."""

from __future__ import annotations

from dataclasses import dataclass

from seedance_dagster.api.errors import SeedanceError
from seedance_dagster.audit.assets import task_location
from seedance_dagster.audit.audit import Audit
from seedance_dagster.audit.events import Orchestrator, current_orders, event_location
from seedance_dagster.audit.evidence import NotRepairableError, OrderFacts, facts_of
from seedance_dagster.audit.facts import order_facts
from seedance_dagster.audit.findings import Finding, Kind
from seedance_dagster.audit.objects import ObjectRepairer
from seedance_dagster.audit.restore import Restorer
from seedance_dagster.audit.unmatched import find_unmatched
from seedance_dagster.engine.indexing import IndexingError, refresh_index
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.threads import in_thread

_MEDIA = frozenset({Kind.MISSING_IN_S3, Kind.BYTES_CHANGED})
_WRITE = frozenset({Kind.MANIFEST_LOST, Kind.MANIFEST_ALTERED})
_REPORT = frozenset({Kind.NOT_MATERIALIZED, Kind.MATERIALIZATION_DIFFERS, Kind.TASK_MATERIALIZATION_DIFFERS})


@dataclass(frozen=True)
class RepairResult:
    """The result of one repair.

    Attributes:
        repaired: True when the sources agree now, or will after the next run.
        message: What was done and which two systems agree, or why nothing was done.
    """

    repaired: bool
    message: str


async def repair(
    audit: Audit, services: Services, orchestrator: Orchestrator, *, actor: str
) -> dict[Finding, RepairResult]:
    """Repair the findings of an audit, where two systems agree on the right value.

    The next run fetches lost or changed videos again if the vendor still has them. Posters are cut again
    from the stored video, manifests are written from the ledger, events are reported to Dagster again, and
    missing orders are restored from their manifests. Objects that are replaced are kept aside. Nothing is
    written that no second system confirms.

    Args:
        actor: The name of the person or program that repairs, for the journal.
    """
    repairer = _Repairer(audit, services, orchestrator, actor)
    # Sorted by kind, lost videos come first: a video that is fetched again needs nothing else.
    return {finding: await repairer.repair(finding) for finding in audit.findings}


class _Repairer:
    def __init__(self, audit: Audit, services: Services, orchestrator: Orchestrator, actor: str) -> None:
        self._services = services
        self._ledger = services.ledger
        self._orchestrator = orchestrator
        self._actor = actor
        self._snapshots = audit.snapshots
        self._orders = {order.order_id: order for order in audit.snapshots.ledger.orders}
        self._missing_orders = {
            evidence.finding(audit.snapshots): evidence
            for evidence in find_unmatched(audit.snapshots, audit.scope).missing_orders
        }
        self._current = current_orders(audit.snapshots)
        self._objects = ObjectRepairer(services, actor)
        self._restorer = Restorer(services, orchestrator, audit.snapshots, actor)
        self._lost_videos = {
            finding.order_id
            for finding in audit.findings
            if finding.kind in _MEDIA and "sha256" in finding.facts
        }
        self._fetched: set[int] = set()

    async def repair(self, finding: Finding) -> RepairResult:
        """Repair one finding."""
        try:
            return RepairResult(True, await self._repair(finding))
        except (NotRepairableError, IndexingError, LedgerError, StoreError, SeedanceError) as error:
            return RepairResult(False, str(error))

    async def _repair(self, finding: Finding) -> str:
        if finding.kind is Kind.MISSING_ORDER:
            return await self._restorer.restore(self._missing_orders[finding])
        if finding.kind is Kind.INDEX_DIFFERS:
            return await in_thread(self._write_index, finding)
        order = self._order_to_repair(finding)
        if finding.kind not in _MEDIA | _WRITE | _REPORT or order is None:
            raise NotRepairableError("an audit only reports it")
        if order.state is not State.STORED:
            raise NotRepairableError(f"the order is {order.state}, so it has no video to restore")
        if order.order_id in self._fetched:
            return "the next run repairs it when it fetches the video"
        if order.order_id in self._snapshots.ledger.damaged_rows:
            raise NotRepairableError("the ledger's row is damaged: repair that first")
        row = await in_thread(self._ledger.queries.get, order.order_id)
        if (row.state, row.sha256) != (order.state, order.sha256):
            raise NotRepairableError("the order changed during the audit: run it again")
        facts = order_facts(order, self._snapshots)
        if finding.kind in _MEDIA:
            return await self._repair_media(order, facts, finding)
        if finding.kind in _WRITE:
            return await in_thread(self._objects.write_manifest, order, facts)
        agreed = facts.vouch_for_ledger()
        return f"{await in_thread(self._report, order, finding)}: {agreed}"

    def _order_to_repair(self, finding: Finding) -> Order | None:
        """Return the order to work on: a wrong event is replaced by that of the current video."""
        order = self._orders.get(finding.order_id or 0)
        if finding.kind is not Kind.MATERIALIZATION_DIFFERS:
            return order
        own = set() if order is None else self._snapshots.ledger.partitions(order)
        locations = {event_location(*key): key for key in own}
        if order is not None and finding.location not in locations:
            raise NotRepairableError("it is at another video's partition: wipe it in Dagster")
        current = self._current.get(locations[finding.location]) if locations else None
        if current is None:
            raise NotRepairableError("no video is stored for its partition: wipe it in Dagster")
        return current

    async def _repair_media(self, order: Order, facts: OrderFacts, finding: Finding) -> str:
        if order.order_id in self._lost_videos:
            done = await self._objects.fetch_again(order, facts, finding)
            self._fetched.add(order.order_id)
            return done
        if "poster_sha256" not in finding.facts:
            raise NotRepairableError("the ledger does not say where its objects are")
        lost = order.manifest_key not in self._snapshots.storage.objects
        return await in_thread(self._objects.cut_poster, order, facts, manifest_lost=lost)

    def _write_index(self, finding: Finding) -> str:
        """Write an index again, if the one in S3 or the one in Dagster agrees with the ledger."""
        prompt_set = str(finding.prompt_set)
        agreed = facts_of(finding.evidence).vouch_for_ledger(("version",))
        # The old index is not kept aside: a copy in its folder would be read as a part of the new one.
        written = refresh_index(self._services, prompt_set, owner=self._actor, rebuild=True)
        if written is not None:
            self._orchestrator.report_index(written)
        return f"written and reported: {agreed}"

    def _report(self, order: Order, finding: Finding) -> str:
        for partition in self._snapshots.ledger.partitions(order):
            lost = partition not in self._snapshots.dagster.tasks and self._current.get(partition) == order
            if lost or task_location(*partition) == finding.location:
                self._orchestrator.report_task(order, *partition)
        if finding.kind is Kind.TASK_MATERIALIZATION_DIFFERS:
            return "reported to Dagster again"
        shown = self._orchestrator.report(order)
        self._ledger.repairs.note_repair(
            order, actor=self._actor, repaired="the video was reported to Dagster again"
        )
        if finding.kind is Kind.MATERIALIZATION_DIFFERS and not shown:
            # The wrong event stays the newest until the newer order ends; then one of the two is reported.
            raise NotRepairableError(
                "a newer order of its partition is under way: audit again when it has ended"
            )
        return "reported to Dagster again"
