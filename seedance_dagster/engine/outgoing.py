"""The request of an order as it is sent: with links to its files, or to the video of its source."""

from __future__ import annotations

from typing import Any

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.api.errors import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    SeedanceError,
)
from seedance_dagster.api.wire import RemovalRequest
from seedance_dagster.engine.file_links import FileLinks, NotHandedOverError, Outgoing
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import Order
from seedance_dagster.threads import in_thread


async def outgoing_request(services: Services, client: SeedanceClient, order: Order) -> Outgoing:
    """Return the request to send for a claimed order.

    Raises:
        NoTaskMadeError: A link cannot be made at all; nothing was sent.
        NotHandedOverError: A link cannot be made now.
        LedgerError: The ledger cannot be read or written.
    """
    if order.source_order_id is None:
        return await FileLinks(services, client).outgoing(order)
    source = await in_thread(services.ledger.queries.get, order.source_order_id)
    url = await _video_link(client, source)
    return Outgoing(RemovalRequest(video_url=url), {"source": source_facts(source), "source_url": url})


def source_facts(source: Order) -> dict[str, Any]:
    """Return facts about the task that rendered a video, for the manifest of its copy without watermark."""
    names = ("task_id", "task_type", "points_charged", "estimated_points", "price_table", "price_formula")
    return {"order_id": source.order_id} | {name: getattr(source, name) for name in names}


async def _video_link(client: SeedanceClient, source: Order) -> str:
    """Return the link to a finished video, read now because links expire; else the last known one."""
    link = None
    try:
        link = (await client.get_task(str(source.task_id))).video_url
    except AuthenticationError:
        raise
    except NotFoundError:
        pass  # the vendor may have forgotten the task and still have its video
    except SeedanceError as error:
        raise NotHandedOverError(
            f"the link to the video of task {source.task_id} could not be read: {error}"
        ) from None
    link = link or source.video_url
    if not link:
        raise InvalidRequestError(f"the vendor has no link to the video of task {source.task_id} any more")
    return link
