"""Replies as they arrive: envelopes, codes, waits, and bytes that are none of these."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_dagster.api.account import AccountInfo
from seedance_dagster.api.errors import SeedanceError
from seedance_dagster.api.replies import read_reply, refusal
from seedance_dagster.api.wire import HistoryPage, Task
from seedance_dagster.net.secrets import hide

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
task_like = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (
            "task_id",
            "task_type",
            "status",
            "input",
            "output",
            "meta",
            "logs",
            "error",
            "data",
            "wallet",
            "plan",
        ),
        json_values,
    ),
)
envelopes = st.fixed_dictionaries(
    {}, optional={"code": json_values, "message": json_values, "data": task_like | json_values}
)


def storable(value) -> bool:
    return "\0" not in value and value.encode().decode() == value


@given(envelopes | json_values, st.integers(100, 599))
def test_any_json_is_read(envelope, status):
    """Any JSON is read, classified and parsed, and its texts can be stored."""
    reply = read_reply(status, {}, json.dumps(envelope).encode())
    assert isinstance(refusal(reply), SeedanceError | None)
    assert storable(reply.message)
    task = Task.parse(reply.data)
    if task is not None:
        assert storable("".join((task.task_id, task.raw_status, task.error_message, *task.logs)))
        assert task.points_held >= 0
    AccountInfo.parse(reply.data)
    HistoryPage.parse(reply.data)


@given(st.binary(max_size=40), st.integers(100, 599))
def test_any_bytes_are_read(body, status):
    """Bytes that are not JSON are an unreadable reply with the HTTP status as its code."""
    reply = read_reply(status, {}, body)
    assert not reply.readable or isinstance(json.loads(body), dict)


def test_success_needs_status_and_code():
    """A reply is a success only when both are 200."""
    assert read_reply(200, {}, b'{"code":200}').ok
    assert read_reply(200, {}, b'{"data":{}}').ok
    assert not read_reply(200, {}, b'{"code":500}').ok
    assert not read_reply(500, {}, b'{"code":200}').ok
    assert not read_reply(200, {}, b"{}]").ok


@pytest.mark.parametrize(
    ("code", "read"),
    [
        ("200", 200),
        ('"200"', 200),
        ("200.0", 200),
        ('"401"', 401),
        ("null", -1),
        ('"x"', -1),
        ("true", -1),
        ("1e999", -1),
        ("NaN", -1),
    ],
)
def test_codes_of_other_types(code, read):
    """A code written as text counts; one that is not a number is never a success."""
    reply = read_reply(200, {}, f'{{"code":{code}}}'.encode())
    assert (reply.code, reply.ok) == (read, read == 200)


@pytest.mark.parametrize("extra", [{}, {"code": 200, "message": "success"}])
def test_a_task_without_an_envelope_is_a_task(extra):
    """A task beside the envelope's fields, or in their place, is read; a history is not."""
    reply = read_reply(200, {}, json.dumps({"task_id": "t-1", "status": "pending"} | extra).encode())
    assert reply.ok
    assert Task.parse(reply.data).task_id == "t-1"
    assert read_reply(200, {}, b'{"rows":[]}').data is None
    assert read_reply(429, {}, b'{"task_id":"t-9","message":"t-9 is running"}').data is None
    assert read_reply(200, {}, b'{"task_id":"t-9","code":429}').data is None


def test_messages_of_envelope_and_error_are_joined():
    """Each text occurs once, in the vendor's order, and the length is limited."""
    body = {"message": " failed ", "data": {"error": {"message": "too long"}}}
    assert read_reply(400, {}, json.dumps(body).encode()).message == "failed; too long"
    body["data"]["error"]["message"] = "failed"
    assert read_reply(400, {}, json.dumps(body).encode()).message == "failed"
    assert read_reply(400, {}, b'{"data":{"error":"odd"}}').message == "odd"
    assert len(read_reply(400, {}, json.dumps({"message": "x" * 5000}).encode()).message) == 1000
    signed = json.dumps({"message": "cannot read https://x.example.com/a.png?sig=1"}).encode()
    assert read_reply(400, {}, signed).message == "cannot read https://x.example.com/a.png"
    # A key across the cut is masked before it is cut.
    quoting = json.dumps({"message": "x" * 995 + " KEY-123456"}).encode()
    hide("KEY-123456")
    assert read_reply(401, {}, quoting).message == "x" * 995 + " ***"
    kinds = {b"<html>": "a web page", b" \n": "an empty answer", b"no": "not an answer of the API"}
    assert {body: read_reply(502, {}, body).message for body in kinds} == kinds
    assert read_reply(422, {}, b'{"detail":[{"msg":"too long"}]}').message == "too long"


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"code":200,"message":"m"}',
        b'{"code":200,"message":"\\ud83d\\u0000"}',
        b'{"code":200,"message":"\xed\xa0\xbd"}',
        b'{"code":200,"message":"\xff"}',
        b'{"code":200,"message":"a line\nand a \ttab \x01"}',
    ],
)
def test_half_characters_and_nul_are_replaced(body):
    """Characters that a database cannot store are replaced."""
    reply = read_reply(200, {}, body)
    assert reply.ok
    assert storable(reply.message)


def test_deep_nesting_is_unreadable():
    """A reply that is nested deeper than any of the vendor's is unreadable."""
    assert not read_reply(200, {}, b'{"data":' + b"[" * 200 + b"]" * 200 + b"}").readable


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("https://api.new.example/api/v1/task?key=1", "set GOAPI_BASE_URL to https://api.new.example"),
        ("https://new.example/seedance/account/info", "set GOAPI_BASE_URL to https://new.example/seedance"),
        ("https://new.example/", "set GOAPI_BASE_URL to https://new.example"),
        ("/api/v2/task", "set GOAPI_BASE_URL to the API's root"),
        ("", "redirects to no address"),
        ("https://new.example/" + "x" * 90_000, "redirects to https://new.example/xxx"),
    ],
)
def test_a_redirect_names_the_root_to_set(location, words):
    """The address to set is that of the API, not of the call, and a message has a limit (v16)."""
    refused = str(refusal(read_reply(308, {"location": location}, b"")))
    assert words in refused
    assert "key=1" not in refused
    assert len(refused) < 1000


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("1.5", 1.5),
        ("999999999", 3600.0),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("soon", None),
        ("", None),
        ("Mon, 99999999999999999999 Jan 2026 00:00:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.0),
        ("Wed, 21 Oct 2115 07:28:00 GMT", 3600.0),
    ],
)
def test_retry_after(header, seconds):
    """Seconds or a date, never negative, never over an hour; garbage counts as missing."""
    headers = {} if header is None else {"retry-after": header}
    assert read_reply(429, headers, b"").retry_after_s == seconds


@pytest.mark.parametrize(
    ("date", "seconds"),
    [("Wed, 21 Oct 2015 07:27:18 GMT", 42.0), ("Wed, 21 Oct 2015 07:28:30 GMT", 0.0), ("soon", 0.0)],
)
def test_a_date_counts_by_the_vendor_s_clock(date, seconds):
    """A clock of ours that is wrong by hours makes no wait longer or shorter."""
    headers = {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": date}
    assert read_reply(429, headers, b"").retry_after_s == seconds


def test_retry_after_as_a_date():
    """A date in the future gives the time until then."""
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 90 < read_reply(429, {"retry-after": at}, b"").retry_after_s <= 100
