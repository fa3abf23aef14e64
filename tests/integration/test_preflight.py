"""References are probed over real HTTP, once and with as few bytes as needed; costs are exact then."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest
from preflight_support import QUICK, REQUEST, quoted
from reference_host import inflated, sample

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.engine.ordering.place import place_orders
from seedance_dagster.engine.ordering.preflight import preflight
from seedance_dagster.engine.policy import Policy
from seedance_dagster.ledger.orders import Outcome
from seedance_dagster.media.references.host import ProbeLimits

pytestmark = pytest.mark.integration


def test_valid_references_are_recorded_with_type_size_hash_and_length(references, look):
    """Files of every kind that the vendor takes are valid, and an order records their facts."""
    names = {"image": ["a.png", "a.jpg", "a.webp", "a.bmp"], "video": ["a.mp4", "a.mov"], "audio": ["a.wav"]}
    urls = {
        f"{kind}_urls": [references.sample(name, seconds=6.5) + "?sig=secret" for name in files]
        for kind, files in names.items()
    }
    urls["audio_urls"].append(references.sample("b.mp3", seconds=15))
    assert look(urls, limits=ProbeLimits()).invalid == {}
    [answer] = quoted(look.services, urls)
    facts = answer.order.reference_facts
    assert [(fact["kind"], fact["position"], fact["media_type"]) for fact in facts] == [
        ("image", 1, "image/png"),
        ("image", 2, "image/jpeg"),
        ("image", 3, "image/webp"),
        ("image", 4, "image/bmp"),
        ("video", 1, "video/mp4"),
        ("video", 2, "video/quicktime"),
        ("audio", 1, "audio/wav"),
        ("audio", 2, "audio/mpeg"),
    ]
    body = sample("a.mp4", seconds=6.5)
    assert facts[4] == {
        "kind": "video",
        "position": 1,
        "url": f"http://127.0.0.1:{references.server_port}/a.mp4",
        "media_type": "video/mp4",
        "size_bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "duration_s": 6.5,
        "checked_at": look.services.clock().isoformat(),
    }
    assert answer.estimate.exact
    assert answer.estimate == Catalog.load().estimate(
        answer.partition.request, at=look.services.clock(), input_video_s=13.0
    )
    assert "secret" not in json.dumps(facts)


def test_large_files_are_probed_in_parts(references, look):
    """Only head and index of a large video are read, wherever the index is, and the head of a large image."""
    video = sample("v.mp4", seconds=6)
    urls = {
        "image_urls": [references.put("/large.png", sample("v.png") + bytes(1_000_000))],
        "video_urls": [
            references.put("/behind.mp4", inflated(video, 1_000_000)),
            references.put("/front.mp4", inflated(video, 1_000_000, index_in_front=True)),
        ],
    }
    references.gets()
    assert look(urls, limits=dataclasses.replace(QUICK, at_once=1)).invalid == {}
    end = (1_000_000 + len(video)) // 50_000 * 50_000
    assert sorted(references.gets()) == sorted(["bytes=0-49999"] * 3 + [f"bytes={end}-{end + 49_999}"])
    [answer] = quoted(look.services, urls)
    assert [fact["duration_s"] for fact in answer.order.reference_facts] == [None, 6.0, 6.0]
    assert [fact["sha256"] for fact in answer.order.reference_facts] == [None, None, None]
    assert answer.order.reference_facts[1]["size_bytes"] == 1_000_000 + len(video)


@pytest.mark.parametrize("manners", [{"ranges": False}, {"sized": False, "ranges": False}, {"head": 405}])
def test_plain_hosts_will_do(references, look, manners):
    """A host without parts, without a length or without HEAD can serve small files."""
    assert look({"video_urls": [references.sample("plain.mp4", seconds=15.4, **manners)]}).invalid == {}


@pytest.mark.parametrize(
    "headers", [{"ETag": '"1"'}, {"Last-Modified": "Mon, 06 Apr 2026 00:00:00 GMT"}], ids=["etag", "date"]
)
def test_an_unchanged_file_is_not_read_again(references, look, clock, headers):
    """With the same validator only a HEAD is sent, however late; with another one the file is read."""
    lists = {"audio_urls": [references.sample("same.wav", seconds=3, headers=headers)]}
    look(lists)
    clock.forward(days=100)
    references.gets()
    assert look(lists, lists).invalid == {}
    assert references.gets() == []
    references.sample("same.wav", seconds=16, headers=headers | {"ETag": '"2"'})
    assert look(lists).invalid["p0"].startswith("audio_urls number 1 lasts 16.0 s")
    assert len(references.gets()) == 2  # a file that differs at each look would not count as changed
    assert look(lists).invalid["p0"].startswith("audio_urls number 1 lasts 16.0 s")
    assert references.gets() == []


@pytest.mark.parametrize("manners", [{}, {"head": 403}, {"headers": {"ETag": "\xe9"}}])
def test_without_a_validator_a_probe_is_valid_for_ten_minutes(references, look, clock, manners):
    """Without a validator, or without HEAD, the file is read again after ten minutes."""
    lists = {"image_urls": [references.sample("plain.png", **manners)]}
    look(lists)
    clock.forward(minutes=9)
    references.gets()
    look(lists)
    assert references.gets() == []
    clock.forward(minutes=2)
    look(lists)
    assert len(references.gets()) == 1


def test_a_file_that_is_gone_is_invalid_although_it_was_probed(references, look):
    """An earlier probe does not count for a file that is gone."""
    lists = {"image_urls": [references.sample("away.png")]}
    assert look(lists).invalid == {}
    references.put("/away.png", status=404)
    assert look(lists).invalid == {"p0": "image_urls number 1 does not exist: its host answers HTTP 404"}


def test_switched_off_nothing_is_probed_or_trusted(references, look):
    """Without the preflight every prompt is valid, nothing is requested, and estimates are upper bounds."""
    lists = {"video_urls": [references.sample("off.mp4", seconds=4)]}
    look(lists)
    references.asked.clear()
    got = look(lists, {"image_urls": ["http://10.0.0.1/a.png"]}, preflight=False)
    assert (len(got.valid), got.invalid, references.asked) == (2, {}, [])
    off = dataclasses.replace(look.services, policy=Policy(preflight=False))
    [answer] = quoted(off, lists)
    assert (answer.estimate.exact, answer.order.reference_facts) == (False, None)


def test_only_new_orders_are_probed(references, start_engine):
    """References of a prompt that is in flight or stored are not probed; no key reaches their references."""
    lists = {"video_urls": [references.sample("new.mp4", seconds=4)]}
    with start_engine() as engine:
        checked = preflight(engine.services, quoted(engine.services, lists))
        assert checked.invalid == {}
        place_orders(engine.services, checked.valid, REQUEST)
        references.put("/new.mp4", status=404)
        references.asked.clear()
        for outcome in (Outcome.JOINED, Outcome.REUSED):
            [answer] = quoted(engine.services, lists)
            assert answer.outcome is outcome
            assert preflight(engine.services, [answer]).invalid == {}
            engine.run()
    assert references.asked == []
    assert not any("emulator-key" in str(headers) or "x-api-key" in headers for headers in references.headers)


def test_the_estimate_is_what_the_vendor_charges(start_engine):
    """Estimate and charge agree to the point, input videos included; an invalid prompt costs nothing."""
    with start_engine() as engine:
        root = f"{engine.emulator.files_url}/references"
        quotes = quoted(
            engine.services,
            {"video_urls": [f"{root}/a.mp4?seconds=7.5", f"{root}/b.mov?seconds=3.333"]},
            {"video_urls": [f"{root}/a.mp4?seconds=7.5"], "audio_urls": [f"{root}/c.mp3?seconds=17.2"]},
            {"image_urls": [f"{root}/d.webp?ratio=9:16"], "audio_urls": [f"{root}/c.mp3?seconds=15"]},
        )
        got = preflight(engine.services, quotes)
        assert list(got.invalid) == ["p1"]
        engine.run(place_orders(engine.services, got.valid, REQUEST))
        latest = engine.services.ledger.queries.latest("spots")
        first, second = latest["p0"], latest["p2"]
        assert first.estimated_points == first.points_charged == 10_416_500
        assert first.price_formula == "0.10 USD/s x (5 s output + 5.4165 s input)"
        assert second.estimated_points == second.points_charged == 5_000_000
        summary = engine.books()["summary"]
        assert summary["points_charged"] == first.points_charged + second.points_charged
        assert summary["key_leaks"] == 0
        assert [fact["duration_s"] for fact in first.reference_facts] == [7.5, 3.333]
