"""The emulated vendor's replies, with a clock that the test moves."""

from __future__ import annotations

import re

import pytest
from emulator_support import START, running_service


@pytest.fixture
async def service(request):
    async with running_service(**getattr(request, "param", {})) as made:
        yield made


async def test_reply_is_that_of_the_page(service):
    """The reply to a POST has every field of the vendor's example, with values of the same types."""
    body = {
        "model": "seedance",
        "task_type": "seedance-2-fast",
        "input": {"prompt": "A cat", "mode": "text_to_video", "duration": 5, "aspect_ratio": "16:9"},
        "config": {"webhook_config": {"endpoint": "https://hook.example", "secret": "s"}},
    }
    reply = await service.client.post("/api/v1/task", json=body)
    assert reply.status_code == 200
    body_of_reply = reply.json()
    task_id = body_of_reply["data"].pop("task_id")
    created = body_of_reply["data"]["meta"].pop("created_at")
    assert re.fullmatch(r"[0-9a-f-]{36}", task_id)
    assert re.fullmatch(r"2026-04-05T13:33:26\.103466\d{0,3}Z", created)
    assert body_of_reply == {
        "code": 200,
        "message": "success",
        "data": {
            "model": "seedance",
            "task_type": "seedance-2-fast",
            "status": "pending",
            "config": {"service_mode": "", "webhook_config": {"endpoint": "", "secret": ""}},
            "input": body["input"],
            "output": None,
            "meta": {
                "started_at": "0001-01-01T00:00:00Z",
                "ended_at": "0001-01-01T00:00:00Z",
                "usage": {"type": "point", "frozen": 4_000_000, "consume": 0},
                "is_using_private_pool": False,
            },
            "detail": None,
            "logs": [],
            "error": {"code": 0, "raw_message": "", "message": "", "detail": None},
        },
    }


@pytest.mark.parametrize("service", [{"queue_seconds": 0, "render_seconds": 0}], indirect=True)
async def test_instant_task_is_pending_once(service):
    """The reply to the POST shows the task as pending and held even when it ends at once."""
    task = (await service.post()).json()["data"]
    assert (task["status"], task["output"], task["meta"]["usage"]["frozen"]) == ("pending", None, 4_000_000)
    done = await service.get(task["task_id"])
    assert (done["status"], done["output"] is None, done["meta"]["usage"]["consume"]) == (
        "completed",
        False,
        4_000_000,
    )


async def test_a_task_progresses(service):
    """A task is pending, then processing, then completed with a link, its times and its charge."""
    task_id = await service.make()
    assert (await service.get(task_id))["status"] == "pending"
    service.wait(1)
    task = await service.get(task_id)
    assert (task["status"], task["output"]) == ("processing", None)
    assert task["meta"]["started_at"].startswith("2026-04-05T13:33:27.103466")
    service.wait(10)
    task = await service.get(task_id)
    assert task["status"] == "completed"
    assert re.fullmatch(r"http://api\.test/ephemeral/[0-9a-f-]{36}\.mp4", task["output"]["video"])
    assert task["meta"]["ended_at"].startswith("2026-04-05T13:33:37.103466")
    assert task["meta"]["usage"] == {"type": "point", "frozen": 0, "consume": 4_000_000}
    await service.set(frozen_after_completion="consume")
    assert (await service.get(task_id))["meta"]["usage"]["frozen"] == 4_000_000


@pytest.mark.parametrize("key", ["", "wrong", "emulator-key2"])
async def test_every_call_needs_the_key(service, key):
    """Every call of the API answers 401 without the right key."""
    for path in ("/api/v1/task/x", "/account/info", "/api/open/tasks/histories"):
        reply = await service.client.get(path, headers={"X-API-Key": key})
        assert (reply.status_code, reply.json()["code"], reply.json()["data"]) == (401, 401, None)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[" * 100_000, b'{"x": NaN}', b'{"x": 1e999}', b'{"x": "\\ud800"}', b"\xff"]
)
async def test_bodies_that_are_not_json(service, raw):
    """A body that is not JSON is answered with 400 and an envelope."""
    reply = await service.client.post("/api/v1/task", content=raw)
    assert (reply.status_code, reply.json()["code"]) == (400, 400)


async def test_unknown_things_are_not_found(service):
    """An unknown task or path is answered with 404 and an envelope."""
    for path in ("/api/v1/task/nope", "/nowhere", "/ephemeral/nope.mp4"):
        assert (await service.client.get(path)).status_code == 404
    assert (await service.client.get("/api/v1/task/nope")).json()["message"] == "task not found"
    assert (await service.client.delete("/api/v1/task/nope")).status_code == 405


@pytest.mark.parametrize(
    ("service", "prompt", "code", "logged", "message"),
    [
        ({}, "moderation", 10003, "content policy", "moderation"),
        ({}, "moderation-early", 10003, "flagged before submission", "moderation"),
        ({}, "real-person", 10000, "real person", "failed to generate"),
        ({}, "vendor-trouble", 10000, "503 service unavailable", "failed to generate"),
    ],
    indirect=["service"],
)
async def test_failures_say_why_in_the_logs(service, prompt, code, logged, message):
    """A failed task has the vendor's code and text, and the real reason in its logs."""
    task_id = await service.make(f"A cat [fault:{prompt}]")
    service.wait(60)
    task = await service.get(task_id)
    assert (task["status"], task["error"]["code"], task["output"]) == ("failed", code, None)
    assert message in task["error"]["message"]
    assert any(logged in line for line in task["logs"])
    assert task["meta"]["usage"]["frozen"] == 0


async def test_a_penalty_is_shown_as_set(service):
    """The penalty of a rejected task is in `consume`, or only in the balance."""
    task_id = await service.make("A cat [fault:moderation]")
    service.wait(60)
    assert (await service.get(task_id))["meta"]["usage"]["consume"] == 40_000
    await service.set(penalty_in_usage=False)
    assert (await service.get(task_id))["meta"]["usage"]["consume"] == 0


async def test_refusals_have_the_vendors_text(service):
    """A full plan and missing credits are recognized by the message, whatever the status, even in a 200."""
    await service.set(plan_limit=0)
    full = await service.post()
    assert (full.status_code, full.json()["code"]) == (429, 429)
    assert full.json()["message"] == "active task count 0 has reached the plan limit"
    await service.set(plan_limit=5, points=0, errors_in_200=True)
    poor = await service.post()
    assert (poor.status_code, poor.json()["code"]) == (200, 10002)
    assert poor.json()["message"] == "insufficient credits"


async def test_both_account_shapes(service):
    """The account is shown in either of the two known shapes."""
    await service.make()
    first = (await service.client.get("/account/info")).json()["data"]
    assert first == {
        "plan": "creator",
        "equivalent_in_usd": 999.6,
        "max_concurrent_task_count": 20,
        "wallet": {"point_remain": 9_996_000_000},
    }
    await service.set(account_shape="credit_pack")
    second = (await service.client.get("/account/info")).json()["data"]
    assert second["credit_pack_info"] == {"available_credits": 499_800}
    assert "wallet" not in second


async def test_echo_can_be_what_is_rendered(service):
    """`input` is what was sent or what is rendered, as set."""
    task_id = await service.make(duration=99, aspect_ratio="x")
    assert (await service.get(task_id))["input"]["duration"] == 99
    await service.set(echo_input="as_rendered")
    assert (await service.get(task_id))["input"] == {
        "prompt": "A cat",
        "mode": "text_to_video",
        "duration": 5,
        "aspect_ratio": "16:9",
    }


async def history(service, **query):
    reply = await service.client.get("/api/open/tasks/histories", params=query)
    assert reply.status_code == 200, reply.text
    return reply.json()["data"]


async def test_history_is_newest_first_and_paged(service):
    """The history lists tasks newest first, 10 per page, with other words and without a prompt."""
    made = []
    for _ in range(12):
        made.append(await service.make())
        service.wait(1)
    service.wait(60)
    page = await history(service, model="seedance")
    assert (page["page"], page["size"], page["total"]) == (1, 10, 12)
    assert [row["task_id"] for row in page["data"]] == made[:1:-1]
    assert [row["task_id"] for row in (await history(service, page=2))["data"]] == made[1::-1]
    row = page["data"][0]
    assert (row["task_model"], row["action"], row["status"]) == ("seedance", "seedance-2-fast", "finished")
    assert row["usage"] == 4_000_000
    assert "A cat" not in str(page)
    since = int(START.timestamp()) + 5
    assert (await history(service, start_time=since, end_time=since + 1))["total"] == 2
    assert (await history(service, model="kling"))["total"] == 0


async def test_history_may_lag_and_hide_unfinished(service):
    """A task appears in the history only after the lag, and an unfinished one only if so set."""
    await service.set(history_lag_seconds=30, render_seconds=100)
    await service.make()
    assert (await history(service))["total"] == 0
    service.wait(30)
    assert (await history(service))["data"][0]["status"] == "running"
    await service.set(history_lists_unfinished=False)
    assert (await history(service))["total"] == 0


async def test_the_states_of_the_history_may_be_late_or_wrong(service):
    """A late one shows a task as running for a while, a wrong one as finished before and as running after."""
    await service.set(history_states_late_seconds=60, render_seconds=100)
    await service.make()

    async def status() -> str:
        return (await history(service))["data"][0]["status"]

    service.wait(130)
    assert await status() == "running"
    service.wait(60)
    assert await status() == "finished"
    await service.set(history_wrong_share=1)
    assert await status() == "running"
    await service.make()
    assert await status() == "finished"


async def test_the_history_may_hide_tasks_and_list_them_in_no_order(service):
    """A task that it hides stays hidden, and all others are listed."""
    await service.set(plan_limit=100)
    made = [await service.make() for _ in range(40)]
    listed = [row["task_id"] for row in (await history(service, page_size=100))["data"]]
    await service.set(history_shuffled=True)
    shuffled = [row["task_id"] for row in (await history(service, page_size=100))["data"]]
    assert sorted(shuffled) == sorted(listed) == sorted(made)
    assert shuffled != listed
    await service.set(history_hidden_share=0.5)
    some = [[row["task_id"] for row in (await history(service, page_size=100))["data"]] for _ in range(2)]
    assert some[0] == some[1]
    assert 0 < len(some[0]) < 40


@pytest.mark.parametrize("query", [{"page_size": 101}, {"page": 0}, {"start_time": "x"}, {"end_time": -1}])
async def test_history_refuses_bad_parameters(service, query):
    """A parameter out of range is refused by its name."""
    reply = await service.client.get("/api/open/tasks/histories", params=query)
    assert reply.status_code == 400
    assert next(iter(query)) in reply.json()["message"]
