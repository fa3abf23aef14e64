"""The vendor's webhooks: the end of a task is delivered to the endpoint that its request named."""

from __future__ import annotations

import asyncio

import httpx

from seedance_dagster.emulator.emulator import Emulator
from seedance_dagster.emulator.fault_table import Stage
from seedance_dagster.emulator.record import TaskRecord

_LOOK_S = 0.1
_TIMEOUT_S = 10.0
_NO_ANSWER = 0


async def call_webhooks(emulator: Emulator) -> None:
    """Deliver each task soon after its end, until cancelled; a delivery that fails is not repeated."""
    async with asyncio.TaskGroup() as group:
        while True:
            for record in emulator.vendor.take_ended():
                group.create_task(_deliver(emulator, record))
            await asyncio.sleep(_LOOK_S)


async def _deliver(emulator: Emulator, record: TaskRecord) -> None:
    faults = emulator.faults.inject(Stage.WEBHOOK, record.markers, earlier=0)
    if "webhook-missed" in faults:
        return
    if "webhook-late" in faults:
        await asyncio.sleep(emulator.settings.webhook_late_seconds)
    async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
        for _ in range(2 if "webhook-twice" in faults else 1):
            record.webhook_statuses.append(await _post(emulator, client, record))
    emulator.vendor.save(record)


async def _post(emulator: Emulator, client: httpx.AsyncClient, record: TaskRecord) -> int:
    """Send one delivery; return the HTTP status of the answer."""
    now = emulator.vendor.now()
    data = emulator.as_json(record, now=now, root=emulator.settings.files_url or "")
    webhook = record.webhook
    try:
        reply = await client.post(
            webhook["endpoint"],
            json={"timestamp": int(now.timestamp()), "data": data},
            headers={"x-webhook-secret": webhook["secret"]},
        )
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return _NO_ANSWER  # an endpoint may be any text
    return reply.status_code
