"""Repairs what is safe to repair, each repair journalled; no money moves and nothing is deleted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.errors import SeedanceError
from seedance_dagster.audit import storage
from seedance_dagster.audit.audit import Audit
from seedance_dagster.audit.events import Orchestrator, differences, place_of, shown_orders
from seedance_dagster.audit.findings import Finding, Kind
from seedance_dagster.audit.manifests import expected_manifest
from seedance_dagster.audit.removed import MissingOrderEvidence
from seedance_dagster.audit.restore import row_of
from seedance_dagster.audit.unmatched import unmatched
from seedance_dagster.engine.services import Services
from seedance_dagster.engine.stages.download import DownloadError, DownloadLimits, check_link
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.order import Order, Reported, State
from seedance_dagster.storage.keys import object_metadata
from seedance_dagster.storage.s3 import StoreError
from seedance_dagster.threads import in_thread

_FETCHED = frozenset({Kind.MISSING_IN_S3, Kind.BYTES_CHANGED})
_WRITTEN = frozenset({Kind.MANIFEST_LOST, Kind.MANIFEST_ALTERED})
_TOLD = frozenset({Kind.NOT_MATERIALIZED, Kind.MATERIALIZATION_DIFFERS})
_AGAINST_THE_LEDGER = frozenset({Kind.MANIFEST_ALTERED, Kind.MATERIALIZATION_DIFFERS, Kind.CHARGE_DIFFERS})

_PAID_AGAIN = "generating it again is paid for"


class NotRepairableError(Exception):
    """Nothing was changed; the message says why."""


@dataclass(frozen=True)
class RepairResult:
    """What a repair came to.

    Attributes:
        mended: True when the books agree now, or will with the next run.
        what: What was done, or why nothing was.
    """

    repaired: bool
    what: str


async def repair(
    found: Audit, services: Services, orchestrator: Orchestrator, *, actor: str
) -> dict[Finding, RepairResult]:
    """Mend what an audit found, as far as that is safe.

    Videos that are lost or changed are fetched again by the next run, if the vendor still has them; manifests
    are written from the ledger, Dagster is told again, and rows that are gone are written from their
    manifests. Where two other books speak against a row of the ledger, the row itself is in doubt and
    nothing is made to agree with it.

    Args:
        found: The audit.
        services: The engine's surroundings.
        orchestrator: Dagster.
        actor: Who does it, for the journal.
    """
    repairer = _Repairer(found, services, orchestrator, actor)
    # By kind: lost videos come first, and what is fetched again needs nothing else.
    return {each: await repairer.mend(each) for each in found.findings}


class _Repairer:
    def __init__(self, found: Audit, services: Services, orchestrator: Orchestrator, actor: str) -> None:
        self._services = services
        self._ledger = services.ledger
        self._orchestrator = orchestrator
        self._actor = actor
        self._books = found.books
        self._orders = {order.order_id: order for order in found.books.ledger.orders}
        self._removed = {
            removed.finding(found.books.storage): removed
            for removed in unmatched(found.books, found.scope).removed
        }
        self._shown = shown_orders(found.books)
        self._fetched: set[int] = set()
        self._doubtful = _contradicted(found.findings)

    async def mend(self, each: Finding) -> RepairResult:
        """Mend one finding."""
        try:
            return RepairResult(True, await self._mend(each))
        except (NotRepairableError, LedgerError, StoreError, SeedanceError) as error:
            return RepairResult(False, str(error))

    async def _mend(self, each: Finding) -> str:
        if each.kind is Kind.MISSING_ORDER:
            return await in_thread(self._restore, self._removed[each])
        order = self._subject(each)
        if each.kind not in _FETCHED | _WRITTEN | _TOLD or order is None:
            raise NotRepairableError("an audit only names it")
        if order.state is not State.STORED:
            raise NotRepairableError(f"the order is {order.state}, so there is nothing to make it agree with")
        if order.order_id in self._fetched:
            return "the run that fetches the video does it"
        if each.kind in _FETCHED:
            return await self._fetch(order, each)
        if order.order_id in self._doubtful:
            raise NotRepairableError("two other books speak against the ledger's row: look at it first")
        now = await in_thread(self._ledger.queries.get, order.order_id)
        if (now.state, now.sha256) != (order.state, order.sha256):
            raise NotRepairableError("the order moved on meanwhile: audit again")
        if each.kind in _WRITTEN:
            return await in_thread(self._write, order)
        return await in_thread(self._tell, order, each.kind)

    def _subject(self, each: Finding) -> Order | None:
        """The order to work on: a wrong event is covered by the video that its partition should show."""
        order = self._orders.get(each.order_id or 0)
        if each.kind is not Kind.MATERIALIZATION_DIFFERS:
            return order
        if order is not None and each.where != place_of(order):
            raise NotRepairableError("it stands at another video's partition: wipe it in Dagster")
        shown = None if order is None else self._shown.get((order.prompt_set, order.partition))
        if shown is None:
            raise NotRepairableError("nothing is stored for its partition: wipe it in Dagster")
        return shown

    async def _fetch(self, order: Order, each: Finding) -> str:
        async with self._services.open_client() as client:
            url = await self._link(client, order)
        await in_thread(
            self._ledger.repairs.fetch_again,
            order,
            actor=self._actor,
            video_url=url,
            reason=f"{each.where}: {each.what}",
        )
        self._fetched.add(order.order_id)
        return "the next run fetches it again"

    async def _link(self, client: SeedanceClient, order: Order) -> str:
        """A link that gives the video now; raises `NotRepairableError` or `SeedanceError`."""
        task = await client.get_task(str(order.task_id))
        if task.video_url is None:
            raise NotRepairableError(f"the vendor gives no link to it any more; {_PAID_AGAIN}")
        limits = DownloadLimits(allow_private_hosts=self._services.policy.allow_private_hosts)
        try:
            # Looked at first: what is stored by half is worth more than an order that nothing can end.
            await check_link(task.video_url, limits=limits)
        except DownloadError as error:
            raise NotRepairableError(
                f"the vendor's link does not give it any more ({error}); {_PAID_AGAIN}"
            ) from None
        return task.video_url

    def _write(self, order: Order) -> str:
        body = expected_manifest(order)
        if body is None:
            raise NotRepairableError("the ledger's row is too broken to make a manifest of")
        self._services.store.put_bytes(
            str(order.manifest_key),
            body,
            content_type="application/json",
            metadata=object_metadata(str(order.task_id), order.fingerprint),
            overwrite=True,
        )
        self._ledger.repairs.note_repair(
            order, actor=self._actor, what="the manifest was written from the ledger"
        )
        return "written from the ledger"

    def _tell(self, order: Order, kind: Kind) -> str:
        shows = self._orchestrator.tell(order)
        self._ledger.repairs.note_repair(order, actor=self._actor, what="Dagster was told of the video again")
        if kind is Kind.MATERIALIZATION_DIFFERS and not shows:
            # The wrong event stays the newest until the better order ended; then either of them is told.
            raise NotRepairableError(
                "a newer order of its partition is under way: audit again once that ended"
            )
        return "Dagster was told again"

    def _restore(self, removed: MissingOrderEvidence) -> str:
        if removed.manifest is None:
            raise NotRepairableError("there is no manifest to write its row from")
        values = row_of(removed.manifest)
        if values is None:
            raise NotRepairableError("its manifest is not as it was written")
        self._check(removed, values)
        values |= {
            "stored_at": self._books.storage.objects[removed.manifest.manifest_key].modified_at,
            # What Dagster was told stays told; else the next run tells of it.
            "reported": None if removed.telling is None else Reported.STORED,
        }
        order = self._ledger.repairs.restore(
            values,
            order_id=None if removed.journal is None else removed.journal.order_id,
            actor=self._actor,
            source=removed.manifest.manifest_key,
        )
        return f"order {order.order_id} was written from its manifest"

    def _check(self, removed: MissingOrderEvidence, values: Mapping[str, Any]) -> None:
        """Raise `NotRepairableError` where another book speaks against the manifest."""
        order = Order(order_id=0, state=State.STORED, **values)
        against = [each.what for each in storage.compare(order, self._books.storage)]
        if removed.telling is not None:
            against += differences(removed.telling, order, self._orchestrator.expected(order))
        if removed.row is not None and removed.row.points not in (None, order.points_charged or 0):
            against.append("the vendor's charge")
        if against:
            raise NotRepairableError(f"other books speak against its manifest: {', '.join(against)}")


def _contradicted(findings: Iterable[Finding]) -> set[int]:
    """Orders whose row two other books speak against: the row may be what is wrong."""
    against: defaultdict[int, set[Kind]] = defaultdict(set)
    for each in findings:
        if each.order_id is not None and each.kind in _AGAINST_THE_LEDGER:
            against[each.order_id].add(each.kind)
    return {order_id for order_id, kinds in against.items() if len(kinds) > 1}
