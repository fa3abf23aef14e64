"""Reading tasks, the account and the history: retries, waits and odd answers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import httpx
import pytest
import stamina
from api_support import Vendor, envelope, hang, task_data

from seedance_dagster.api.errors import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    TransportError,
    VendorError,
)


@pytest.fixture
def no_waits():
    """Retries come at once, as many as the client makes."""
    with stamina.set_testing(True, attempts=100, cap=True):
        yield


@pytest.fixture
def waits(monkeypatch):
    """Seconds the client slept, without sleeping."""
    slept: list[float] = []
    sleep = asyncio.sleep

    async def note(delay, *rest):
        slept.append(delay)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", note)
    return slept


async def read(vendor: Vendor, task_id: str = "t-1", **options):
    async with vendor.client(**options) as client:
        return await client.get_task(task_id)


async def test_a_task_is_read_by_its_id():
    """The path ends in the task's id and the status is the vendor's."""
    vendor = Vendor(envelope(task_data(status="completed", output={"video": "https://f.example/v.mp4"})))
    task = await read(vendor)
    [sent] = vendor.requests
    assert (sent.method, sent.url.path) == ("GET", "/api/v1/task/t-1")
    assert (task.status, task.video_url) == ("completed", "https://f.example/v.mp4")


@pytest.mark.parametrize("task_id", ["../account", "a/b", "a?b=c", "a#b", "a\0b", "ä ö", "%2e%2e", "\ud800"])
async def test_an_odd_id_stays_one_part_of_the_path(task_id):
    """No task id reaches another path of the API, and a reply about another task is no answer."""
    vendor = Vendor(envelope(task_data()))
    with pytest.raises(VendorError, match="does not contain that task"):
        await read(vendor, task_id)
    path = vendor.requests[0].url.raw_path
    assert path.startswith(b"/api/v1/task/")
    assert path.count(b"/") == 4
    assert b"?" not in path


@pytest.mark.parametrize(
    "trouble",
    [
        envelope(status=500),
        envelope(code=500),
        envelope(status=429),
        envelope(status=408),
        httpx.Response(200, text="<html>"),
        httpx.Response(302, headers={"Location": "https://elsewhere.example/"}),
        httpx.ReadTimeout("slow"),
        httpx.ConnectError("refused"),
        aiohttp.ServerDisconnectedError(),
        OSError("no route"),
        TimeoutError(),
    ],
)
async def test_a_read_is_tried_again(trouble, no_waits):
    """A GET outlives three answers that are none."""
    vendor = Vendor(trouble, trouble, trouble, envelope(task_data()))
    assert (await read(vendor)).task_id == "t-1"
    assert len(vendor.requests) == 4


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (envelope(status=500), VendorError),
        (httpx.Response(200, text="<html>"), VendorError),
        (envelope(status=429), RateLimitError),
        (httpx.ReadError("reset"), TransportError),
    ],
)
async def test_a_read_is_given_up_after_four_tries(trouble, error, no_waits):
    """A GET that never succeeds says what was wrong last."""
    vendor = Vendor(trouble)
    with pytest.raises(error) as caught:
        await read(vendor)
    assert type(caught.value) is error
    assert len(vendor.requests) == 4


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (envelope(status=401), AuthenticationError),
        (envelope(status=403), AuthenticationError),
        (envelope(code=401), AuthenticationError),
        (envelope(status=404), NotFoundError),
        (envelope(code=404), NotFoundError),
        (envelope(status=400), InvalidRequestError),
    ],
)
async def test_a_plain_no_is_not_asked_again(reply, error, no_waits):
    """A refusal of a GET is final at once."""
    vendor = Vendor(reply)
    with pytest.raises(error):
        await read(vendor)
    assert len(vendor.requests) == 1


async def test_an_answer_that_never_comes_is_no_answer(no_waits):
    """Each try of a GET ends with the client's own timeout."""
    vendor = Vendor(hang)
    with pytest.raises(TransportError, match="TimeoutError"):
        await read(vendor, timeout_s=0.01)
    assert len(vendor.requests) == 4


async def test_waits_grow_and_are_spread(waits):
    """Without a word from the vendor the waits double, each up to a second longer by chance."""
    vendor = Vendor(envelope(status=500))
    with pytest.raises(VendorError):
        await read(vendor)
    assert len(waits) == 3
    assert all(low <= wait <= low + 1 for low, wait in zip((0.5, 1, 2), waits, strict=True))


@pytest.mark.parametrize("status", [429, 503])
async def test_the_vendors_wait_is_kept(status, waits):
    """Retry-After decides how long a GET waits, zero included."""
    vendor = Vendor(
        envelope(status=status, Retry_After="20"),
        envelope(status=status, Retry_After="0"),
        envelope(task_data()),
    )
    await read(vendor)
    assert waits == [20.0, 0.0]


@pytest.mark.parametrize("status", [429, 503])
async def test_a_long_wait_is_left_to_the_caller(status, waits):
    """A GET does not hold its worker for minutes: the error says how long the vendor asks to wait."""
    vendor = Vendor(envelope(status=status, Retry_After="600"))
    with pytest.raises((RateLimitError, VendorError)) as caught:
        await read(vendor)
    assert (caught.value.retry_after_s, waits, len(vendor.requests)) == (600.0, [], 1)


async def test_the_account_is_read():
    """The account's envelope gives plan, limit and balance."""
    data = {"plan": "pro", "max_concurrent_task_count": 5, "wallet": {"point_remain": 7}}
    vendor = Vendor(envelope(data))
    async with vendor.client() as client:
        account = await client.account()
    assert vendor.requests[0].url.path == "/account/info"
    assert (account.plan, account.max_concurrent_tasks, account.points_remaining) == ("pro", 5, 7)


async def test_the_history_is_asked_for_a_span():
    """The whole span is asked for in unix seconds, its last second included."""
    vendor = Vendor(
        envelope({"data": [{"task_id": "t-1", "usage": 5}], "page": 2, "size": 100, "total": 101})
    )
    start = datetime(2026, 4, 5, 12, 0, 0, 900_000, UTC)
    async with vendor.client() as client:
        page = await client.history(start=start, end=start + timedelta(hours=1), page=2)
    assert dict(vendor.requests[0].url.params) == {
        "page": "2",
        "page_size": "100",
        "model": "seedance",
        "start_time": "1775390400",
        "end_time": "1775394001",
    }
    assert (page.total, page.rows[0].task_id, page.rows[0].points) == (101, "t-1", 5)


@pytest.mark.parametrize("data", [None, [], {}, {"data": None}, {"data": [{"task_id": ""}]}, {"data": [3]}])
async def test_a_history_that_cannot_be_read_is_no_empty_history(data):
    """Absence is never concluded from an answer that was not understood."""
    vendor = Vendor(envelope(data))
    now = datetime(2026, 4, 5, tzinfo=UTC)
    async with vendor.client() as client:
        with pytest.raises(VendorError, match="history cannot be read"):
            await client.history(start=now, end=now)


async def test_a_client_is_used_inside_its_with():
    """Without `async with` the client says how it is used."""
    client = Vendor(envelope(task_data())).client()
    with pytest.raises(RuntimeError, match="async with"):
        await client.get_task("t-1")
    await client.__aexit__()


async def test_every_call_takes_a_slot(waits):
    """Calls of two clients of one process share the rate limit."""
    vendor = Vendor(envelope(task_data()))
    options = {"requests_per_second": 2.0, "base_url": "https://paced.example"}
    async with vendor.client(**options) as one, vendor.client(**options) as other:
        await one.get_task("t-1")
        await other.get_task("t-1")
        await one.account()
    assert [round(wait, 1) for wait in waits] == [0.5, 1.0]
