"""The emulated file service: limits, refusals, and links that die after a day."""

from __future__ import annotations

import base64

import httpx
import pytest
from emulator_support import running_service
from reference_host import sample


@pytest.fixture
async def service():
    """A running service."""
    async with running_service() as running:
        yield running


async def upload(service, content=b"a picture", name="cat.png") -> httpx.Response:
    body = {"file_name": name, "file_data": base64.b64encode(content).decode()}
    return await service.client.post("/api/ephemeral_resource", json=body)


async def link_of(service, *args, **kwargs) -> str:
    return (await upload(service, *args, **kwargs)).json()["data"]["url"]


async def test_an_uploaded_file_is_served_for_a_day(service):
    """Anybody with the link gets the bytes, until the vendor's clock says that a day is over."""
    link = await link_of(service)
    reply = await service.client.get(link, headers={"X-API-Key": ""})
    assert (reply.content, reply.headers["Content-Type"]) == (b"a picture", "image/png")
    service.wait(86_400)
    assert (await service.client.get(link, headers={"X-API-Key": ""})).status_code == 404


@pytest.mark.parametrize(
    ("content", "name", "status"),
    [
        (bytes(10 * 1024**2), "a.png", 200),
        (bytes(10 * 1024**2 + 1), "a.png", 413),
        (b"", "a.png", 400),
        (b"x", "a.txt", 400),
    ],
)
async def test_limits(service, content, name, status):
    """At most 10 MB, not empty, and of a kind that may be a reference."""
    assert (await upload(service, content, name)).status_code == status


@pytest.mark.parametrize("body", [{}, [], {"file_name": "a.png", "file_data": "%"}, {"file_data": "YQ=="}])
async def test_bodies_that_are_no_upload(service, body):
    """A body that is not as on the page is refused."""
    assert (await service.client.post("/api/ephemeral_resource", json=body)).status_code == 400


async def test_a_plan_without_uploads(service):
    """The plan's refusal is a 403 in an envelope."""
    await service.set(uploads_allowed=False)
    reply = await upload(service)
    assert (reply.status_code, reply.json()["message"]) == (403, "not allowed to upload")


async def test_an_uploaded_video_is_billed_by_its_length(service):
    """An uploaded video is billed by its measured length."""
    link = await link_of(service, sample("a.mp4", seconds=7), "a.mp4")
    task = await service.get(await service.make("x", mode="omni_reference", video_urls=[link]))
    assert task["meta"]["usage"]["frozen"] == 800_000 * (5 + 7)


async def test_a_reference_that_is_gone_fails_its_task(service):
    """Nothing is refused; the task fails with the vendor's words, and is refunded."""
    link = await link_of(service)
    service.wait(90_000)
    task_id = await service.make("x", mode="omni_reference", image_urls=[link])
    service.wait(100)
    task = await service.get(task_id)
    assert (task["status"], task["logs"]) == ("failed", ["create generation task: upload image"])
    assert task["meta"]["usage"] == {"type": "point", "frozen": 0, "consume": 0}


async def test_uploads_survive_a_restart(tmp_path):
    """With a state folder the links live on."""
    async with running_service(state_dir=tmp_path) as first:
        link = await link_of(first)
    async with running_service(state_dir=tmp_path) as second:
        assert (await second.client.get(link, headers={"X-API-Key": ""})).content == b"a picture"
