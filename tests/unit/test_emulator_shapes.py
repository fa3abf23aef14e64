"""The emulator shows tasks, history and account in every shape that clients recorded of the vendor."""

from __future__ import annotations

import base64
import json

import pytest
from emulator_support import KEY, running_service

LATE = 20


@pytest.fixture
async def service():
    async with running_service() as running:
        yield running


async def ended(service, prompt, **fields):
    """Make a task and wait until it is over; return its id."""
    task_id = await service.make(prompt, **fields)
    service.wait(LATE)
    return task_id


@pytest.mark.parametrize(
    ("fault", "status", "code", "words", "charged"),
    [
        ("copyright", "failed", 10003, "The request was rejected due to copyright restrictions.", 40_000),
        ("moderation", "failed", 10003, "Attempt 1 failed (content restriction), retrying.", 40_000),
        ("real-person", "failed", 10000, "Attempt 1 failed (content restriction), retrying.", 0),
        ("upload-failed", "failed", 10000, "UploadResource: timed out", 0),
        ("task-cancelled", "canceled", 0, "restored frozen points", 0),
        ("task-expired", "expired", 0, "", 0),
    ],
)
async def test_a_task_fails_with_the_vendor_s_words(service, fault, status, code, words, charged):
    """Code and logs are the recorded ones; what the model's owner refuses costs a share of the price."""
    task = await service.get(await ended(service, f"[fault:{fault}] x"))
    assert (task["status"], task["error"]["code"], task["output"]) == (status, code, None)
    assert words in "\n".join(task["logs"])
    assert task["meta"]["usage"] == {"type": "point", "frozen": 0, "consume": charged}


async def test_each_answer_spells_the_status_in_another_way(service):
    """Capitals, blanks and other tenses, while pending, processing and afterwards."""
    task_id = await service.make("[fault:status-spelling] x")
    seen = set()
    for seconds in (0, 5, LATE):
        service.wait(seconds)
        seen |= {(await service.get(task_id))["status"] for _ in range(7)}
    assert {"WAITING", "In Progress", "succeed", "DONE"} <= seen
    assert not seen & {"pending", "processing", "completed"}
    failed = await ended(service, "[fault:status-spelling][fault:task-cancelled] x")
    assert (await service.get(failed))["status"] == "canceled"


async def test_an_unknown_word_for_a_while(service):
    """The first GETs after the end have an unknown word and no output; then the task is completed."""
    task_id = await ended(service, "[fault:unknown-word*2] x")
    tasks = [await service.get(task_id) for _ in range(3)]
    assert [task["status"] for task in tasks] == ["finalizing", "finalizing", "completed"]
    assert [task["output"] is None for task in tasks] == [True, True, False]


async def test_a_link_stands_in_each_known_place(service):
    """Under other names, in objects and lists, as the output itself, in detail, and beside a marked one."""
    places, links = set(), set()
    for number in range(9):
        task_id = await ended(service, f"[fault:link-elsewhere] {number}")
        task = await service.get(task_id)
        shape = json.dumps({"output": task["output"], "detail": task["detail"]})
        [token] = {part.partition(".mp4")[0] for part in shape.split("/ephemeral/")[1:]}
        links.add(token)
        places.add(shape.replace(token, ""))
    assert (len(places), len(links)) == (9, 9)
    for words in ("video_url", '"url"', "works", "video_no_watermark", "videos", '"detail": {"output"'):
        assert any(words in place for place in places), words


async def test_logs_and_error_come_in_other_shapes(service):
    """Texts, objects, null, or another name; what they say stays."""
    shapes = set()
    for number in range(4):
        task = await service.get(await ended(service, f"[fault:odd-texts][fault:vendor-trouble] {number}"))
        assert "503 service unavailable, retry 1" in json.dumps(task)
        shapes.add((type(task.get("logs")).__name__, "log" in task, type(task["error"]).__name__))
    assert len(shapes) == 4


async def test_meta_may_be_missing(service):
    """`meta` is {} or null until the end, and on request for some GETs after it."""
    ids = [await service.make(f"[fault:no-meta*1] {number}") for number in range(2)]
    assert [(await service.get(task_id))["meta"] for task_id in ids] == [None, {}]
    service.wait(LATE)
    assert [(await service.get(task_id))["meta"] for task_id in ids] == [None, {}]
    assert [(await service.get(task_id))["meta"]["usage"]["consume"] for task_id in ids] == [4_000_000] * 2


async def test_times_and_charges_may_be_early_or_missing(service):
    """A charge while pending is not final, and a start may be missing while processing."""
    task_id = await service.make("[fault:no-start][fault:early-charge] x")
    assert (await service.get(task_id))["meta"]["usage"] == {
        "type": "point",
        "frozen": 4_000_000,
        "consume": 4_000_000,
    }
    service.wait(5)
    task = await service.get(task_id)
    assert (task["status"], task["meta"]["started_at"]) == ("processing", "0001-01-01T00:00:00Z")
    assert task["meta"]["usage"]["consume"] == 0


@pytest.mark.parametrize(("outcome", "charge"), [("", 4_000_000), ("[fault:vendor-trouble]", 0)])
async def test_points_may_be_settled_after_the_end(service, outcome, charge):
    """For some GETs after the end the points are still held, then they are charged or returned."""
    task_id = await service.make(f"[fault:late-charge*2]{outcome} x")
    service.wait(LATE)
    usages = [(await service.get(task_id))["meta"]["usage"] for _ in range(3)]
    assert [usage["frozen"] for usage in usages] == [4_000_000, 4_000_000, 0]
    assert [usage["consume"] for usage in usages] == [0, 0, charge]


async def test_a_task_may_quote_the_key(service):
    """A task may quote the key in logs, error and detail, plainly and in Base64 (x1)."""
    task = await service.get(await service.make("[fault:quotes-key] x"))
    assert KEY["X-API-Key"] in task["logs"][0]
    assert KEY["X-API-Key"] in str(task["error"])
    assert KEY["X-API-Key"] in str(task["detail"])
    assert base64.b64encode(b"user:emulator-key").decode() in task["logs"][0]


@pytest.mark.parametrize("echo", ["as_sent", "as_rendered"])
async def test_fewer_restrictions_echo_copies(service, echo):
    """References come back as the vendor's own copies; their number stays."""
    await service.set(echo_input=echo)
    request = {
        "prompt": "A cat",
        "mode": "omni_reference",
        "image_urls": ["https://x.example/1.png", "https://x.example/2.png"],
        "video_urls": ["https://x.example/3.mp4?seconds=4"],
    }
    body = {"model": "seedance", "task_type": "seedance-2-fast-less-restriction", "input": request}
    made = (await service.client.post("/api/v1/task", json=body)).json()["data"]
    for task in (made, await service.get(made["task_id"])):
        assert task["input"]["image_urls"] == ["asset://asset-1-1", "asset://asset-1-2"]
        assert task["input"]["video_urls"] == ["asset://asset-1-1"]
    books = (await service.client.get("/emulator/books")).json()
    assert books["tasks"][0]["request"]["input"] == request


async def test_an_empty_page_of_the_history_may_be_null(service):
    """As a list or null, by a setting."""
    await service.make()
    for setting, empty in (("list", []), ("null", None)):
        await service.set(history_empty_page=setting)
        pages = [
            (await service.client.get("/api/open/tasks/histories", params={"page": page})).json()["data"][
                "data"
            ]
            for page in (1, 2)
        ]
        assert (len(pages[0]), pages[1]) == (1, empty)


@pytest.mark.parametrize(
    ("setting", "sizes"), [("works", [1, 1, 0]), ("ignored", [1, 1, 1]), ("empty", [1, 0, 0])]
)
async def test_the_history_treats_a_model_filter_in_three_ways(service, setting, sizes):
    """Without one every task is listed; nobody knows which of its values are valid."""
    await service.make()
    await service.set(history_model_filter=setting)
    lengths = []
    for params in ({}, {"model": "seedance"}, {"model": "kling"}):
        reply = await service.client.get("/api/open/tasks/histories", params=params)
        lengths.append(len(reply.json()["data"]["data"]))
    assert lengths == sizes


async def test_a_row_of_the_history_shows_the_link(service):
    """A row of the history shows the link in its detail once a GET has shown it."""
    task_id = await ended(service, "A cat")
    link = (await service.get(task_id))["output"]["video"]
    [row] = (await service.client.get("/api/open/tasks/histories")).json()["data"]["data"]
    assert row["detail"]["output"]["video"] == link


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ("wallet", {"plan", "equivalent_in_usd", "wallet", "max_concurrent_task_count"}),
        ("credit_pack", {"plan", "equivalent_in_usd", "credit_pack_info"}),
        (
            "both",
            {
                *("plan", "equivalent_in_usd", "wallet", "max_concurrent_task_count", "credit_pack_info"),
                *("api_key", "notification_url"),
            },
        ),
        ("quota", {"plan", "quota", "max_concurrent_task_count"}),
    ],
)
async def test_the_account_has_each_shape(service, shape, names):
    """All shapes of the account mean the same balance."""
    await service.set(account_shape=shape, points=12_345_600_000)
    account = (await service.client.get("/account/info")).json()["data"]
    assert set(account) == names
    assert account.get("quota", {"equivalent_in_usd": "$1,234.56"}) == {"equivalent_in_usd": "$1,234.56"}
    assert account.get("equivalent_in_usd", 1234.56) == 1234.56
