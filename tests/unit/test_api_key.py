"""The API key: which values are refused, where it is sent, and that it is never shown."""

from __future__ import annotations

import base64
import json
import traceback
from urllib.parse import quote

import httpx
import pytest
import stamina
from api_support import KEY, REQUEST, Vendor, envelope, task_data
from pydantic import SecretStr

from seedance_dagster.api.errors import AuthenticationError, InvalidRequestError, SeedanceError
from seedance_dagster.api.replies import read_reply
from seedance_dagster.api.wire import Task
from seedance_dagster.net.secrets import hide


@pytest.mark.parametrize(
    "key", ["", "  ", "two words", "tab\tkey", "line\nkey", "schlüssel", "\x7f", '"key"', "<key>"]
)
def test_a_malformed_key_is_refused(key):
    """A missing or malformed key is reported with its variable's name, without the key."""
    with pytest.raises(AuthenticationError, match="GOAPI_API_KEY") as caught:
        Vendor().client(api_key=SecretStr(key))
    assert not key.strip() or key not in str(caught.value)


async def test_whitespace_around_a_key_is_removed():
    """A key that was copied with a line end works."""
    vendor = Vendor(envelope(task_data()))
    async with vendor.client(api_key=SecretStr(f" {KEY}\n")) as client:
        await client.get_task("t-1")
    assert vendor.requests[0].headers["X-API-Key"] == KEY


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.goapi.ai",
        "ftp://api.goapi.ai",
        "https://",
        "https:///path",
        f"https://{KEY}@api.goapi.ai",
        f"https://user:{KEY}@api.goapi.ai",
        f"https://api.goapi.ai/?key={KEY}",
        f"https://api.goapi.ai/#{KEY}",
        "https://api.goapi.ai:port",
        "https://[::1",
        "https://api..goapi.ai",
        "https://api.goapi.ai:99999",
        "https://api.goapi.ai:0",
        f"https://{'a' * 70}.goapi.ai",
        "http://api.goapi.ai",
        "http://10.0.0.7:8080",
        "http://localhost.example",
        "https://api.goapi.ai/api/v1",
        "https://api.goapi.ai/api/v1/task/",
    ],
)
def test_an_unsafe_base_url_is_refused(url):
    """The key goes to an https host or to this machine only, and the error repeats no secret."""
    with pytest.raises(InvalidRequestError, match="GOAPI_BASE_URL") as caught:
        Vendor().client(base_url=url)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "requested"),
    [
        ("https://api.piapi.ai", "https://api.piapi.ai/account/info"),
        ("https://api.goapi.ai/", "https://api.goapi.ai/account/info"),
        ("https://proxy.example/goapi/", "https://proxy.example/goapi/account/info"),
        ("http://localhost:8188", "http://localhost:8188/account/info"),
        ("http://127.0.0.1:8188", "http://127.0.0.1:8188/account/info"),
        ("http://[::1]:8188", "http://[::1]:8188/account/info"),
    ],
)
async def test_a_base_url_may_be_another_host_path_or_port(url, requested):
    """Every path of the API is appended to the base URL."""
    vendor = Vendor(envelope({}))
    async with vendor.client(base_url=url) as client:
        await client.account()
    assert str(vendor.requests[0].url) == requested


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(status):
    """The key stays with the API's host: no request goes where a redirect points."""
    vendor = Vendor(httpx.Response(status, headers={"Location": "https://elsewhere.example/steal"}))
    async with vendor.client() as client:
        with stamina.set_testing(True, attempts=2), pytest.raises(SeedanceError):
            await client.get_task("t-1")
        with pytest.raises(SeedanceError):
            await client.create_task(REQUEST)
    assert {request.url.host for request in vendor.requests} == {"api.goapi.ai"}


@pytest.mark.parametrize(
    "reply",
    [
        envelope(status=401, message=f"invalid key {KEY}"),
        envelope({"error": {"message": f"{KEY} is unknown"}}, status=400),
        envelope(status=500, message=KEY),
        envelope(message=f"welcome {KEY}"),
        httpx.Response(500, text=KEY),
        httpx.ReadError("reset"),
        httpx.ConnectError("refused"),
    ],
)
async def test_no_error_shows_the_key(reply):
    """Neither the text nor the traceback of an error contains the key, even if the vendor repeats it."""
    vendor = Vendor(reply)
    async with vendor.client() as client:
        for call in (lambda: client.create_task(REQUEST), lambda: client.get_task("t-1")):
            with stamina.set_testing(True), pytest.raises(SeedanceError) as caught:
                await call()
            shown = "".join(traceback.format_exception(caught.value))
            assert KEY not in f"{shown} {caught.value!r} {caught.value.args}"


@pytest.mark.parametrize(
    "quoted", [KEY, f"Bearer {KEY}!", quote(KEY), base64.b64encode(KEY.encode()).decode()]
)
def test_a_key_inside_a_task_is_taken_out(quoted):
    """In whatever field and form a reply quotes the key, no reader of the reply sees it."""
    body = {
        "code": 200,
        "data": {
            "task_id": "t",
            "status": "failed",
            "logs": ["calling with " + quoted],
            "error": {"raw_message": quoted},
            quoted: {"deep": [quoted]},
        },
    }
    hide(KEY)
    reply = read_reply(200, {}, json.dumps(body).encode())
    assert quoted not in str(reply)
    assert Task.parse(reply.data).logs[0].startswith("calling with ")


def test_the_client_does_not_show_the_key():
    """The client's repr contains the API's root alone."""
    client = Vendor().client()
    assert repr(client) == "SeedanceClient('https://api.goapi.ai')"
    assert KEY not in f"{client} {vars(client)}"
