"""The emulator's refusals, broken replies and gateway pages, as clients recorded them of the vendor."""

from __future__ import annotations

import asyncio

import pytest
from emulator_support import running_service

from seedance_dagster.emulator.fault_table import FAULTS, Stage

NO_TASK = {
    "408-before": (408, 408, "request timeout"),
    "error-in-200": (200, 500, "internal server error"),
    "rate-limit-in-200": (200, 10001, "rate limit exceeded"),
    "rate-limit-10001": (429, 10001, "rate limit exceeded"),
    "credits-400": (400, 10002, "failed to create task"),
    "credits-in-200": (200, 10002, "insufficient credits"),
    "credits-in-500": (500, 10002, "insufficient credits"),
    "no-slot-400": (400, 10000, "active task count 20 has reached the plan limit"),
    "no-slot-429": (429, 429, "active task count 20 has reached the plan limit"),
    "invalid-10000": (400, 10000, "invalid request"),
    "invalid-10003": (400, 10003, "task input too large"),
    "invalid-500": (400, 500, "invalid task_type"),
    "invalid-422": (422, 422, "unsupported image format"),
    "post-401": (401, 401, "unauthorized"),
    "post-403": (403, 403, "forbidden"),
}
PAGES = {"page-401": 401, "page-403": 403, "page-502": 502, "page-503": 503}
WITH_TASK = {"500-with-task": 500, "400-with-task": 400}
GETS = {"get-401": (401, 401), "get-403": (403, 403), "get-404": (404, 404), "get-error-in-200": (200, 500)}


@pytest.fixture
async def service():
    async with running_service() as running:
        yield running


async def tasks_of(service):
    return (await service.client.get("/emulator/books/summary")).json()["tasks"]


@pytest.mark.parametrize("fault", NO_TASK)
async def test_a_refused_post_makes_no_task(service, fault):
    """HTTP status and code are those of the fault, in the envelope, and the next POST is accepted."""
    await service.make("another one")
    prompt = f"A cat [fault:{fault}*1]"
    reply = await service.post(prompt)
    assert (reply.status_code, reply.json()["code"], reply.json()["message"]) == NO_TASK[fault]
    assert reply.json()["data"] is None
    assert await tasks_of(service) == 1
    assert (await service.post(prompt)).status_code == 200


@pytest.mark.parametrize("fault", PAGES)
async def test_a_gateway_answers_a_post_with_a_page(service, fault):
    """A gateway answers a POST with a page instead of an envelope, and the API behind it sees nothing."""
    reply = await service.post(f"[fault:{fault}] x")
    assert (reply.status_code, await tasks_of(service)) == (PAGES[fault], 0)
    assert reply.text.startswith("<!doctype html>")


@pytest.mark.parametrize("fault", WITH_TASK)
async def test_a_task_may_come_inside_an_error(service, fault):
    """A task inside an error was made and is billed, and is in the error's data."""
    reply = await service.post(f"[fault:{fault}] x")
    assert reply.status_code == WITH_TASK[fault]
    assert (await service.get(reply.json()["data"]["task_id"]))["status"] == "pending"


@pytest.mark.parametrize(("fault", "status"), [("page-502-after", 502), ("error-in-200-after", 200)])
async def test_a_task_may_stand_behind_an_answer_that_does_not_show_it(service, fault, status):
    """The answer is the same as without a task."""
    hidden = await service.post(f"[fault:{fault}] x")
    assert (hidden.status_code, await tasks_of(service)) == (status, 1)
    without = await service.post(f"[fault:{fault.removesuffix('-after')}] x")
    assert (without.content, await tasks_of(service)) == (hidden.content, 1)


async def test_a_post_may_take_long(service, monkeypatch):
    """The task is made at once, and the answer comes when references would have been fetched."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    assert (await service.post("[fault:slow-post] x")).status_code == 200
    await service.set(slow_post_seconds=1)
    await service.post("[fault:slow-post] x")
    assert slept == [90, 1]


@pytest.mark.parametrize("fault", GETS)
async def test_a_get_of_one_task_may_be_refused(service, fault):
    """A GET of one task may be refused while other tasks are shown."""
    task_id, other = await service.make(f"[fault:{fault}*1] x"), await service.make("y")
    reply = await service.client.get(f"/api/v1/task/{task_id}")
    assert (reply.status_code, reply.json()["code"]) == GETS[fault]
    assert {(await service.get(id_))["status"] for id_ in (task_id, other)} == {"pending"}


@pytest.mark.parametrize("status", [401, 403, 502, 503])
async def test_a_gateway_answers_a_get_with_a_page(service, status):
    """Each of the gateway's answers comes with a page."""
    task_id = await service.make(f"[fault:get-page-{status}*1] x")
    reply = await service.client.get(f"/api/v1/task/{task_id}")
    assert (reply.status_code, reply.text[:9]) == (status, "<!doctype")
    assert (await service.get(task_id))["status"] == "pending"


async def test_assets_are_refused_where_they_are_not_allowed(service):
    """A strict type answers 422 to an address of the vendor's own store."""
    own = {"mode": "omni_reference", "image_urls": ["asset://asset-1"]}
    reply = await service.post(**own)
    assert (reply.status_code, await tasks_of(service)) == (422, 0)
    audio = await service.post(task_type="seedance-2-less-restriction", **own, audio_urls=["asset://asset-2"])
    assert (audio.status_code, await tasks_of(service)) == (422, 0)
    accepted = await service.post(task_type="seedance-2-less-restriction", **own)
    assert (accepted.status_code, await tasks_of(service)) == (200, 1)


async def test_an_image_may_be_a_data_link(service):
    """An image as a `data:` link makes a task, a video as one does not."""
    video = await service.post(mode="omni_reference", video_urls=["data:video/mp4;base64,AAAA"])
    assert (video.status_code, await tasks_of(service)) == (400, 0)
    link = "data:image/png;base64,iVBORw0KGgo="
    for mode in ("omni_reference", "first_last_frames"):
        assert (await service.post(mode=mode, image_urls=[link])).status_code == 200


@pytest.mark.parametrize("stage", [Stage.BEFORE, Stage.AFTER, Stage.GET])
async def test_every_fault_of_a_call_can_be_drawn_at_random(service, stage):
    """At a rate of 1 each strikes whatever is sent, without a marker."""
    service.client.base_url = "http://api.test:8188"  # a connection is known by its ports
    await service.set(hang_seconds=0, slow_post_seconds=0)
    task_id = await service.make()
    for name, fault in FAULTS.items():
        if fault.stage is not stage:
            continue
        assert (await service.client.post("/emulator/faults", json={name: 1})).status_code == 200
        call = service.client.get(f"/api/v1/task/{task_id}") if stage is Stage.GET else service.post(name)
        try:
            await call
        except ConnectionError:
            assert name.removeprefix("get-") in (
                *("drop", "hang", "lost-reply"),
                *("reset-before", "hang-before", "cut-reply"),
            )
        books = (await service.client.get("/emulator/books/summary")).json()
        assert books["faults_fired"][name] == 1
