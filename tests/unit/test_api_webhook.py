"""Webhooks in the requests of the client, and the marks that come back."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from api_support import KEY, REQUEST, Vendor, envelope, task_data
from factories import NOW
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from seedance_dagster.api.errors import ForeignReplyError, InvalidRequestError
from seedance_dagster.api.webhook import Webhook, echoed_mark, make_mark, order_of, webhook_of
from seedance_dagster.api.wire import Task

LEDGER, OTHER_LEDGER = "1b4e28ba-2fa1-11d2-883f-0016d3cca427", "2c4e28ba-2fa1-11d2-883f-0016d3cca427"
SECRET = "sesame-0123456789"
URL = "https://hooks.example.com/seedance"
MARK = make_mark(LEDGER, 42, NOW)


def with_endpoint(endpoint, **fields):
    """Return a task that echoes an endpoint, and the secret as well."""
    config = {"service_mode": "", "webhook_config": {"endpoint": endpoint, "secret": SECRET}}
    return task_data(config=config, **fields)


def test_a_mark_names_ledger_order_and_claim():
    """Another ledger, order or claim has another mark; a ledger knows its own."""
    marks = {
        make_mark(LEDGER, 42, NOW),
        make_mark(LEDGER, 42, NOW + timedelta(seconds=1)),
        make_mark(LEDGER, 43, NOW),
        make_mark(OTHER_LEDGER, 42, NOW),
    }
    assert len(marks) == 4
    assert order_of(MARK, LEDGER) == 42
    assert order_of(MARK, OTHER_LEDGER) is None
    assert order_of("anything", LEDGER) is None


@pytest.mark.parametrize("url", [URL, f"{URL}?", f"{URL}?team=a&x=%26", "https://h.example:8443/?q="])
def test_the_mark_joins_the_query_of_the_user(url):
    """The user's address stays as it was spelled, and the mark is read back from it."""
    config = Webhook(url, SecretStr(SECRET)).config(MARK)
    endpoint = config["webhook_config"]["endpoint"]
    assert endpoint.startswith(url)
    assert config["webhook_config"]["secret"] == SECRET
    assert echoed_mark(config) == MARK
    escaped = endpoint.replace("&", "&amp;")
    assert echoed_mark({"webhook_config": {"endpoint": escaped}}) == MARK


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        None,
        7,
        ["x"],
        URL,
        f"{URL}?order=42",
        f"{URL}?reorder={MARK}",
        f"{URL}?order={MARK}0-1",
        "http://[",
    ],
)
def test_other_endpoints_have_no_mark(endpoint):
    """An empty echo, garbage and another program's parameter of that name have no mark."""
    assert Task.parse(with_endpoint(endpoint)).mark is None


@pytest.mark.further
@given(st.recursive(st.none() | st.text() | st.integers(), lambda c: st.dictionaries(st.text(), c)))
def test_any_config_is_read(config):
    """Reading any value in place of a configuration raises nothing."""
    assert echoed_mark(config) is None
    assert echoed_mark({"webhook_config": config}) is None


@pytest.mark.parametrize(
    ("url", "secret", "problem"),
    [
        ("ftp://x.example", SECRET, "URL: not a web address; allowed is one such as"),
        ("https://", SECRET, "URL: not a web address"),
        ("https://x.example/a b", SECRET, "URL: not a web address"),
        ("https://[", SECRET, "URL: not a web address"),
        ("https://x.example:port", SECRET, "URL: not a web address"),
        ("https://me:pw@x.example", SECRET, "URL: holds a user name or password"),
        ("https://x.example/#top", SECRET, "URL: holds a fragment"),
        ("https://x.example/?order=", SECRET, "URL: has 'order' in its query"),
        ("http://x.example", SECRET, "URL: must be https"),
        ("http://8.8.8.8", SECRET, "URL: must be https"),
        (URL, "", "SECRET: not set, and SEEDANCE_WEBHOOK_URL needs it"),
        (URL, "short", "SECRET: allowed are 16 or more letters"),
        (URL, "with blanks 0123456789", "SECRET: allowed are 16 or more letters"),
        (URL, "line\nfeed-0123456789", "SECRET: allowed are 16 or more letters"),
        ("", SECRET, "SECRET: SEEDANCE_WEBHOOK_URL is not set"),
    ],
)
def test_what_cannot_be_used_is_named_and_not_repeated(url, secret, problem):
    """The message has the variable and what is allowed; it repeats neither password nor secret."""
    with pytest.raises(InvalidRequestError, match=r"^SEEDANCE_WEBHOOK_") as caught:
        webhook_of(url, secret)
    assert str(caught.value).startswith(f"SEEDANCE_WEBHOOK_{problem}")
    assert "pw" not in str(caught.value)
    assert not secret or secret not in str(caught.value)


@pytest.mark.parametrize(
    "url", [URL, "http://127.0.0.1:8020", "http://localhost/x", "http://10.1.2.3", "http://[::1]"]
)
def test_https_or_a_private_address(url):
    """Without encryption the secret stays on this machine or in the own network."""
    webhook = webhook_of(url, SECRET)
    assert webhook is not None
    assert SECRET not in repr(webhook)
    assert webhook_of("", "") is None


async def test_a_post_names_endpoint_and_secret():
    """The vendor's page: `config.webhook_config`; without a mark, as in a test of the key, it is left out."""
    vendor = Vendor(envelope(task_data()))
    async with vendor.client(webhook=webhook_of(URL, SECRET)) as client:
        assert client.sends_marks
        await client.create_task(REQUEST, mark=MARK)
        await client.create_task(REQUEST)
    async with vendor.client() as client:
        assert not client.sends_marks
        await client.create_task(REQUEST, mark=MARK)
    first, *others = (json.loads(request.content) for request in vendor.requests)
    assert first["config"] == {"webhook_config": {"endpoint": f"{URL}?order={MARK}", "secret": SECRET}}
    assert first["input"]["prompt"] == REQUEST.prompt
    assert all("config" not in body for body in others)


async def test_the_secret_is_taken_out_of_every_reply():
    """The webhook's secret is removed from every reply, whether in a task or in a refusal's message."""
    refused = envelope(None, status=400, message=f"bad config: secret={SECRET} key={KEY}")
    vendor = Vendor(refused, envelope(with_endpoint("", logs=[f"called with {SECRET}"])))
    async with vendor.client(webhook=webhook_of(URL, SECRET)) as client:
        with pytest.raises(InvalidRequestError) as caught:
            await client.create_task(REQUEST, mark=MARK)
        task = await client.get_task("t-1")
    assert "secret=*** key=***" in str(caught.value)
    assert SECRET not in repr(task)
    assert task.logs == ("called with ***",)


async def test_the_mark_of_a_reply_outweighs_its_texts():
    """A reply with our mark is ours though the vendor altered the text; any other mark shows nothing."""
    endpoint, other = (f"{URL}?order={mark}" for mark in (MARK, make_mark(LEDGER, 43, NOW)))
    altered = {"prompt": "something else", "duration": 9}
    replies = (
        with_endpoint(endpoint, input=altered),
        with_endpoint(other),
        with_endpoint(other, input=altered),
    )
    vendor = Vendor(*map(envelope, replies))
    async with vendor.client(webhook=webhook_of(URL, SECRET)) as client:
        assert (await client.create_task(REQUEST, mark=MARK)).mark == MARK
        await client.create_task(REQUEST, mark=MARK)
        with pytest.raises(ForeignReplyError, match="whose prompt is not the one that was sent"):
            await client.create_task(REQUEST, mark=MARK)
