"""The audit itself: take the snapshots, verify what they leave open, and name every difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from seedance_dagster.audit import assets, events, records, storage, unmatched, vendor, weigh
from seedance_dagster.audit.events import Orchestrator
from seedance_dagster.audit.facts import order_facts
from seedance_dagster.audit.findings import Finding, Kind, finding
from seedance_dagster.audit.read import Progress, read_snapshots
from seedance_dagster.audit.snapshots import Scope, Snapshots
from seedance_dagster.audit.verify import verify
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import Order

_KINDS = list(Kind)


@dataclass(frozen=True)
class Audit:
    """The result of an audit; `findings` are sorted by kind, then by set and partition."""

    scope: Scope
    snapshots: Snapshots
    findings: tuple[Finding, ...]

    @property
    def audited(self) -> int:
        """The number of audited orders."""
        return sum(map(self.scope.covers, self.snapshots.ledger.orders))

    @property
    def totals(self) -> Mapping[Kind, tuple[int, int]]:
        """The number of findings of each kind, and the points at stake."""
        counts, points = Counter[Kind](), Counter[Kind]()
        for difference in self.findings:
            counts[difference.kind] += 1
            points[difference.kind] += difference.cost_points
        return {kind: (counts[kind], points[kind]) for kind in _KINDS if counts[kind]}


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
    snapshots = await read_snapshots(services, orchestrator, scope, progress)
    snapshots = await verify(snapshots, services, orchestrator, scope, progress)
    snapshots = weigh.weigh(snapshots, scope)
    return Audit(scope, snapshots, compare(snapshots, scope, orchestrator.expected_metadata))


def compare(
    snapshots: Snapshots, scope: Scope, expected_metadata: Callable[[Order], Mapping[str, Any]]
) -> tuple[Finding, ...]:
    """Return every difference between verified snapshots, with the evidence.

    Args:
        snapshots: With damaged rows replaced, see `weigh`.
        expected_metadata: Returns the metadata that the materialization of a stored order should have.
    """
    findings: list[Finding] = []
    audited = [order for order in snapshots.ledger.orders if scope.covers(order)]
    for order in audited:
        findings += vendor.compare(order, snapshots.vendor, now=snapshots.read_at)
        findings += storage.compare(order, snapshots.storage)
    findings += weigh.compare(snapshots)
    findings += records.compare(snapshots.ledger, scope, now=snapshots.read_at, uri=snapshots.storage.uri)
    findings += assets.compare(snapshots, scope)
    findings += events.compare(snapshots, scope, expected_metadata)
    findings += unmatched.compare(snapshots, scope)
    findings += vendor.outdated_prices(audited)
    if snapshots.vendor.problem is not None:
        findings.append(
            finding(
                Kind.SOURCE_UNAVAILABLE,
                location="the vendor's task history",
                message=snapshots.vendor.problem,
            )
        )
    orders = {order.order_id: order for order in audited} | dict(snapshots.ledger.damaged_rows)
    findings = [_with_evidence(each, orders, snapshots) for each in findings]
    return tuple(sorted(findings, key=_sort_key))


def _with_evidence(difference: Finding, orders: Mapping[int, Order], snapshots: Snapshots) -> Finding:
    order = orders.get(difference.order_id or 0)
    if order is None or not difference.facts:
        return difference
    evidence = order_facts(order, snapshots).evidence(difference.facts)
    return difference.model_copy(update={"evidence": evidence})


def _sort_key(difference: Finding) -> tuple[int, str, str, str]:
    kind = _KINDS.index(difference.kind)
    return kind, difference.prompt_set or "", difference.partition or "", difference.location
