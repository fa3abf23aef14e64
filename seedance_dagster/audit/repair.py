"""Repair of what is safe to repair, each step in the journal; no money is spent and nothing is deleted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.errors import SeedanceError
from seedance_dagster.audit import storage
from seedance_dagster.audit.audit import Audit
from seedance_dagster.audit.events import Orchestrator, current_orders, differences, event_location
from seedance_dagster.audit.findings import Finding, Kind
from seedance_dagster.audit.missing_orders import MissingOrderEvidence, order_columns
from seedance_dagster.audit.storage import expected_manifest
from seedance_dagster.audit.unmatched import find_unmatched
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.download import DownloadError, DownloadLimits, check_link
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.order import Order, Reported, State
from seedance_dagster.storage.keys import object_metadata
from seedance_dagster.storage.s3 import StoreError
from seedance_dagster.threads import in_thread

_FETCH = frozenset({Kind.MISSING_IN_S3, Kind.BYTES_CHANGED})
_WRITE = frozenset({Kind.MANIFEST_LOST, Kind.MANIFEST_ALTERED})
_REPORT = frozenset({Kind.NOT_MATERIALIZED, Kind.MATERIALIZATION_DIFFERS})
_CONTRADICTS_LEDGER = frozenset({Kind.MANIFEST_ALTERED, Kind.MATERIALIZATION_DIFFERS, Kind.CHARGE_DIFFERS})

_COSTS_AGAIN = "generating it again costs money"


class NotRepairableError(Exception):
    """A finding was left as it is; the message says why."""


@dataclass(frozen=True)
class RepairResult:
    """The result of one repair.

    Attributes:
        repaired: True when the sources agree now, or will after the next run.
        message: What was done, or why nothing was done.
    """

    repaired: bool
    message: str


async def repair(
    audit: Audit, services: Services, orchestrator: Orchestrator, *, actor: str
) -> dict[Finding, RepairResult]:
    """Repair what an audit found, as far as that is safe.

    The next run fetches lost or changed videos again if the vendor still has them. Manifests are written from
    the ledger, events are reported to Dagster again, and missing orders are restored from their manifests.
    Where two sources contradict a row of the ledger, the row itself may be wrong and nothing is repaired.

    Args:
        actor: Who repairs, for the journal.
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
            evidence.finding(audit.snapshots.storage): evidence
            for evidence in find_unmatched(audit.snapshots, audit.scope).missing_orders
        }
        self._current = current_orders(audit.snapshots)
        self._fetched: set[int] = set()
        self._contradicted = _contradicted_orders(audit.findings)

    async def repair(self, finding: Finding) -> RepairResult:
        """Repair one finding."""
        try:
            return RepairResult(True, await self._repair(finding))
        except (NotRepairableError, LedgerError, StoreError, SeedanceError) as error:
            return RepairResult(False, str(error))

    async def _repair(self, finding: Finding) -> str:
        if finding.kind is Kind.MISSING_ORDER:
            return await in_thread(self._restore, self._missing_orders[finding])
        order = self._order_to_repair(finding)
        if finding.kind not in _FETCH | _WRITE | _REPORT or order is None:
            raise NotRepairableError("an audit only reports it")
        if order.state is not State.STORED:
            raise NotRepairableError(f"the order is {order.state}, so it has no video to restore")
        if order.order_id in self._fetched:
            return "the next run repairs it when it fetches the video"
        if finding.kind in _FETCH:
            return await self._fetch(order, finding)
        if order.order_id in self._contradicted:
            raise NotRepairableError("two other sources contradict the ledger: check which one is right")
        now = await in_thread(self._ledger.queries.get, order.order_id)
        if (now.state, now.sha256) != (order.state, order.sha256):
            raise NotRepairableError("the order changed during the audit: run it again")
        if finding.kind in _WRITE:
            return await in_thread(self._write_manifest, order)
        return await in_thread(self._report, order, finding.kind)

    def _order_to_repair(self, finding: Finding) -> Order | None:
        """Return the order to work on: a wrong event is replaced by that of the current video."""
        order = self._orders.get(finding.order_id or 0)
        if finding.kind is not Kind.MATERIALIZATION_DIFFERS:
            return order
        if order is not None and finding.location != event_location(order):
            raise NotRepairableError("it is at another video's partition: wipe it in Dagster")
        current = None if order is None else self._current.get((order.prompt_set, order.partition))
        if current is None:
            raise NotRepairableError("no video is stored for its partition: wipe it in Dagster")
        return current

    async def _fetch(self, order: Order, finding: Finding) -> str:
        async with self._services.open_client() as client:
            url = await self._video_url(client, order)
        await in_thread(
            self._ledger.repairs.fetch_again,
            order,
            actor=self._actor,
            video_url=url,
            reason=f"{finding.location}: {finding.message}",
        )
        self._fetched.add(order.order_id)
        return "the next run fetches it again"

    async def _video_url(self, client: SeedanceClient, order: Order) -> str:
        """Return a link that gives the video now; raises `NotRepairableError` or `SeedanceError`."""
        task = await client.get_task(str(order.task_id))
        if task.video_url is None:
            raise NotRepairableError(f"the vendor no longer has a link to it; {_COSTS_AGAIN}")
        limits = DownloadLimits(allow_private_hosts=self._services.policy.allow_private_hosts)
        try:
            # Checked first: a half-stored order is worth more than one that can never end.
            await check_link(task.video_url, limits=limits)
        except DownloadError as error:
            raise NotRepairableError(f"the vendor's link no longer works ({error}); {_COSTS_AGAIN}") from None
        return task.video_url

    def _write_manifest(self, order: Order) -> str:
        body = expected_manifest(order)
        if body is None:
            raise NotRepairableError("the ledger's row is too damaged to give a manifest")
        self._services.store.put_bytes(
            str(order.manifest_key),
            body,
            content_type="application/json",
            metadata=object_metadata(str(order.task_id), order.fingerprint),
            overwrite=True,
        )
        self._ledger.repairs.note_repair(
            order, actor=self._actor, repaired="the manifest was written from the ledger"
        )
        return "written from the ledger"

    def _report(self, order: Order, kind: Kind) -> str:
        shown = self._orchestrator.report(order)
        self._ledger.repairs.note_repair(
            order, actor=self._actor, repaired="the video was reported to Dagster again"
        )
        if kind is Kind.MATERIALIZATION_DIFFERS and not shown:
            # The wrong event stays the newest until the newer order ends; then one of the two is reported.
            raise NotRepairableError("a newer order of its partition is under way: audit again when it ended")
        return "reported to Dagster again"

    def _restore(self, evidence: MissingOrderEvidence) -> str:
        if evidence.manifest is None:
            raise NotRepairableError("there is no manifest to restore it from")
        columns = order_columns(evidence.manifest)
        if columns is None:
            raise NotRepairableError("its manifest was altered")
        self._check_manifest(evidence, columns)
        columns |= {
            "stored_at": self._snapshots.storage.objects[evidence.manifest.manifest_key].modified_at,
            # Without an event the next run reports it.
            "reported": None if evidence.event is None else Reported.STORED,
        }
        order = self._ledger.repairs.restore(
            columns,
            order_id=None if evidence.journal is None else evidence.journal.order_id,
            actor=self._actor,
            source=evidence.manifest.manifest_key,
        )
        return f"order {order.order_id} was restored from its manifest"

    def _check_manifest(self, evidence: MissingOrderEvidence, columns: Mapping[str, Any]) -> None:
        """Raise `NotRepairableError` where another source contradicts the manifest."""
        order = Order(order_id=0, state=State.STORED, **columns)
        against = [finding.message for finding in storage.compare(order, self._snapshots.storage)]
        if evidence.event is not None:
            expected = self._orchestrator.expected_metadata(order)
            against += differences(evidence.event, order, expected)
        if evidence.task is not None and evidence.task.points not in (None, order.points_charged or 0):
            against.append("the vendor's charge")
        if against:
            raise NotRepairableError(f"other sources contradict its manifest: {', '.join(against)}")


def _contradicted_orders(findings: Iterable[Finding]) -> set[int]:
    """Return orders whose row two other sources contradict: the row may be what is wrong."""
    kinds: defaultdict[int, set[Kind]] = defaultdict(set)
    for finding in findings:
        if finding.order_id is not None and finding.kind in _CONTRADICTS_LEDGER:
            kinds[finding.order_id].add(finding.kind)
    return {order_id for order_id, contradicting in kinds.items() if len(contradicting) > 1}
