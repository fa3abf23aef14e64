"""Secrets of this process are removed from texts in whatever form they are written (x1, x2, x3)."""

from __future__ import annotations

import base64
import json

import pytest
from secret_forms import FORMS
from sqlalchemy.exc import OperationalError

from seedance_dagster.api.replies import read_reply
from seedance_dagster.ledger.database import Database
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.net import secrets
from seedance_dagster.net.secrets import hide, one_line, secrets_in, without_secrets
from seedance_dagster.storage.errors import StoreError

SECRET = "pä\"ss/w+rd&<1>='x"
VARIABLES = (
    "GOAPI_API_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "PGPASSWORD",
    "SEEDANCE_WEBHOOK_SECRET",
)


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch):
    """A process that holds no secret, at the start of each test."""
    monkeypatch.setattr(secrets, "_hidden", set())
    for name in (*secrets._VARIABLES, *secrets._ADDRESSES):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("way", FORMS)
def test_a_secret_is_found_however_it_is_written(way):
    """A secret is found in every encoding that other programs use."""
    hide(SECRET)
    written = FORMS[way](SECRET)
    assert written not in without_secrets(f"before {written}! after")


@pytest.mark.parametrize("before", ["", "u", "me", "you", "me:"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_inside_base64_cannot_be_decoded(before, encode):
    """A secret inside Base64 cannot be decoded, wherever it stands in the encoded text."""
    hide(SECRET)
    written = encode(f"{before}{SECRET}after".encode()).decode()
    left = without_secrets(written)
    assert "***" in left
    assert len(written) - len(left) + 3 >= len(SECRET)


@pytest.mark.parametrize("name", VARIABLES)
def test_secrets_of_the_environment_are_hidden_without_a_call(monkeypatch, name):
    """The values of all registered variables are hidden without a call."""
    monkeypatch.setenv(name, SECRET)
    assert without_secrets(f"it is {SECRET}") == "it is ***"


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:PW-1@host/db",
        "postgresql://u@host/db?password=PW-1",
        "postgresql+psycopg://u@host/db?sslmode=require&sslpassword=PW-1&x=1",
        "postgresql:///db?host=/tmp&user=u&passwd=PW-1",
        "u:PW-1@host",
        "PW-1@host",
        "https://u:PW-1@host:9000/path",
        "https://host/?X-Amz-Signature=PW-1",
        "http://:PW-1@proxy:3128",
    ],
)
def test_a_password_is_found_in_any_form_of_address(address):
    """A password is found in the user part, in the query, and in addresses that cannot be parsed."""
    assert "PW-1" in secrets_in(address)
    hide(*secrets_in(address + "."))


@pytest.mark.parametrize(
    "address", ["sqlite:////tmp/ledger.db", "postgresql://host/db?sslmode=require", "https://host:9000", ""]
)
def test_an_address_without_a_login_holds_no_secret(address):
    """Hosts, ports and harmless options stay readable."""
    assert list(secrets_in(address)) == []


def test_a_secret_with_a_line_break_is_hidden_in_each_form(monkeypatch):
    """A secret with a line break is hidden as it is, as Python prints it, and on one line (x3)."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "TOKEN-one\nTOKEN-two")
    for text in ("b'TOKEN-one\\nTOKEN-two'", "TOKEN-one\nTOKEN-two", "TOKEN-one TOKEN-two"):
        assert "TOKEN" not in one_line(text)


@pytest.mark.parametrize("common", ["", "a", "12345", "seedance", "password", "20260406"])
def test_common_words_are_left_where_they_are(common):
    """Common words stay in texts even if one is a password, or texts would become unreadable."""
    hide(common, None)
    text = "seedance-2-fast, password 12345, a, 20260406"
    assert without_secrets(text) == text


def test_a_login_in_an_address_is_dropped_even_if_nobody_knows_it():
    """A user name and a password are never shown."""
    assert (
        one_line('endpoint "https://u:p/w@host/x",\n not u:pw@host') == 'endpoint "https://host/x", not host'
    )


@pytest.mark.parametrize("error", [LedgerError, StoreError])
def test_errors_for_people_hold_no_secret(error):
    """Errors for people hold no secret, whatever code raises them."""
    hide(SECRET)
    assert str(error(f"refused: {SECRET}")) == "refused: ***"


@pytest.mark.parametrize(
    "url", ["postgresql://u:{}@127.0.0.1:1/x", "postgresql://u@127.0.0.1:1/x?password={}"]
)
def test_a_ledger_that_is_down_does_not_show_its_password(url):
    """A ledger that is down does not show its password, in any form of the URL or driver message (x2)."""
    with pytest.raises(LedgerError) as caught:
        Database(url.format("s3cret-PW"))
    assert "127.0.0.1" in str(caught.value)
    assert "s3cret-PW" not in str(caught.value)


def test_the_words_of_the_driver_hold_no_password(monkeypatch):
    """A driver's message holds no password, though it may quote the connection's options."""
    ledger = Database("sqlite://")
    hide("s3cret-PW")
    quoting = OperationalError("SELECT 1", {}, Exception('bad option "password=s3cret-PW"'))
    with pytest.raises(LedgerError, match=r"password=\*\*\*"), ledger.reading():
        raise quoting


@pytest.mark.parametrize("way", FORMS)
def test_a_reply_holds_no_secret_in_any_field(way):
    """Every name and every text of a reply is searched before anything else reads it (x1)."""
    hide(SECRET)
    written = FORMS[way](SECRET)
    data = {"task_id": written, "logs": [written], "error": written, "input": {"x": [{written: written}]}}
    body = {"code": 200, "data": data, "message": written, "other": {"a": written}}
    for raw in (json.dumps(body), json.dumps(body, ensure_ascii=False)):
        assert written not in str(read_reply(200, {}, raw.encode()))
