"""From a manifest back to the row of the ledger that it was made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.storage.manifest import Manifest

_COPIED = sorted(
    (Manifest.model_fields.keys() & Order.__dataclass_fields__.keys()) - {"request"}
)  # what both know by one name


def row_of(manifest: Manifest) -> dict[str, Any] | None:
    """The columns of the stored order that a manifest was made of; None when it was not made so.

    What a manifest does not tell is as for an order that is over: no retries, no lease, no polls. Queries of
    reference URLs are gone, as in the manifest.
    """
    sent = manifest.request
    try:
        request = GenerationRequest.model_validate(
            {"task_type": sent["task_type"], **sent["input"]}, strict=False
        )
    except (ValidationError, KeyError, TypeError):
        return None
    facts = [
        {"kind": reference.kind, "position": reference.position, **reference.facts.model_dump()}
        for reference in manifest.references
        if reference.facts is not None
    ]
    values = {name: getattr(manifest, name) for name in _COPIED} | {
        "request": request.model_dump(mode="json"),
        "reference_facts": facts or None,
        "retries": 0,
        "booked_at": manifest.ordered_at,
    }
    # The test of it all: the row gives the same manifest again.
    order = replace(Order(order_id=0, state=State.STORED, **values))
    return values if Manifest.of(order) == manifest else None
