"""Webhooks of the emulator: echoes and deliveries."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import httpx
import pytest
from emulator_support import running_service

from seedance_dagster.emulator import webhooks

ENDPOINT = "http://receiver.test/hook?order=1"
SECRET = "sesame-0123456789"
CONFIG = {"webhook_config": {"endpoint": ENDPOINT, "secret": SECRET}}


class Receiver:
    """An endpoint without a network."""

    def __init__(self):
        self.requests = []
        self.called = asyncio.Event()

    def __call__(self, request):
        self.requests.append(request)
        self.called.set()
        return httpx.Response(202)


@pytest.fixture
def receiver(monkeypatch):
    """Receives everything that the emulator delivers."""
    made = Receiver()

    class Client(httpx.AsyncClient):
        def __init__(self, **options):
            super().__init__(**options, transport=httpx.MockTransport(made))

    replaced = {**vars(httpx), "AsyncClient": Client}
    monkeypatch.setattr(webhooks, "httpx", SimpleNamespace(**replaced))
    return made


async def order(service, prompt="A cat", config=CONFIG):
    """Order a video that names an endpoint; return its task."""
    fields = {"prompt": prompt, "mode": "text_to_video", "duration": 5}
    body = {"model": "seedance", "task_type": "seedance-2", "input": fields, "config": config}
    return (await service.client.post("/api/v1/task", json=body)).json()["data"]


async def deliver(service):
    """Let the tasks end, and deliver all that is due, late ones included."""
    service.wait(60)
    emulator = service.app.state.emulator
    for record in emulator.vendor.take_ended():
        await webhooks._deliver(emulator, record)


async def statuses(service):
    entries = (await service.client.get("/emulator/books")).json()["tasks"]
    return [entry["webhook_statuses"] for entry in entries]


async def test_the_end_of_a_task_is_delivered_with_its_secret(receiver):
    """The body has the task as a GET returns it; each end is delivered once."""
    async with running_service(files_url="http://api.test") as service:
        task = await order(service)
        emulator = service.app.state.emulator
        assert emulator.vendor.take_ended() == []
        await deliver(service)
        at = int(service.time.timestamp())
        await deliver(service)
        [request] = receiver.requests
        assert (str(request.url), request.headers["x-webhook-secret"]) == (ENDPOINT, SECRET)
        body = json.loads(request.content)
        assert body["timestamp"] == at
        assert body["data"]["task_id"] == task["task_id"]
        assert body["data"] == await service.get(task["task_id"])
        assert await statuses(service) == [[202]]


@pytest.mark.parametrize(
    ("fault", "answers"),
    [("webhook-missed", []), ("webhook-late", [202]), ("webhook-twice", [202, 202])],
)
async def test_deliveries_may_be_missed_late_or_doubled(receiver, fault, answers):
    """A marker in the prompt makes deliveries missed, late or doubled."""
    async with running_service(webhook_late_seconds=0) as service:
        await order(service, f"A cat [fault:{fault}]")
        await deliver(service)
        assert await statuses(service) == [answers]


@pytest.mark.parametrize(
    "config", [None, {}, "x", {"webhook_config": 7}, {"webhook_config": {"endpoint": ["x"]}}, CONFIG]
)
@pytest.mark.parametrize("echo", ["empty", "as_sent"])
async def test_the_echo_is_empty_as_at_the_vendor_unless_set(config, echo):
    """Any configuration is accepted; only one with an endpoint is given back or delivered."""
    async with running_service(webhook_echo=echo) as service:
        task = await order(service, config=config)
        shown = CONFIG["webhook_config"] if config is CONFIG and echo == "as_sent" else None
        assert task["config"]["webhook_config"] == (shown or {"endpoint": "", "secret": ""})
        assert len(service.app.state.emulator.vendor.undelivered) == (config is CONFIG)
        assert SECRET not in (await service.client.get("/emulator/books")).text


@pytest.mark.parametrize("endpoint", ["no address", "http://[", "http://127.0.0.1:1/", "ftp://x.example"])
async def test_an_endpoint_that_cannot_be_reached_gets_no_delivery(endpoint):
    """It is noted as no answer, and the emulator goes on."""
    async with running_service() as service:
        await order(service, config={"webhook_config": {"endpoint": endpoint, "secret": "é"}})
        await deliver(service)
        assert await statuses(service) == [[0]]


async def test_what_was_not_delivered_is_delivered_after_a_restart(receiver, tmp_path):
    """A task that ends while the emulator is down is delivered when it is up."""
    async with running_service(state_dir=tmp_path) as service:
        await order(service)
    async with running_service(state_dir=tmp_path) as service:
        await deliver(service)
    async with running_service(state_dir=tmp_path) as service:
        await deliver(service)
        assert await statuses(service) == [[202]]
    assert len(receiver.requests) == 1


async def test_ends_are_found_without_a_call(receiver):
    """The running emulator finds ended tasks without a call."""
    async with running_service() as service:
        await order(service)
        service.wait(60)
        calling = asyncio.create_task(webhooks.call_webhooks(service.app.state.emulator))
        await receiver.called.wait()
        calling.cancel()
        await asyncio.wait({calling})
