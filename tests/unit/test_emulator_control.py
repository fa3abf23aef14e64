"""The emulator's own calls: books, settings and invalid commands."""

from __future__ import annotations

import pytest
from emulator_support import running_service

from seedance_dagster.emulator.vendor_settings import EmulatorSettings


@pytest.fixture
async def service():
    async with running_service() as made:
        yield made


async def test_the_books_are_complete(service):
    """The books have each task with its request and money, each prompt's counts, and totals that add up."""
    task_id = await service.make("One")
    await service.make("One [fault:moderation]")
    body = {
        "model": "seedance",
        "task_type": "seedance-2",
        "input": {"prompt": "One", "mode": "text_to_video"},
    }
    out_of_band = (await service.client.post("/emulator/tasks", json=body)).json()["task_id"]
    await service.client.post("/emulator/charge", json={"task_id": task_id, "points": 5})
    service.wait(60)
    books = (await service.client.get("/emulator/books")).json()
    tasks = {entry["task_id"]: entry for entry in books["tasks"]}
    assert tasks[task_id]["points_charged"] == 5
    assert tasks[task_id]["request"]["input"]["prompt"] == "One"
    assert (tasks[out_of_band]["source"], tasks[out_of_band]["points_charged"]) == ("out-of-band", 5_000_000)
    assert books["prompts"]["One"] == {"posts": 1, "tasks": 2}
    totals = (await service.client.get("/emulator/books/summary")).json()
    assert totals == books["summary"]
    assert totals["balanced"]
    assert (totals["tasks"], totals["states"]) == (3, {"completed": 2, "failed": 1})
    assert totals["points_charged"] + totals["points_penalty"] == 5 + 5_000_000 + 40_000


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("settings", {"colour": 1}, "colour cannot be set while running"),
        ("settings", {"api_key": "x"}, "allowed are account_shape"),
        ("settings", {"jitter": 2}, "jitter"),
        ("settings", [], "JSON object"),
        ("faults", {"nope": 0.1}, "'nope' is not a fault; known are 500-before"),
        ("faults", {"hang": 2}, "from 0 to 1"),
        ("outage", {"seconds": "x"}, "seconds"),
        ("outage", {"seconds": 5, "kind": "fire"}, "500, html-502"),
        ("outage", {"seconds": 5, "scope": "moon"}, "api, post"),
        ("outage", {"minutes": 5}, "minutes: unknown"),
        ("charge", {"task_id": "x", "points": 1}, "task not found"),
        ("charge", {"points": -1}, "points must be"),
        ("tasks", {}, "model"),
    ],
)
async def test_invalid_commands_are_reported(service, path, body, message):
    """An invalid command is answered with what is wrong and what is allowed."""
    reply = await service.client.post(f"/emulator/{path}", json=body)
    assert reply.status_code in {400, 404}
    assert message in reply.json()["error"]


async def test_settings_never_show_the_key(service):
    """The key is not among the settings that are shown."""
    assert "emulator-key" not in (await service.client.get("/emulator/settings")).text
    assert "emulator-key" not in repr(EmulatorSettings())
