"""All comparisons of an audit: every difference between four snapshots, with the evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seedance_dagster.audit import assets, events, records, storage, unmatched, vendor, weigh
from seedance_dagster.audit.facts import order_facts
from seedance_dagster.audit.findings import Finding, Kind, finding
from seedance_dagster.audit.snapshots import Scope, Snapshots
from seedance_dagster.ledger.order import Order

KINDS = list(Kind)


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
    findings += vendor.outdated_prices([*audited, *snapshots.priced])
    if snapshots.vendor.problem is not None:
        findings.append(
            finding(
                Kind.SOURCE_UNAVAILABLE,
                location="the vendor's task history",
                message=snapshots.vendor.problem,
            )
        )
    orders = {order.order_id: order for order in audited} | dict(snapshots.ledger.damaged_rows)
    findings = [_with_evidence(difference, orders, snapshots) for difference in findings]
    return tuple(sorted(findings, key=_sort_key))


def _with_evidence(difference: Finding, orders: Mapping[int, Order], snapshots: Snapshots) -> Finding:
    order = orders.get(difference.order_id or 0)
    if order is None or not difference.facts:
        return difference
    evidence = order_facts(order, snapshots).evidence(difference.facts)
    return difference.model_copy(update={"evidence": evidence})


def _sort_key(difference: Finding) -> tuple[int, str, str, str]:
    kind = KINDS.index(difference.kind)
    return kind, difference.prompt_set or "", difference.partition or "", difference.location
