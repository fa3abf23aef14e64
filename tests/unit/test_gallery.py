"""The gallery's pages: their contents, and the secrets and markup that they keep out."""

from __future__ import annotations

import re

import pytest
from gallery_support import SECRET, Client, unreached_store
from starlette.applications import Starlette
from starlette.routing import Mount

from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.score_results import ScoreResult
from seedance_dagster.ledger.verdict import Judgement, Verdict
from seedance_dagster.review.gallery.app import create_gallery
from seedance_dagster.review.gallery.options import GalleryOptions

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}'


@pytest.fixture
def browse(ledger):
    """Opens a gallery on the ledger with some options, as a client."""

    def browse(**options) -> Client:
        return Client(create_gallery(ledger, unreached_store(), GalleryOptions(**options)))

    return browse


def test_takes_of_a_prompt_stand_in_a_row(browse, orders, ledger):
    """Newest prompts first, each with all of its takes, and why one has no video."""
    orders.make(State.STORED, "cat")
    orders.make(State.REJECTED, "dog", reason="copyright")
    orders.make(State.STORED, "cat.t2", fingerprint="f-cat", take=2)
    page = browse().get("/").text
    assert re.findall(r'data-prompt="([^"]+)"', page) == ["spots/cat", "spots/dog"]
    assert re.findall(r'data-partition="([^"]+)"', page) == ["cat", "cat.t2", "dog"]
    assert "Rejected by moderation: copyright; edit the prompt" in page


def test_a_ledger_that_is_away_is_no_conflict(browse, orders, ledger):
    """A proxy or a monitor sees that the page may come later, a person sees the reason."""
    orders.make(State.STORED, "cat")
    client = browse()
    with ledger._database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE seedance_orders RENAME TO elsewhere")
    reply = client.get("/")
    assert (reply.status_code, "did not answer" in reply.text) == (503, True)


def test_what_is_not_ordered_says_so(browse, ledger):
    """A prompt that is not ordered has a tile without a video that says how to get one."""
    ledger.partitions.update("spots", {"cat": PartitionRequest("f-cat")})
    client = browse()
    assert "Not ordered yet: materialize it in Dagster" in client.get("/").text
    assert 'value="not_ordered"' in client.get("/facets").text
    assert client.get("/clip?set=spots&clip=cat").status_code == 200


def test_a_clip_says_which_checks_it_passes(browse, orders):
    """A clip lists the checks of a single video, and the reason of each that it does not pass."""
    orders.make(State.STORED, "cat")  # 4 s long, where 5 s were requested
    page = browse().get("/clip?set=spots&clip=cat").text
    assert "<dd>3 of 4 passed</dd>" in page
    assert "matches_request: is 4.0 s long; 5 s were requested" in page


def test_scores_are_shown_and_filtered_by(browse, orders, ledger):
    """A clip has them in its facts, and a filter takes several with commas between them."""
    for key, motion in {"cat": 0.3, "dog": 0.1}.items():
        order = orders.make(State.STORED, key)
        values = {"motion": motion, "cuts": 0, "caption": HOSTILE}
        ledger.scores.record(order.sha256, [ScoreResult(score="s", version="1", values=values)])
    client = browse()
    clip = client.get("/clip?set=spots&clip=cat").text
    assert '<span class="line">motion: 0.3</span>' in clip
    assert HOSTILE not in clip
    page = client.get("/", params={"score": "motion>=0.2, cuts==0"}).text
    assert re.findall(r'data-partition="([^"]+)"', page) == ["cat"]
    facets = client.get("/facets", params={"score": ["motion>=0.2", "cuts==0"]}).text
    fields = re.findall(r'name="score" list="scores" value="([^"]*)"', facets)
    assert fields == ["motion&gt;=0.2", "cuts==0", ""]
    assert re.findall(r'<option value="(\w+(?:==|&gt;=))"', facets) == [
        "caption==",
        "cuts&gt;=",
        "motion&gt;=",
    ]
    refused = client.get("/", params={"score": "motion"})
    assert refused.status_code == 400
    assert "score is 'motion'; allowed is a name and a comparison" in refused.text


def test_videos_are_sorted_by_a_score(browse, orders, ledger):
    """Page by page, each tile with its value; numbers are to choose from, and a wrong order is refused."""
    made = orders.make_many(State.STORED, *(f"p{number}" for number in range(70)))
    for number, order in enumerate(made):
        values = {"motion": (number * 3 % 70) / 100, "mood": "calm"}
        ledger.scores.record(order.sha256, [ScoreResult(score="s", version="1", values=values)])
    client = browse()
    first = client.get("/", params={"sort": "-scores.motion"}).text
    [more] = re.findall(r'data-more="([^"]+)"', first)
    second = client.get("/tiles?" + more.replace("&amp;", "&")).text
    shown = [float(value) for value in re.findall(r'title="motion">([0-9.]+)<', first + second)]
    assert shown == [number / 100 for number in range(69, -1, -1)]
    facets = client.get("/facets", params={"sort": "-scores.motion"}).text
    assert re.findall(r'<option value="([^"]+)" selected', facets) == ["-scores.motion"]
    assert "scores.mood" not in facets
    cost = {"sort": "cost"}
    for wrong in ({"sort": "motion"}, cost | {"after": "nan~1:spots:p1"}, cost | {"after": "1:a:b"}):
        refused = client.get("/", params=wrong)
        assert refused.status_code == 400
        assert refused.text.startswith(("sort is 'motion'; allowed are cost and scores.NAME", "after is not"))


def test_a_hostile_prompt_is_text(browse, orders, ledger):
    """Neither prompts, tags nor notes become markup, in any part of a page."""
    orders.make(
        State.STORED, "cat", request={"prompt": HOSTILE, "task_type": "x", "mode": HOSTILE, "duration": 4}
    )
    ledger.verdicts.give("spots", {"cat": Judgement(Verdict.ACCEPTED, HOSTILE)}, reviewer=HOSTILE)
    client = browse(review=True, reviewer=HOSTILE)
    for path in ("/", "/?q=alert", "/clip?set=spots&clip=cat", "/?set=spots&clip=cat", "/facets?set=spots"):
        page = client.get(path)
        assert page.status_code == 200
        assert "<img src=x" not in page.text
        assert "alert(2)</script>" not in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
    assert "{{7*7}}" in client.get("/").text


def test_a_page_has_no_secret_and_no_link_to_s3(browse, orders):
    """Links that expire are made when a video is asked for, and are not kept."""
    order = orders.make(State.STORED, "cat")
    client = browse()
    for path in ("/", "/clip?set=spots&clip=cat"):
        text = client.get(path).text
        assert "X-Amz" not in text
        assert SECRET not in text
    answer = client.get(f"/media/{order.order_id}/video")
    assert (answer.status_code, answer.headers["cache-control"]) == (302, "no-store")
    assert answer.headers["location"].startswith(f"http://s3.test:9000/videos/{order.video_key}?X-Amz-")
    assert "media-src 'self' http://s3.test:9000;" in answer.headers["content-security-policy"]
    assert client.get("/media/999/video").status_code == 404
    assert client.get(f"/media/{order.order_id}/request").status_code == 404


def test_pages_follow_each_other(browse, orders, monkeypatch):
    """The link at the end leads to older videos, and keeps the filter."""
    monkeypatch.setattr("seedance_dagster.review.gallery.app._PAGE", 2)
    orders.make_many(State.STORED, "p0", "p1", "p2")
    client, seen, query = browse(), [], "state=stored"
    while query:
        page = client.get(f"/tiles?{query}").text
        seen += re.findall(r'data-partition="([^"]+)"', page)
        match = re.search(r'data-more="([^"]+)"', page)
        query = match[1].replace("&amp;", "&") if match else ""
        assert not query or query.startswith("state=stored&after=")
    assert seen == ["p2", "p1", "p0"]


def test_facets_count_what_there_is(browse, orders, ledger):
    """The header says how many are left to review, and what an accepted video costs."""
    orders.make_many(State.STORED, "cat", "dog")
    ledger.verdicts.give("spots", {"cat": Judgement(Verdict.ACCEPTED)}, reviewer="ann")
    page = browse().get("/facets?set=spots&verdict=accepted").text
    assert '<b id="left">1</b> to review' in page
    assert "<b>0.80</b> USD, <b>0.80</b> for each accepted video" in page
    assert re.search(r'value="accepted" checked', page)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("verdict=good", "verdict is 'good'; allowed are accepted, discarded, undecided"),
        ("state=lost", "state is 'lost'; allowed are stored, in_progress, no_video, not_ordered"),
        ("cost_min=cheap", "cost_min is 'cheap'; allowed are amounts in USD"),
        ("since=yesterday", "since is 'yesterday'; allowed are days, such as 2026-11-26"),
        ("tag=spring", "tag is 'spring'; allowed is NAME=VALUE"),
        ("after=1", "follow the links of the gallery"),
        ("set=spots&clip=cow", "spots/cow: there is no such partition"),
        ("clip=cow", "a clip is named by set and clip, as in ?set=launch_spots&clip=cat-garden"),
    ],
)
def test_a_query_that_cannot_be_used_is_answered_in_words(browse, query, words):
    """The message says what is allowed."""
    answer = browse().get(f"/?{query}")
    assert answer.status_code in (400, 404)
    assert answer.headers["content-type"].startswith("text/plain")
    assert words in answer.text


def test_a_page_or_method_that_is_not_there_is_answered_in_plain_text(browse):
    """A person who follows an old link sees words, not JSON."""
    paths = ("/nowhere", "/verdicts", "/static/nothing.js", "/media/cat/video")
    answers = [browse().get(path) for path in paths]
    assert [answer.status_code for answer in answers] == [404, 405, 404, 404]
    assert {answer.headers["content-type"] for answer in answers} == {"text/plain; charset=utf-8"}
    assert answers[1].headers["allow"] == "POST"


@pytest.mark.each_database
@pytest.mark.parametrize("path", ["/?q=a%00b", "/?set=a%00", "/compare/video/a%00b"])
def test_an_address_with_a_nul_character_is_refused(browse, path):
    """PostgreSQL takes no such text, and it is no reason to say that the ledger does not answer."""
    answer = browse().get(path)
    assert (answer.status_code, answer.text) == (400, "an address cannot have a NUL character (%00)\n")


def test_it_can_be_mounted(ledger, orders):
    """All links carry the path under which another application has it."""
    orders.make(State.STORED, "cat")
    app = Starlette(routes=[Mount("/videos", create_gallery(ledger, unreached_store()))])
    client = Client(app, "team.example.com")
    page = client.get("/videos/").text
    links = re.findall(r'(?:href|src|action)="([^"]+)"', page)
    assert links
    assert all(link.startswith("/videos/") for link in links)
    assert client.get("/videos/static/gallery.js").status_code == 200
