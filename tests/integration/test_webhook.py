"""The receiver of webhooks over real HTTP, in a process of its own."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from factories import Clock
from order_factory import OrderFactory
from webhook_support import HEADERS, SECRET, Receiver, begun_request, raw_status, running_receiver, status_of

from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order, State

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("webhook")


@pytest.fixture(scope="module")
def ledger(folder) -> Iterator[Ledger]:
    """The receiver's ledger."""
    opened = Ledger.open(f"sqlite:///{folder}/ledger.db")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def receiver(folder, ledger) -> Iterator[Receiver]:
    with running_receiver(folder) as running:
        yield running


@pytest.fixture
def order(ledger, request) -> Order:
    """A submitted order whose poll is due in ten minutes."""
    orders = OrderFactory(ledger, Clock(datetime.now(UTC) + timedelta(minutes=10)))
    return orders.make(State.SUBMITTED, request.node.name)


@pytest.fixture
def is_due(ledger, order):
    """Tells if the order's poll is due; nothing else in the order may have changed."""

    def look() -> bool:
        now = ledger.queries.get(order.order_id)
        assert replace(now, due_at=order.due_at) == order
        return now.due_at <= datetime.now(UTC)

    return look


def test_a_delivery_makes_the_poll_due_and_changes_nothing_else(receiver, order, is_due):
    """A delivery only makes the poll due: status, link and charge come from the poll."""
    assert not is_due()
    lies = {"task_id": order.task_id, "status": "failed", "output": {"video": "https://x.example"}}
    assert receiver.post(json={"timestamp": 1, "data": lies}) == 202
    assert is_due()
    assert receiver.deliver(order.task_id) == 202  # twice does no harm


@pytest.mark.parametrize(
    "wrap", [lambda task: task, lambda task: {"data": [task]}, lambda task: {"task": task}]
)
def test_a_delivery_may_have_the_shapes_of_a_reply(receiver, order, is_due, wrap):
    """A task is found in a delivery wherever one would be found in a reply."""
    assert receiver.post(json=wrap({"task_id": order.task_id})) == 202
    assert receiver.post(json={"data": {"task_id": 7}}) == 202
    assert is_due()


@pytest.mark.parametrize("state", [State.UNCERTAIN, State.SUCCEEDED, State.STORED, State.FAILED])
def test_a_delivery_moves_no_order_that_is_not_polled(receiver, ledger, request, state):
    """A late delivery of a task that has ended changes nothing."""
    orders = OrderFactory(ledger, Clock(datetime.now(UTC) + timedelta(minutes=10)))
    made = orders.make(state, request.node.name)
    assert receiver.deliver(made.task_id or "t-0") == 202
    assert ledger.queries.get(made.order_id) == made


def test_an_unknown_task_gets_the_same_answer(receiver, order, is_due):
    """The answer does not say which tasks exist here."""
    bodies = {
        httpx.post(
            receiver.url, json={"data": {"task_id": task_id}}, headers=HEADERS, trust_env=False
        ).content
        for task_id in (order.task_id, "another-program-s", "' OR 1=1 --")
    }
    assert bodies == {b"accepted"}
    assert is_due()


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-webhook-secret": ""}, {"x-webhook-secret": f"{SECRET}0"}, {"x-webhook-secret": b"\xff\xfe"}],
    ids=["none", "empty", "longer", "bytes"],
)
def test_a_wrong_secret_is_refused(receiver, order, is_due, headers):
    """A wrong secret is refused before the body is read, without a hint of the right one."""
    body = {"data": {"task_id": order.task_id}}
    assert receiver.post(json=body, headers=headers) == 401
    assert receiver.post(content=b"x" * 2_000_000, headers=headers) == 401
    assert not is_due()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[1",
        b"null",
        b'"text"',
        b"[]",
        b"{}",
        b'{"data": null}',
        b'{"data": {"task_id": 0}}',
        b'{"data": [{"task_id": "a"}, {"task_id": "b"}]}',
        b'{"data": {"task_id": ""}}',
        b'{"data": {"task_id": "a\\u0000b"}}',
        b'{"data": {"task_id": "\\ud800"}}',
        b'{"data": {"task_id": "' + b"x" * 201 + b'"}}',
        b"[" * 100_000,
        b"\xff\xfe\x00",
        b'{"data": ' + b"9" * 10_000 + b"}",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_garbage_is_refused(receiver, body):
    """Garbage gets status 400, and the receiver continues."""
    assert receiver.post(content=body) == 400
    assert receiver.get("/health") == 200


MEGABYTE = b"x" * 1_000_000


def test_a_hundred_megabytes_are_not_read(receiver):
    """A body with an honest length is not read at all; one in chunks is read up to the limit."""
    assert raw_status(receiver, "Content-Length: 100000000", itertools.repeat(MEGABYTE, 100)) == 413
    chunk = b"%x\r\n%s\r\n" % (len(MEGABYTE), MEGABYTE)
    assert raw_status(receiver, "Transfer-Encoding: chunked", itertools.repeat(chunk, 100)) == 413
    assert receiver.get("/health") == 200


@pytest.mark.long
def test_a_length_that_lies_is_refused(receiver):
    """More than was announced is never part of the body; less is waited for, but not long."""
    body = b'{"data": {"task_id": "t"}}'
    exact = f"Content-Length: {len(body)}\r\nConnection: close"
    assert raw_status(receiver, exact, [body, MEGABYTE]) in (202, 400)
    assert raw_status(receiver, "Content-Length: 1000", [body]) == 408
    assert raw_status(receiver, "Content-Length: -5", [body]) == 400
    assert raw_status(receiver, "Content-Length: many", [body]) == 400


@pytest.mark.long
def test_a_slow_body_holds_nobody_up(receiver, order, is_due):
    """While one client sends a byte now and then, others are served; then the slow one is refused."""
    with begun_request(receiver, "Content-Length: 50") as slow:
        slow.sendall(b"{")
        assert receiver.deliver(order.task_id) == 202
        assert is_due()
        assert status_of(slow) == 408


def test_a_client_that_hangs_up_is_no_error(receiver):
    """A client that hangs up leaves no traceback in the log."""
    with begun_request(receiver, "Content-Length: 50") as gone:
        gone.sendall(b"{")
    assert receiver.get("/health") == 200
    assert "Traceback" not in receiver.log()


def test_other_paths_and_methods(receiver):
    """Other paths give 404 and other methods 405."""
    assert receiver.get("/") == 405
    assert receiver.post("/health") == 405
    assert receiver.deliver("t", "/other") == 404
    assert receiver.get("/docs") == 404


def test_a_proxy_may_name_its_prefix(receiver, order, is_due):
    """`X-Forwarded-Prefix` is removed from the path where the proxy left it there."""
    prefix = {"x-forwarded-prefix": "/hooks/seedance/"}
    assert receiver.get("/hooks/seedance/health", **prefix) == 200
    assert receiver.get("/health", **prefix) == 200  # the proxy removed it
    assert receiver.get("/hooks/seedancehealth", **prefix) == 404
    assert receiver.deliver(order.task_id, "/hooks/seedance?order=x", **prefix) == 202
    assert is_due()


@pytest.mark.further
def test_the_log_has_no_secrets(receiver):
    """A line has time, method, path and status; a path cannot forge another line."""
    receiver.post("/?token=query-secret", content=b"body-secret", headers=HEADERS | {"x": "header-secret"})
    receiver.get("/a%0A2026-01-01%20forged")
    lines = receiver.log().splitlines()
    assert re.fullmatch(r"[0-9-]+ [0-9:]+ POST / 400", lines[-2])
    assert re.fullmatch(r"[0-9-]+ [0-9:]+ GET /a%0A2026-01-01%20forged 404", lines[-1])
    assert "secret" not in receiver.log()
    assert SECRET not in receiver.log()
