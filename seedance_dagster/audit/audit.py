"""An audit: read the four books, look closer at what is unclear, and name every difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from seedance_dagster.audit import events, storage, unmatched, vendor
from seedance_dagster.audit.events import Orchestrator
from seedance_dagster.audit.findings import Finding, Kind, finding
from seedance_dagster.audit.money import estimates_off
from seedance_dagster.audit.read import Progress, read_snapshots
from seedance_dagster.audit.snapshots import Scope, Snapshots
from seedance_dagster.audit.verify import verify
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import Order

_ORDER = list(Kind)


@dataclass(frozen=True)
class Audit:
    """What an audit came to.

    Attributes:
        scope: What was audited.
        books: What was read.
        findings: Every difference, by kind, then by set and partition.
    """

    scope: Scope
    books: Snapshots
    findings: tuple[Finding, ...]

    @property
    def audited(self) -> int:
        """How many orders were audited."""
        return sum(map(self.scope.covers, self.books.ledger.orders))

    @property
    def kinds(self) -> Mapping[Kind, tuple[int, int]]:
        """How many findings of each kind there are, and the points that they are about."""
        counts, points = Counter[Kind](), Counter[Kind]()
        for each in self.findings:
            counts[each.kind] += 1
            points[each.kind] += each.cost_points
        return {kind: (counts[kind], points[kind]) for kind in _ORDER if counts[kind]}


def silent(step: str, done: int, total: int) -> None:
    """No progress is shown."""


async def audit(
    services: Services, orchestrator: Orchestrator, scope: Scope, *, progress: Progress = silent
) -> Audit:
    """Compare ledger, vendor, Dagster and S3; nothing is changed.

    Args:
        services: The engine's surroundings.
        orchestrator: Dagster.
        scope: What is audited.
        progress: Hears how far it is, from several threads.

    Raises:
        StoreError: S3 cannot be read.
        LedgerError: The ledger cannot be read.
    """
    books = await read_snapshots(services, orchestrator, scope, progress)
    books = await verify(books, services, orchestrator, scope, progress)
    return Audit(scope, books, compare(books, scope, orchestrator.expected))


def compare(
    books: Snapshots, scope: Scope, expected: Callable[[Order], Mapping[str, Any]]
) -> tuple[Finding, ...]:
    """Every difference between the books.

    Args:
        books: With everything unclear looked at.
        scope: What is audited.
        expected: What a materialization of a stored order says, as plain values by name.
    """
    found: list[Finding] = []
    audited = [order for order in books.ledger.orders if scope.covers(order)]
    for order in audited:
        about_task = vendor.compare(order, books.vendor, now=books.read_at)
        found += [] if about_task is None else [about_task]
        found += storage.compare(order, books.storage)
    found += events.compare(books, scope, expected)
    found += unmatched.compare(books, scope)
    found += estimates_off(audited)
    if books.vendor.doubt is not None:
        found.append(
            finding(Kind.SOURCE_UNAVAILABLE, where="the vendor's task history", what=books.vendor.doubt)
        )
    return tuple(sorted(found, key=_place))


def _place(each: Finding) -> tuple[int, str, str, str]:
    return _ORDER.index(each.kind), each.prompt_set or "", each.partition or "", each.where
