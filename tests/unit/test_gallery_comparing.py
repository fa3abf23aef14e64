"""Blind comparisons in the gallery: pages that give nothing away, answers, and figures."""

from __future__ import annotations

import io
from urllib.parse import urlencode

import pytest
from botocore.response import StreamingBody
from comparison_support import RESOLUTIONS, STYLES, make_variant
from gallery_support import OWN, Client, unreached_store

from seedance_dagster.ledger.order import State
from seedance_dagster.review.gallery.app import create_gallery
from seedance_dagster.review.gallery.options import GalleryOptions

QUESTION = {"set": "spots", "name": "resolution", "first": "480p", "second": "720p"}
QUERY = urlencode(QUESTION)


@pytest.fixture
def browse(ledger):
    """Opens a gallery on the ledger with some options, as a client."""

    def browse(**options) -> Client:
        return Client(create_gallery(ledger, unreached_store(), GalleryOptions(**options)))

    return browse


@pytest.fixture
def mugs(orders):
    """A mug at 480p and at 720p."""
    return [make_variant(orders, "mug", resolution) for resolution in ("480p", "720p")]


def send(client: Client, action: str, *sides: str, headers=OWN, **fields):
    seen = dict(zip(("left", "right"), sides, strict=False))
    body = QUESTION | {"action": action, "reviewer": "ann"} | seen | fields
    return client.post("/compare/answers", json=body, headers=headers)


def test_a_pair_is_judged_blindly(browse, ledger, mugs):
    """Neither the page nor an address says which is which; the answer is kept with its variant."""
    client = browse(review=True)
    page = client.get(f"/compare/pair?{QUERY}").text
    reply = client.get(f"/compare/next?{QUERY}&reviewer=ann")
    turn = reply.json()
    assert (turn["round"], turn["left"], turn["pairs"]) == (1, 1, 1)
    assert set(turn["sides"]) == {order.sha256 for order in mugs}
    for word in ("480p", "720p", "resolution", "mug-"):
        assert word not in page
        assert word not in reply.text
    done = send(client, "left", *turn["sides"]).json()
    assert (done["round"], done["left"]) == (2, 1)
    [kept] = ledger.comparisons.answers("spots", RESOLUTIONS)
    by_sha256 = {order.sha256: order.request["resolution"] for order in mugs}
    assert (kept.preferred, kept.reviewer) == (by_sha256[turn["sides"][0]], "ann")
    again = send(client, "undo").json()
    assert (again["round"], again["sides"]) == (1, turn["sides"])
    assert ledger.comparisons.answers("spots", RESOLUTIONS) == []


def test_a_text_that_says_which_is_which_is_not_shown(browse, orders):
    """A text that names the variant, such as its style, is not shown."""
    for style in ("noir", "calm"):
        make_variant(orders, "mug", "480p", style)
    query = urlencode(QUESTION | {"name": "style", "first": STYLES.first, "second": STYLES.second})
    turn = browse(review=True).get(f"/compare/next?{query}&reviewer=ann").json()
    assert turn["prompt"] == ""


def test_a_video_comes_by_its_hash(browse, mugs, monkeypatch):
    """A video comes from the gallery by its hash, since a link to S3 would name its partition."""
    body = StreamingBody(io.BytesIO(b"video"), 5)
    stored = {"Body": body, "ContentLength": 5}
    monkeypatch.setattr(unreached_store().client, "get_object", lambda **_: stored)
    client = browse()
    assert client.get(f"/media/{mugs[0].order_id}/video").headers["location"].startswith("http://s3.test")
    reply = client.get(f"/compare/video/{mugs[0].sha256}")
    assert (reply.status_code, reply.content) == (200, b"video")
    assert "mug" not in str(reply.headers)
    assert client.get("/compare/video/nothing").status_code == 404


def test_the_results_are_shown_to_those_who_ask(browse, mugs):
    """The results have Wilson's interval at 95 %, and ties apart."""
    client = browse(review=True)
    sides = [order.sha256 for order in mugs]
    send(client, "right", *sides)
    send(client, "none", *sides, reviewer="bob")
    page = " ".join(client.get(f"/compare/results?{QUERY}").text.split())
    assert '<td class="number">100.0%</td> <td class="number">20.7% to 100.0%</td>' in page
    assert "1 pair judged, with 2 answers of 2 reviewers; 1 pair can be compared now" in page
    assert "No preference: 1" in page
    assert "Wilson" in page


def test_the_questions_of_a_set_are_listed(browse, mugs):
    """The questions of a set have their numbers of pairs; a read-only gallery links only to results."""
    assert "resolution: 480p and 720p" in browse(review=True).get("/compare?set=spots").text
    page = browse().get("/compare?set=spots").text
    assert "/compare/results?" in page
    assert "/compare/pair?" not in page
    assert "Choose a prompt set" in browse().get("/compare").text
    assert "No two videos of other differ" in browse().get("/compare?set=other").text


def test_a_hostile_value_is_text(browse, orders):
    """A hostile value of a tag is text, in the list and in the results."""
    hostile = '"><script>alert(1)</script>'
    for style in ("noir", hostile):
        make_variant(orders, "mug", "480p", style)
    query = urlencode(QUESTION | {"name": "style", "first": hostile, "second": "noir"})
    for path in ("/compare?set=spots", f"/compare/results?{query}", f"/compare/pair?{query}"):
        page = browse(review=True).get(path)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "unsafe" not in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "https://evil.example"}, OWN | {"Sec-Fetch-Site": "cross-site"}]
)
def test_another_website_gives_no_answer(browse, ledger, mugs, headers):
    """A request from another website gives no answer."""
    reply = send(browse(review=True), "left", *(order.sha256 for order in mugs), headers=headers)
    assert (reply.status_code, ledger.comparisons.answers("spots", RESOLUTIONS)) == (403, [])


def test_without_review_results_are_shown_and_no_answer_is_taken(browse, ledger, mugs):
    """The message says how it is started otherwise."""
    client = browse()
    replies = [
        send(client, "left", *(order.sha256 for order in mugs)),
        client.get(f"/compare/next?{QUERY}&reviewer=ann"),
    ]
    for reply in replies:
        assert reply.status_code == 403
        assert "start it with --review" in reply.text
    assert ledger.comparisons.answers("spots", RESOLUTIONS) == []
    assert client.get(f"/compare/results?{QUERY}").status_code == 200
    assert "start it with <code>--review</code>" in client.get(f"/compare/pair?{QUERY}").text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"left": "0" * 64}, "a video of this pair was replaced meanwhile"),
        ({"second": "4k"}, "spots: no two videos of one prompt differ in resolution=480p and resolution=4k"),
        ({"reviewer": " "}, "reviewer: String should match"),
        ({"action": "both"}, "action: Input should be"),
        ({"action": "undo"}, "spots: no answer of ann is left to take back"),
    ],
)
def test_what_cannot_be_recorded_says_why(browse, ledger, mugs, fields, words):
    """An answer that cannot be recorded gives the reason, and nothing is recorded."""
    sides = {"left": mugs[0].sha256, "right": mugs[1].sha256}
    reply = send(browse(review=True), **{"action": "left"} | sides | fields)
    assert (reply.status_code, ledger.comparisons.answers("spots", RESOLUTIONS)) == (409, [])
    assert reply.text.startswith(words)


def test_a_question_without_its_fields_says_what_is_missing(browse, orders):
    """A question without its fields names what is missing, and leads to the list."""
    orders.make(State.STORED, "cat")
    reply = browse(review=True).get("/compare/pair?set=spots&name=style")
    assert (reply.status_code, reply.text) == (
        400,
        "first, second: missing; choose a comparison at /compare\n",
    )
