"""Damaged rows of the ledger: where two other systems agree on another value, the row is wrong.

Everything else is compared with the values that they agree on, so that one damage is one finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.audit.evidence import OrderFacts, Source
from seedance_dagster.audit.facts import order_facts
from seedance_dagster.audit.findings import Finding, Kind, order_finding
from seedance_dagster.audit.snapshots import Scope, Snapshots
from seedance_dagster.audit.storage import manifest_key
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.storage.manifest import Manifest

_COLUMNS = (Manifest.model_fields.keys() & Order.__dataclass_fields__.keys()) - {"request"}
_RESTORABLE = _COLUMNS | GenerationRequest.model_fields.keys()


def weigh(snapshots: Snapshots, scope: Scope) -> Snapshots:
    """Return the snapshots with damaged rows replaced by rows on which two other systems agree."""
    ledger = snapshots.ledger
    damaged = dict[int, Order]()
    orders = []
    for row in ledger.orders:
        order = _outvoted(row, snapshots) if scope.covers(row) and _is_suspect(row, snapshots) else row
        if order is not row:
            damaged[row.order_id] = row
        orders.append(order)
    if not damaged:
        return snapshots
    owned = ledger.owned_tasks | {order.task_id for order in orders if order.task_id is not None}
    ledger = replace(ledger, orders=tuple(orders), owned_tasks=owned, damaged_rows=damaged)
    return replace(snapshots, ledger=ledger)


def compare(snapshots: Snapshots) -> Iterator[Finding]:
    """Yield a finding for each row that two other systems contradict."""
    for row in snapshots.ledger.damaged_rows.values():
        facts = order_facts(row, snapshots)
        names = sorted(_outvoted_facts(facts))
        agreements = filter(None, map(facts.agreed, names))
        agreeing = {source.value for agreement in agreements for source in agreement.sources}
        yield order_finding(
            Kind.ORDER_ALTERED,
            row,
            location=f"order {row.order_id}",
            message=f"its row is what is wrong: {' and '.join(sorted(agreeing))} agree on something else "
            f"in {', '.join(names)}",
        ).model_copy(update={"evidence": facts.evidence(names)})


def _is_suspect(order: Order, snapshots: Snapshots) -> bool:
    """Return True where the manifest was read: the listing shows that all others agree with the ledger."""
    inspected = snapshots.storage.inspected
    return order.state is State.STORED and manifest_key(order, snapshots.storage) in inspected


def _outvoted(row: Order, snapshots: Snapshots) -> Order:
    facts = _outvoted_facts(order_facts(row, snapshots))
    request = {name: value for name, value in facts.items() if name in GenerationRequest.model_fields}
    try:
        columns = {name: _column(name, value) for name, value in facts.items() if name in _COLUMNS}
    except ValidationError:
        return row
    if not request and not columns:
        return row
    return replace(row, **columns | ({"request": row.request | request} if request else {}))


def _outvoted_facts(facts: OrderFacts) -> dict[str, Any]:
    names = {name for stated in facts.statements.values() for name in stated} & _RESTORABLE
    agreements = {name: facts.agreed(name) for name in sorted(names)}
    return {
        name: agreement.value
        for name, agreement in agreements.items()
        if agreement is not None and Source.LEDGER not in agreement.sources
    }


def _column(name: str, value: Any) -> Any:
    """Return a value of a manifest in the type that the ledger has, such as `datetime`."""
    adapter: TypeAdapter[Any] = TypeAdapter(Manifest.model_fields[name].annotation)  # type: ignore[arg-type]
    return adapter.validate_python(value)
