"""Faults of the emulated vendor that need no real connection."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from seedance_dagster.emulator.app import create_app
from seedance_dagster.emulator.fault_table import FAULTS, Stage
from seedance_dagster.emulator.faults import FaultInjector, UnknownFaultError, markers_of
from seedance_dagster.emulator.vendor_settings import EmulatorSettings

KEY = {"X-API-Key": "emulator-key"}


class Service:
    """An emulator without a network; its tasks end after 10 s of a clock that the test moves."""

    def __init__(self):
        self.time = datetime(2026, 4, 5, tzinfo=UTC)
        settings = EmulatorSettings(jitter=0, queue_seconds=1, render_seconds=9, seed=1, plan_limit=1000)
        self.app = create_app(settings, clock=lambda: self.time)
        transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 1))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://api.test")

    async def post(self, prompt="A cat"):
        body = {
            "model": "seedance",
            "task_type": "seedance-2-fast",
            "input": {"prompt": prompt, "mode": "text_to_video"},
        }
        return await self.client.post("/api/v1/task", json=body, headers=KEY)

    async def finished(self, prompt):
        task_id = (await self.post(prompt)).json()["data"]["task_id"]
        self.time += timedelta(seconds=10)
        return task_id

    async def get(self, task_id):
        return await self.client.get(f"/api/v1/task/{task_id}", headers=KEY)

    async def task(self, task_id):
        return (await self.get(task_id)).json()["data"]

    async def link(self, task_id):
        return (await self.task(task_id))["output"]["video"]

    async def command(self, path, body):
        assert (await self.client.post(f"/emulator/{path}", json=body)).status_code == 200

    async def summary(self):
        return (await self.client.get("/emulator/books/summary")).json()


@pytest.fixture
async def service():
    made = Service()
    yield made
    await made.client.aclose()
    made.app.state.emulator.close()


def test_markers_are_read_from_the_prompt():
    """A marker names a fault and may have a count."""
    assert markers_of("a [fault:429*2] cat [fault:truncated] [fault:late-url]") == {
        "429": 2,
        "truncated": None,
        "late-url": 2,
    }
    with pytest.raises(UnknownFaultError, match=r"'lost-replies' is not a fault; known are .*lost-reply"):
        markers_of("[fault:lost-replies]")


def test_rates_are_probabilities():
    """A fault with a rate is injected about that often and counted once."""
    injector = FaultInjector(random.Random(5))
    injector.set_rates({"lost-reply": 0.1, "hang": 0.1})
    drawn = [injector.first(Stage.AFTER, {}, earlier=0) for _ in range(2000)]
    assert 300 < sum(name is not None for name in drawn) < 460
    assert injector.fired.total() == sum(name is not None for name in drawn)


async def test_typo_in_a_marker_is_refused(service):
    """An unknown marker is refused, so that no test passes because of a typo."""
    reply = await service.post("[fault:tuesday]")
    assert reply.status_code == 400
    assert "known are" in reply.json()["message"]


async def test_counted_post_faults_end(service):
    """`[fault:429*2]` affects the first two POSTs of that prompt, then a task is created."""
    replies = [await service.post("A cat [fault:429*2]") for _ in range(3)]
    assert [reply.status_code for reply in replies] == [429, 429, 200]
    assert replies[0].headers["Retry-After"] == "1"
    assert (await service.summary())["tasks"] == 1


async def test_500_before_makes_no_task_and_500_after_does(service):
    """The two kinds of 500 look the same and differ in the books."""
    before, after = await service.post("[fault:500-before] x"), await service.post("[fault:500-after] x")
    assert before.status_code == after.status_code == 500
    assert before.json() == after.json()
    books = (await service.client.get("/emulator/books")).json()
    assert [entry["request"]["input"]["prompt"] for entry in books["tasks"]] == ["[fault:500-after] x"]


async def test_500_may_carry_the_task(service):
    """A 500 can have the whole task in `data`."""
    reply = await service.post("[fault:500-with-task] x")
    assert reply.status_code == 500
    assert (await service.get(reply.json()["data"]["task_id"])).status_code == 200


async def test_reply_may_be_a_page(service):
    """A task can be created although the reply is an HTML page."""
    reply = await service.post("[fault:garbage-reply] x")
    assert reply.headers["Content-Type"].startswith("text/html")
    assert (await service.summary())["tasks"] == 1


async def test_odd_status_words(service):
    """Other words, capitals, a trailing tab and null logs occur, and the task still ends."""
    task_id = (await service.post("[fault:odd-status] x")).json()["data"]["task_id"]
    early = await service.task(task_id)
    assert (early["status"], early["logs"]) == ("retry", None)
    service.time += timedelta(seconds=5)
    assert {(await service.task(task_id))["status"] for _ in range(2)} == {"running", "Processing"}
    service.time += timedelta(seconds=5)
    assert [(await service.task(task_id))["status"] for _ in range(3)] == [
        "success",
        "Completed\t",
        "Completed\t",
    ]


async def test_late_missing_and_early_urls(service):
    """A URL may come late, never, or while the status is still pending."""
    late = await service.finished("[fault:late-url*3] x")
    outputs = [(await service.task(late))["output"] for _ in range(4)]
    assert [output is None for output in outputs] == [True, True, True, False]
    missing = await service.finished("[fault:missing-url] x")
    for _ in range(4):
        task = await service.task(missing)
        assert (task["status"], task["output"]) == ("completed", None)
    assert task["meta"]["usage"]["consume"] == 4_000_000
    early = (await service.post("[fault:url-while-pending] x")).json()["data"]
    assert early["status"] == "pending"
    assert (await service.client.get(early["output"]["video"])).content[4:8] == b"ftyp"


async def test_get_can_fail(service):
    """GETs of a task fail as often as the marker says."""
    task_id = await service.finished("[fault:get-500*2] x")
    assert [(await service.get(task_id)).status_code for _ in range(3)] == [500, 500, 200]


async def test_expired_link_is_a_page_and_a_new_get_gives_a_new_one(service):
    """The first link is dead; a new GET gives one that works."""
    task_id = await service.finished("[fault:expired] x")
    first = await service.link(task_id)
    dead = await service.client.get(first)
    assert (dead.status_code, dead.headers["Content-Type"].split(";")[0]) == (200, "text/html")
    second = await service.link(task_id)
    assert second != first
    assert (await service.client.get(second)).headers["Content-Type"] == "video/mp4"
    assert (await service.client.get(first)).headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("style", "status", "size"), [("html", 200, 100), ("empty", 200, 0), ("404", 404, 100)]
)
async def test_links_expire(service, style, status, size):
    """After its lifetime a link answers as set, and a new GET gives a fresh one."""
    await service.command("settings", {"dead_link": style, "link_seconds": 60})
    task_id = await service.finished("x")
    link = await service.link(task_id)
    assert await service.link(task_id) == link
    service.time += timedelta(seconds=60)
    old = await service.client.get(link)
    assert (old.status_code, len(old.content) >= size) == (status, True)
    assert old.content[4:8] != b"ftyp"
    assert (await service.client.get(await service.link(task_id))).content[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [("html", 200, "text/html; charset=utf-8"), ("empty", 200, "video/mp4"), ("garbage", 200, "video/mp4")],
)
async def test_bodies_that_are_not_a_video(service, fault, status, kind):
    """A download may be a page, empty, or bytes that are not a video."""
    reply = await service.client.get(await service.link(await service.finished(f"[fault:{fault}] x")))
    assert (reply.status_code, reply.headers["Content-Type"]) == (status, kind)
    assert reply.content[4:8] != b"ftyp"


async def test_truncated_once(service):
    """`truncated*1` gives half of the file with a matching length, and the next download all of it."""
    link = await service.link(await service.finished("[fault:truncated*1] x"))
    half, whole = [(await service.client.get(link)).content for _ in range(2)]
    assert half == whole[: len(whole) // 2]


@pytest.mark.parametrize(
    ("fault", "target"),
    [
        ("redirect-file", "file:///"),
        ("redirect-private", "http://169.254.169.254/"),
        ("redirect-loop", "/ephemeral/"),
        ("redirect", "/ephemeral/"),
    ],
)
async def test_redirects(service, fault, target):
    """A download may be redirected to a forbidden place; a plain redirect leads to the file."""
    link = await service.link(await service.finished(f"[fault:{fault}] x"))
    reply = await service.client.get(link)
    assert (reply.status_code, reply.headers["Location"].startswith(target)) == (302, True)
    followed = await service.client.get(reply.headers["Location"]) if fault == "redirect" else None
    assert followed is None or followed.content[4:8] == b"ftyp"


async def test_padding_makes_a_video_of_a_given_size(service):
    """A padded video begins with the same bytes."""
    link = await service.link(await service.finished("x"))
    plain = (await service.client.get(link)).content
    await service.command("settings", {"video_bytes_at_least": 300_000})
    padded = await service.client.get(link)
    assert len(padded.content) == int(padded.headers["Content-Length"]) == 300_000
    assert padded.content.startswith(plain)


@pytest.mark.parametrize("headers", [{"X-API-Key": "any"}, {"Authorization": "Bearer emulator-key"}])
async def test_key_sent_to_the_file_host_is_a_leak(service, headers):
    """The books show that the API key reached the file host, without the key."""
    link = await service.link(await service.finished("x"))
    await service.client.get(link)
    assert (await service.summary())["key_leaks"] == 0
    await service.client.get(link, headers=headers)
    leaks = (await service.client.get("/emulator/books")).json()["key_leaks"]
    assert [leak["path"] for leak in leaks] == [httpx.URL(link).path]


@pytest.mark.parametrize(("kind", "status"), [("500", 500), ("html-502", 502), ("429", 429)])
async def test_an_outage_affects_all_calls_until_it_ends(service, kind, status):
    """In an outage every call of the API fails; the file host and the books still work."""
    link = await service.link(await service.finished("x"))
    await service.command("outage", {"seconds": 60, "kind": kind})
    assert (await service.post()).status_code == status
    assert (await service.client.get("/account/info", headers=KEY)).status_code == status
    assert (await service.client.get(link)).status_code == 200
    service.time += timedelta(seconds=60)
    assert (await service.post()).status_code == 200


async def test_outage_of_one_kind_of_call(service):
    """An outage can be limited, for instance to the history or the files."""
    link = await service.link(await service.finished("x"))
    await service.command("outage", {"seconds": 60, "scope": "files"})
    assert (await service.client.get(link)).status_code == 500
    await service.command("outage", {"seconds": 60, "scope": "history"})
    assert (await service.client.get("/api/open/tasks/histories", headers=KEY)).status_code == 500
    assert (await service.post()).status_code == 200


async def test_rates_are_replaced_and_counted(service):
    """Rates hold until they are replaced, and the books count the injected faults."""
    await service.command("faults", {"500-after": 1, "history-500": 1})
    assert (await service.post()).status_code == 500
    assert (await service.client.get("/api/open/tasks/histories", headers=KEY)).status_code == 500
    await service.command("faults", {})
    assert (await service.post()).status_code == 200
    assert (await service.summary())["faults_fired"] == {"500-after": 1, "history-500": 1}


async def test_every_fault_is_listed(service):
    """The emulator lists the faults that it knows."""
    listed = (await service.client.get("/emulator/faults")).json()
    assert set(listed["known"]) == set(FAULTS)
    assert listed["rates"] == {}
