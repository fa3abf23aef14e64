"""Restoring of missing orders, where manifest and vendor agree on the request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from seedance_dagster.api.errors import NotFoundError
from seedance_dagster.api.wire import REFERENCE_KINDS, GenerationRequest, Task
from seedance_dagster.audit import storage
from seedance_dagster.audit.events import Orchestrator, differences
from seedance_dagster.audit.evidence import NotRepairableError
from seedance_dagster.audit.facts import echoed_request, manifest_facts
from seedance_dagster.audit.missing_orders import MissingOrderEvidence, order_columns, ordered_request
from seedance_dagster.audit.records import is_retry
from seedance_dagster.audit.snapshots import Snapshots
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import Order, Reported, State
from seedance_dagster.net.redaction import strip_query
from seedance_dagster.prompts.files import FileReference
from seedance_dagster.prompts.identity import fingerprint
from seedance_dagster.storage.manifest import Manifest
from seedance_dagster.threads import in_thread


@dataclass(frozen=True)
class Restorer:
    """A restorer of missing rows; the journal names `actor`."""

    services: Services
    orchestrator: Orchestrator
    snapshots: Snapshots
    actor: str

    async def restore(self, evidence: MissingOrderEvidence) -> str:
        """Restore a missing order from its manifest; return what was done.

        Raises:
            NotRepairableError: There is no manifest, or another source contradicts it or does not confirm it.
            SeedanceError: The vendor's task cannot be read.
            LedgerError: The order has a row again.
        """
        if evidence.manifest is None:
            raise NotRepairableError("there is no manifest to restore it from")
        if evidence.manifest.source is not None:
            raise NotRepairableError(
                "its task removed the watermark of another task's video, and does not show the request"
            )
        columns = order_columns(evidence.manifest)
        if columns is None:
            raise NotRepairableError("its manifest was altered")
        self._check_sources(evidence, columns)
        async with self.services.open_client() as client:
            try:
                task = await client.get_task(evidence.manifest.task_id)
            except NotFoundError:
                raise NotRepairableError(
                    "the vendor does not know its task, and the manifest alone proves nothing"
                ) from None
        columns |= {"request": confirmed_request(evidence.manifest, task).model_dump(mode="json")}
        return await in_thread(self._write, evidence, evidence.manifest, columns)

    def _check_sources(self, evidence: MissingOrderEvidence, columns: Mapping[str, Any]) -> None:
        """Raise `NotRepairableError` where another source contradicts the manifest."""
        order = Order(order_id=0, state=State.STORED, **columns)
        against = [finding.message for finding in storage.compare(order, self.snapshots.storage)]
        if evidence.event is not None:
            expected = self.orchestrator.expected_metadata(order)
            own = {(order.prompt_set, order.partition)}
            against += differences(evidence.event, order, expected, own)
        if evidence.task is not None and evidence.task.points not in (None, order.points_charged or 0):
            against.append("the vendor's charge")
        if against:
            raise NotRepairableError(f"other sources contradict its manifest: {', '.join(against)}")

    def _write(self, evidence: MissingOrderEvidence, manifest: Manifest, columns: dict[str, Any]) -> str:
        columns |= {
            "booked_at": self._booked_at(Order(order_id=0, state=State.STORED, **columns)),
            "stored_at": self.snapshots.storage.objects[manifest.manifest_key].modified_at,
        }
        order = self.services.ledger.repairs.restore(
            columns,
            order_id=None if evidence.journal is None else evidence.journal.order_id,
            actor=self.actor,
            source=manifest.manifest_key,
            reported=None if evidence.event is None else Reported.STORED,
        )
        return f"order {order.order_id} was restored: its manifest and the vendor's task agree"

    def _booked_at(self, order: Order) -> datetime:
        """Return the booking time of a restored order: a retry shares that of the attempt before it."""
        attempts = self.services.ledger.repairs.attempts(order.fingerprint, order.take)
        earlier = (row for row in attempts if is_retry(order, row))
        return next((row.booked_at for row in earlier), order.ordered_at)


def confirmed_request(manifest: Manifest, task: Task) -> GenerationRequest:
    """Return the request of a manifest that the vendor's task confirms, with the links that it was sent.

    Raises:
        NotRepairableError: The task renders something else, or the fingerprint is another request's.
    """
    ordered = manifest_facts(manifest.to_json())
    echoed = echoed_request(task, ordered)
    different = sorted(name for name, value in echoed.items() if name in ordered and ordered[name] != value)
    missing = sorted({"prompt"} - echoed.keys())
    if different or missing:
        names = ", ".join(different or missing)
        raise NotRepairableError(f"the vendor's task does not confirm its manifest: {names}")
    request = ordered_request(manifest)
    # A manifest has links without their queries, which may be part of what was ordered.
    linked = request.model_copy(update=_sent_links(manifest, request, task))
    for candidate in (linked, request):
        if fingerprint(candidate) == manifest.fingerprint:
            return candidate
    raise NotRepairableError("the fingerprint in its manifest is another request's")


def _sent_links(manifest: Manifest, request: GenerationRequest, task: Task) -> dict[str, tuple[str, ...]]:
    """Return the links of a request as the task echoes them, with their queries; files stay as they are."""
    links = {}
    for kind in REFERENCE_KINDS:
        name = f"{kind}_urls"
        echoed, sent = task.input.get(name), manifest.request["input"].get(name)
        if isinstance(echoed, list) and [strip_query(str(url)) for url in echoed] == sent:
            pairs = zip(getattr(request, name), map(str, echoed), strict=True)
            links[name] = tuple(own if FileReference.parse(own) else link for own, link in pairs)
    return links
