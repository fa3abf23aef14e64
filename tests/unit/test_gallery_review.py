"""Verdicts through the gallery, and who is let in."""

from __future__ import annotations

import pytest
from gallery_support import OWN, Client, unreached_store
from pydantic import SecretStr

from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.verdict import Judgement, Verdict
from seedance_dagster.review.gallery.app import create_gallery
from seedance_dagster.review.gallery.options import GalleryOptions

TOKEN = "a-token-that-is-long-enough"


@pytest.fixture
def browse(ledger):
    """Opens a gallery on the ledger with some options, as a client."""

    def browse(host: str = "127.0.0.1", **options) -> Client:
        return Client(create_gallery(ledger, unreached_store(), GalleryOptions(**options)), host)

    return browse


def action(name: str, order, *others, **fields) -> dict[str, object]:
    seen = {order.partition: order.sha256 for order in (order, *others)}
    return {"action": name, "prompt_set": "spots", "seen": seen, "reviewer": "ann"} | fields


def verdicts_of(ledger) -> dict[str, str]:
    return {key: judgement.verdict.value for key, judgement in ledger.verdicts.current("spots").items()}


def test_verdicts_are_given_and_taken_back(browse, ledger, orders):
    """Accept, note, discard, undo: each is a row, and the page is answered with what holds."""
    cat = orders.make(State.STORED, "cat")
    client = browse(review=True)

    def send(name: str, **fields) -> dict[str, object]:
        answer = client.post("/verdicts", json=action(name, cat, **fields), headers=OWN)
        assert answer.status_code == 200, answer.text
        return answer.json()["verdicts"]["cat"]

    assert send("accept") == {"verdict": "accepted", "note": ""}
    assert send("note", note="calm") == {"verdict": "accepted", "note": "calm"}
    assert send("discard") == {"verdict": "discarded", "note": ""}
    assert send("undo") == {"verdict": "accepted", "note": "calm"}
    assert len(ledger.verdicts.history("spots", "cat")) == 4


def test_choosing_a_take_discards_the_others(browse, ledger, orders):
    """Choosing a take discards the others, all together or not at all."""
    first = orders.make(State.STORED, "cat")
    second = orders.make(State.STORED, "cat.t2", fingerprint="f-cat", take=2)
    answer = browse(review=True).post("/verdicts", json=action("choose", second, first), headers=OWN)
    assert answer.status_code == 200
    assert verdicts_of(ledger) == {"cat": "discarded", "cat.t2": "accepted"}


def test_both_reviewers_see_the_other_verdict(browse, ledger, orders):
    """The second one's answer says what the first one had said."""
    cat = orders.make(State.STORED, "cat")
    ledger.verdicts.give("spots", {"cat": Judgement(Verdict.ACCEPTED)}, reviewer="bob")
    answer = browse(review=True).post("/verdicts", json=action("discard", cat), headers=OWN)
    assert answer.json()["others"] == "bob had said accepted at 18:00 UTC; both verdicts are kept"
    assert verdicts_of(ledger) == {"cat": "discarded"}


def test_a_video_that_was_replaced_is_not_judged(browse, ledger, orders):
    """A verdict on a replaced video gives a message, and nothing is recorded."""
    old = orders.make(State.STORED, "cat")
    orders.make(State.STORED, "cat")
    for name in ("accept", "undo"):
        answer = browse(review=True).post("/verdicts", json=action(name, old), headers=OWN)
        assert answer.status_code == 409
        assert "another video" in answer.text
    assert ledger.verdicts.history("spots", "cat") == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"action": "burn"}, "action: Input should be"),
        ({"reviewer": " "}, "reviewer: String should match"),
        ({"reviewer": "a\0b"}, "reviewer: String should match"),
        ({"note": "a\0b"}, "a name or a note has a NUL character: remove it. No verdict was recorded"),
        ({"note": "x" * 3000}, "note: String should have at most 2000"),
        ({"seen": {}}, "seen: Dictionary should have at least 1"),
    ],
)
def test_a_bad_action_is_answered_in_words(browse, orders, ledger, fields, words):
    """The field is named, and nothing is recorded."""
    cat = orders.make(State.STORED, "cat")
    answer = browse(review=True).post("/verdicts", json=action("accept", cat, **fields), headers=OWN)
    assert (answer.status_code, verdicts_of(ledger)) == (409, {})
    assert answer.text.startswith(words)


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "https://evil.example"}, OWN | {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}],
)
def test_another_website_gives_no_verdict(browse, orders, ledger, headers):
    """A form or a script of another site lacks the header, or has the wrong origin."""
    cat = orders.make(State.STORED, "cat")
    answer = browse(review=True).post("/verdicts", json=action("accept", cat), headers=headers)
    assert (answer.status_code, verdicts_of(ledger)) == (403, {})


def test_without_review_it_is_read_only(browse, orders, ledger):
    """The message says how it is started otherwise."""
    cat = orders.make(State.STORED, "cat")
    answer = browse().post("/verdicts", json=action("accept", cat), headers=OWN)
    assert (answer.status_code, verdicts_of(ledger)) == (403, {})
    assert "start it with --review" in answer.text


def test_a_token_lets_visitors_in(browse, orders):
    """By the printed link or the form; the cookie is for the server alone, and does not tell the token."""
    order = orders.make(State.STORED, "cat")
    client = browse("gallery.example.com", token=SecretStr(TOKEN))
    assert client.get("/").headers["location"] == "/login"
    for path in ("/tiles", "/facets", f"/media/{order.order_id}/video", "/clip?set=spots&clip=cat"):
        answer = client.get(path)
        assert (answer.status_code, answer.text) == (401, "log in first, at /login\n")
    assert client.get("/?token=wrong").headers["location"] == "/login"
    assert client.get("/?set=spots&clip=cat").headers["location"] == "/login?set=spots&clip=cat"
    origin = {"Origin": "http://gallery.example.com"}
    assert client.post("/login", data={"token": "wrong"}, headers=origin).status_code == 403
    answer = client.get(f"/?token={TOKEN}&set=spots")
    cookie = answer.headers["set-cookie"]
    assert answer.headers["location"] == "/?set=spots"
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert client.get("/").status_code == 200
    form = browse("gallery.example.com", token=SecretStr(TOKEN))
    done = form.post("/login?set=spots", data={"token": TOKEN}, headers=origin)
    assert (done.status_code, done.headers["location"]) == (303, "/?set=spots")
    assert form.get("/").status_code == 200


@pytest.mark.parametrize(
    ("host", "headers", "status"),
    [
        ("gallery.example.com:443", {}, 303),
        ("Gallery.example.com", {}, 303),
        ("127.0.0.1:8030", {"Sec-Fetch-Site": "same-origin"}, 303),
        ("127.0.0.1:8030", {}, 403),
        ("gallery.example.com:8443", {}, 403),
        ("gallery.example.com", {"Sec-Fetch-Site": "same-site"}, 403),
        ("gallery.example.com", {"Origin": "https://["}, 403),
        ("[::1", {}, 400),
        ("gallery.example.com:port", {}, 400),
    ],
)
def test_a_proxy_may_write_the_host_in_its_own_way(browse, host, headers, status):
    """The form logs in where a proxy adds the usual port or its own name; a malformed host is refused."""
    sent = {"Host": host, "Origin": "https://gallery.example.com"} | headers
    answer = browse(token=SecretStr(TOKEN)).post("/login", data={"token": TOKEN}, headers=sent)
    assert answer.status_code == status
    assert ("proxy in front of the gallery" in answer.text) == (status == 403)


def test_without_a_token_it_answers_to_its_own_name_only(browse):
    """A website that gives itself the loopback address is refused."""
    client = browse("evil.example", hosts=("127.0.0.1", "localhost"))
    assert client.get("/").status_code == 403
    assert client.get("/", headers={"Host": "localhost:8030"}).status_code == 200
