"""GETs of tasks, account and history: retries, waits and malformed replies."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import httpx
import pytest
import stamina
from api_support import Vendor, envelope, hang, task_data

from seedance_dagster.api.errors import (
    AddressError,
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    TransportError,
    VendorError,
    WebPageError,
)


@pytest.fixture
def no_waits():
    """Make retries happen at once."""
    with stamina.set_testing(True, attempts=100, cap=True):
        yield


@pytest.fixture
def waits(monkeypatch):
    """Return the seconds that the client would have slept."""
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
    """The path ends with the task's id, and the status is the vendor's."""
    vendor = Vendor(envelope(task_data(status="completed", output={"video": "https://f.example/v.mp4"})))
    task = await read(vendor)
    [sent] = vendor.requests
    assert (sent.method, sent.url.path) == ("GET", "/api/v1/task/t-1")
    assert (task.status, task.video_url) == ("completed", "https://f.example/v.mp4")


@pytest.mark.parametrize(
    "reply",
    [{"status": 500}, {"status": 400, "code": 10003}, {"code": 0}, {"code": "ok"}, {"status": 203}],
)
async def test_a_task_inside_an_error_is_read(no_waits, reply):
    """The requested task counts although the reply is an error, unless its status is unknown."""
    assert (await read(Vendor(envelope(task_data(status="failed"), **reply)))).status == "failed"
    if reply != {"status": 203}:
        for other in ({"status": ""}, {"task_id": "t-2"}):
            with pytest.raises((InvalidRequestError, VendorError)):
                await read(Vendor(envelope(task_data(**{"status": "failed"} | other), **reply)))


@pytest.mark.parametrize("data", [None, {}, [], ""])
async def test_a_success_without_a_task_says_that_there_is_none(data):
    """It means the same as a 404, so that one such task stops neither an audit nor the others."""
    with pytest.raises(NotFoundError, match="task t-1 does not contain that task"):
        await read(Vendor(envelope(data, message="task not found")))


@pytest.mark.parametrize("task_id", ["../account", "a/b", "a?b=c", "a#b", "a\0b", "ä ö", "%2e%2e", "\ud800"])
async def test_an_id_cannot_change_the_path(task_id):
    """No task id leads to another path of the API, and a reply about another task is an error."""
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
        httpx.Response(403, text="<html>are you a robot?"),
        httpx.Response(503, text="<html>"),
        httpx.ReadTimeout("slow"),
        httpx.ConnectError("refused"),
        aiohttp.ServerDisconnectedError(),
        OSError("no route"),
        TimeoutError(),
    ],
)
async def test_a_get_is_retried(trouble, no_waits):
    """A GET succeeds after three failed attempts."""
    vendor = Vendor(trouble, trouble, trouble, envelope(task_data()))
    assert (await read(vendor)).task_id == "t-1"
    assert len(vendor.requests) == 4


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (envelope(status=500), VendorError),
        (httpx.Response(200, text="<html>"), WebPageError),
        (envelope(status=429), RateLimitError),
        (httpx.ReadError("reset"), TransportError),
    ],
)
async def test_a_get_fails_after_four_attempts(trouble, error, no_waits):
    """A GET that never succeeds reports its last error."""
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
        (httpx.Response(404, text="<html>"), AddressError),
        (httpx.Response(308, headers={"Location": "https://elsewhere.example/?key=1"}), AddressError),
        (envelope(code=404), NotFoundError),
        (envelope(status=400), InvalidRequestError),
    ],
)
async def test_a_refused_get_is_not_retried(reply, error, no_waits):
    """A GET that the vendor refuses fails at once."""
    vendor = Vendor(reply)
    with pytest.raises(error):
        await read(vendor)
    assert len(vendor.requests) == 1


async def test_each_attempt_has_a_timeout(no_waits):
    """Each attempt of a GET ends with the client's own timeout."""
    vendor = Vendor(hang)
    with pytest.raises(TransportError, match="no answer in time"):
        await read(vendor, timeout_s=0.01)
    assert len(vendor.requests) == 4


async def test_waits_double_with_jitter(waits):
    """Without a Retry-After the waits double, each with up to a second of jitter."""
    vendor = Vendor(envelope(status=500))
    with pytest.raises(VendorError):
        await read(vendor)
    assert len(waits) == 3
    assert all(low <= wait <= low + 1 for low, wait in zip((0.5, 1, 2), waits, strict=True))


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_obeyed(status, waits):
    """Retry-After determines the wait of a GET, zero included."""
    vendor = Vendor(
        envelope(status=status, Retry_After="20"),
        envelope(status=status, Retry_After="0"),
        envelope(task_data()),
    )
    await read(vendor)
    assert waits == [20.0, 0.0]


@pytest.mark.parametrize("status", [429, 503])
async def test_a_long_wait_is_left_to_the_caller(status, waits):
    """A GET does not block its worker for minutes: the error says how long the vendor asks to wait."""
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


async def test_the_history_is_requested_for_a_period():
    """The period is sent in unix seconds, its last second included."""
    vendor = Vendor(
        envelope({"data": [{"task_id": "t-1", "usage": 5}], "page": 2, "size": 100, "total": 101})
    )
    start = datetime(2026, 4, 5, 12, 0, 0, 900_000, UTC)
    async with vendor.client() as client:
        page = await client.history(start=start, end=start + timedelta(hours=1), page=2)
        await client.history(start=start.replace(year=1900), end=start)
    assert dict(vendor.requests[0].url.params) == {
        "page": "2",
        "page_size": "100",
        "start_time": "1775390400",
        "end_time": "1775394001",
    }
    assert vendor.requests[1].url.params["start_time"] == "0", "the vendor refuses a negative time"
    assert (page.total, page.rows[0].task_id, page.rows[0].points) == (101, "t-1", 5)


@pytest.mark.parametrize("data", [None, [], {}, {"data": [{"task_id": ""}]}, {"data": [3]}])
async def test_an_unreadable_history_is_an_error(data):
    """An unreadable reply is never taken for an empty history."""
    vendor = Vendor(envelope(data))
    now = datetime(2026, 4, 5, tzinfo=UTC)
    async with vendor.client() as client:
        with pytest.raises(VendorError, match="history cannot be read"):
            await client.history(start=now, end=now)


async def test_an_empty_page_may_be_null():
    """A page without a list of tasks is empty only where the vendor says so."""
    vendor = Vendor(envelope({"data": None, "page": 3, "total": 0}))
    now = datetime(2026, 4, 5, tzinfo=UTC)
    async with vendor.client() as client:
        assert (await client.history(start=now, end=now)).rows == ()


async def test_a_client_must_be_entered():
    """Without `async with` the client says how to use it."""
    client = Vendor(envelope(task_data())).client()
    with pytest.raises(RuntimeError, match="async with"):
        await client.get_task("t-1")
    await client.__aexit__()


async def test_clients_share_the_rate_limit(waits):
    """Calls of two clients of a process share the rate limit."""
    vendor = Vendor(envelope(task_data()))
    options = {"requests_per_second": 2.0, "base_url": "https://paced.example"}
    async with vendor.client(**options) as one, vendor.client(**options) as other:
        await one.get_task("t-1")
        await other.get_task("t-1")
        await one.account()
    assert [round(wait, 1) for wait in waits] == [0.5, 1.0]
