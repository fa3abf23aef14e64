"""The engine's events in Dagster's words, and the note in the ledger that Dagster was told."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from seedance_dagster.defs.metadata import task_event, video_event
from seedance_dagster.generation.collect import stored_event
from seedance_dagster.generation.events import Stored, Submitted
from seedance_dagster.generation.services import Services
from seedance_dagster.ledger.order import Order, State

AssetEvent = dg.AssetMaterialization | dg.AssetObservation


def tell(services: Services, event: Submitted | Stored) -> Iterator[AssetEvent]:
    """Dagster's events for one of the engine's, noted in the ledger once Dagster took them.

    An order that a newer one of its partition has superseded is observed, not materialized: the
    partition goes on showing the newest.
    """
    order = event.order
    superseded = services.ledger.superseded(order)
    kind = dg.AssetObservation if superseded else dg.AssetMaterialization
    if isinstance(event, Submitted):
        yield task_event(order, kind)
        services.ledger.mark_reported({order.order_id: "submitted"})
        return
    if order.reported is None:
        yield task_event(order, kind)
    yield video_event(order, services.store, event.thumbnail_jpeg, kind)
    services.ledger.mark_reported({order.order_id: "stored"})


def tell_again(services: Services, order: Order) -> Iterator[AssetEvent]:
    """What Dagster should have been told of an order by a run that is gone."""
    if order.state is State.STORED:
        yield from tell(services, stored_event(services.store, order))
    else:
        yield from tell(services, Submitted(order))
