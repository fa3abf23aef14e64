"""References are looked at over real HTTP, and what cannot be used is refused in words before money moves."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
from reference_host import ReferenceFiles, inflated, running_reference_files, sample

from seedance_dagster.api.prices import PriceBook
from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.generation import links
from seedance_dagster.generation.accept import AcceptOptions, accept, quote
from seedance_dagster.generation.events import Outcome
from seedance_dagster.generation.policy import Policy
from seedance_dagster.generation.preflight import Preflight, preflight
from seedance_dagster.generation.reference_host import LookLimits
from seedance_dagster.generation.services import Services
from seedance_dagster.ledger import Ledger
from seedance_dagster.prompts.models import Prompt, PromptSet

pytestmark = pytest.mark.integration

QUICK = LookLimits(max_bytes=300_000, part_bytes=50_000, idle_s=0.3, total_s=0.8)


@pytest.fixture(scope="module")
def host() -> Iterator[ReferenceFiles]:
    """A host of reference files, for all tests of this file."""
    with running_reference_files() as server:
        yield server


@pytest.fixture
def services(tmp_path, clock) -> Iterator[Services]:
    """An engine that cannot send or store anything: a preflight needs neither."""
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=clock)
    policy = Policy(allow_private_hosts=True)
    yield Services(ledger=ledger, open_client=None, store=None, policy=policy, clock=clock)  # type: ignore[arg-type]
    ledger.close()


@pytest.fixture
def look(services) -> Callable[..., Preflight]:
    """Looks at the references of prompts, each given as its lists of URLs."""

    def run(*prompts: dict[str, list[str]], limits: LookLimits = QUICK, **policy: Any) -> Preflight:
        changed = dataclasses.replace(services, policy=dataclasses.replace(services.policy, **policy))
        return preflight(changed, wanted(*prompts), prompt_set="spots", limits=limits)

    return run


def wanted(*prompts: dict[str, list[str]]) -> list:
    """Partitions p0, p1, ... with these references."""
    made = tuple(
        Prompt(
            id=f"p{number}",
            request=GenerationRequest(
                task_type="seedance-2-fast",
                prompt="a cat",
                mode=Mode.OMNI_REFERENCE,
                **{name: tuple(urls) for name, urls in lists.items()},
            ),
        )
        for number, lists in enumerate(prompts)
    )
    return list(PromptSet("spots", made).partitions.values())


def test_sound_references_are_known_by_type_size_hash_and_length(host, services, look):
    """Files of every kind that the vendor takes pass, and an order keeps what was seen of them."""
    names = {"image": ["a.png", "a.jpg", "a.webp", "a.bmp"], "video": ["a.mp4", "a.mov"], "audio": ["a.wav"]}
    urls = {
        f"{kind}_urls": [host.sample(name, seconds=6.5) + "?sig=secret" for name in found]
        for kind, found in names.items()
    }
    urls["audio_urls"].append(host.sample("b.mp3", seconds=15))
    assert look(urls, limits=LookLimits()).refused == {}
    [answer] = quote(services, wanted(urls), prompt_set="spots")
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
        "url": f"http://127.0.0.1:{host.server_port}/a.mp4",
        "media_type": "video/mp4",
        "size_bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "duration_s": 6.5,
        "checked_at": services.clock().isoformat(),
    }
    assert answer.estimate.exact
    assert answer.estimate == PriceBook.load().estimate(answer.partition.request, input_video_s=13.0)
    assert "secret" not in json.dumps(facts)


REFUSALS = {
    "too long audio": (
        {"audio_urls": ["long.wav"]},
        "audio_urls number 1 lasts 17.2 s; at most 15.0 s (the vendor drops longer audio silently)",
    ),
    "too long video": ({"video_urls": ["long.mp4"]}, "video_urls last 17.2 s in all; at most 15.4 s"),
    "too long videos in all": (
        {"video_urls": ["half.mp4", "half.mov"]},
        "video_urls last 15.401 s in all; at most 15.4 s",
    ),
    "a video as an image": (
        {"image_urls": ["cat.png", "half.mp4"]},
        "image_urls number 2 is an mp4 video; allowed: jpg, jpeg, png, webp, bmp",
    ),
    "an image that is called mp4": (
        {"video_urls": ["image.mp4"]},
        "video_urls number 1 is a PNG image; allowed: mp4, mov",
    ),
    "a page": (
        {"image_urls": ["page.png"]},
        "image_urls number 1 is a web page; allowed: jpg, jpeg, png, webp, bmp",
    ),
    "nothing": ({"image_urls": ["empty.png"]}, "image_urls number 1 is empty (0 bytes)"),
    "no file": ({"image_urls": ["gone.png"]}, "image_urls number 1 is not there: its host answers HTTP 404"),
    "no entry": (
        {"image_urls": ["shut.png"]},
        "image_urls number 1 is not open to everybody: its host answers HTTP 403",
    ),
    "a broken host": (
        {"image_urls": ["broken.png"]},
        "image_urls number 1 cannot be read: its host answers HTTP 503",
    ),
    "damaged": (
        {"video_urls": ["cut.mp4"]},
        "video_urls number 1 is an mp4 video that cannot be played: it is damaged or cut off",
    ),
    "cut off": (
        {"image_urls": ["half.png"]},
        "image_urls number 1 cannot be read: the connection ended early",
    ),
    "silence": (
        {"image_urls": ["still.png"]},
        "image_urls number 1 cannot be read: its host takes longer than 0.3 s for a byte or 0.8 s in all",
    ),
    "drops": (
        {"image_urls": ["drip.png"]},
        "image_urls number 1 cannot be read: its host takes longer than 0.3 s for a byte or 0.8 s in all",
    ),
    "endless": (
        {"image_urls": ["endless.png"]},
        "image_urls number 1 is larger than 0.3 MB, and its host does not say how large",
    ),
    "no parts": (
        {"video_urls": ["unranged.mp4"]},
        (
            "video_urls number 1 is an mp4 video whose first 0.3 MB do not tell its length, and its host "
            "sends no parts: put its index in front (ffmpeg -movflags +faststart)"
        ),
    ),
    "two at once": (
        {"image_urls": ["gone.png"], "audio_urls": ["long.wav"]},
        (
            "image_urls number 1 is not there: its host answers HTTP 404; "
            "audio_urls number 1 lasts 17.2 s; at most 15.0 s (the vendor drops longer audio silently)"
        ),
    ),
}


@pytest.fixture(scope="module")
def files(host) -> dict[str, str]:
    """URLs of the files that are refused, and of one that is not."""
    video = sample("v.mp4", seconds=5)
    pixels = sample("cat.png")
    return {
        "cat.png": host.sample("cat.png"),
        "long.wav": host.sample("long.wav", seconds=17.2),
        "long.mp4": host.sample("long.mp4", seconds=17.2),
        "half.mp4": host.sample("half.mp4", seconds=7.7),
        "half.mov": host.sample("half.mov", seconds=7.701),
        "image.mp4": host.put("/image.mp4", pixels, headers={"Content-Type": "video/mp4"}),
        "page.png": host.put("/page.png", b"<!DOCTYPE html><p>no", headers={"Content-Type": "image/png"}),
        "empty.png": host.put("/empty.png"),
        "gone.png": host.put("/gone.png", status=404),
        "shut.png": host.put("/shut.png", status=403),
        "broken.png": host.put("/broken.png", status=503),
        "cut.mp4": host.put("/cut.mp4", video[: len(video) // 2]),
        "half.png": host.put(
            "/half.png", pixels, sized=False, headers={"Content-Length": "9999"}, ranges=False
        ),
        "still.png": host.put("/still.png", pixels, sized=False, then="silence", ranges=False),
        "drip.png": host.put("/drip.png", pixels, sized=False, then="drops", ranges=False),
        "endless.png": host.put("/endless.png", pixels, sized=False, then="zeros", ranges=False),
        "unranged.mp4": host.put("/unranged.mp4", inflated(video, 400_000), ranges=False),
    }


@pytest.mark.parametrize(("lists", "words"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_used_is_refused_in_words(files, look, lists, words):
    """A refusal names field, number, what is wrong and what is allowed, and stops no other prompt."""
    broken = {name: [files[each] for each in names] for name, names in lists.items()}
    got = look({"image_urls": [files["cat.png"]]}, broken, {})
    assert got.refused == {"p1": words}
    assert [each.key for each in got.sound] == ["p0", "p2"]


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (
            "http://127.0.0.1:{closed}/a.png?sig=secret",
            "cannot be reached: the link's host 127.0.0.1 takes no",
        ),
        ("http://nowhere.invalid/a.png?sig=secret", "cannot be reached: the link's host nowhere.invalid is"),
        ("{host}/to-metadata?sig=secret", "is not followed: the link leads to the private address 169.254."),
        ("{host}/to-file?sig=secret", "is not followed: the link leads to file:, only http"),
        ("{host}/loop?sig=secret", "is not followed: the link redirects more than 5 times"),
        (
            "http://10.0.0.1/a.png?sig=secret",
            "is not followed: the link leads to the private address 10.0.0.1",
        ),
    ],
)
def test_links_that_lead_nowhere_or_inside_are_refused(host, look, link, words, monkeypatch):
    """The rules of downloads hold for references: public addresses only, each redirect looked at."""
    host.put("/to-metadata", status=302, headers={"Location": "http://169.254.169.254/latest/?sig=secret"})
    host.put("/to-file", status=302, headers={"Location": "file:///etc/passwd"})
    host.put("/loop", status=302, headers={"Location": "/loop"})

    async def unknown(*args: object) -> None:
        raise OSError(None, "no such name")

    monkeypatch.setattr(aiohttp.DefaultResolver, "resolve", unknown)
    outside = links.is_public
    monkeypatch.setattr(links, "is_public", lambda address: address.is_loopback or outside(address))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = link.format(closed=closed.getsockname()[1], host=f"http://127.0.0.1:{host.server_port}")
        refused = look({"image_urls": [url]}, allow_private_hosts=False).refused
    assert refused["p0"].startswith(f"image_urls number 1 {words}")
    assert "secret" not in refused["p0"]


def test_a_silent_host_costs_its_time_once(look):
    """After one file of a host could not be reached, its other files are refused without waiting again."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        prompts = [{"image_urls": [f"{url}/{number}.png"]} for number in range(50)]
        limits = dataclasses.replace(QUICK, at_once=1, total_s=5)
        refused = look(*prompts, limits=limits).refused
        silent.setblocking(False)
        met = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                silent.accept()[0].close()
                met += 1
    assert set(refused.values()) == {
        "image_urls number 1 cannot be reached: the link's host 127.0.0.1 does not answer in time"
    }
    assert (len(refused), met) == (50, 2)


def test_large_files_are_looked_at_in_parts(host, look, services):
    """Of a large video only head and index are read, wherever the index lies; of a large image its head."""
    video = sample("v.mp4", seconds=6)
    urls = {
        "image_urls": [host.put("/large.png", sample("v.png") + bytes(1_000_000))],
        "video_urls": [
            host.put("/behind.mp4", inflated(video, 1_000_000)),
            host.put("/front.mp4", inflated(video, 1_000_000, index_in_front=True)),
        ],
    }
    host.gets()
    assert look(urls, limits=dataclasses.replace(QUICK, at_once=1)).refused == {}
    end = (1_000_000 + len(video)) // 50_000 * 50_000
    assert sorted(host.gets()) == sorted(["bytes=0-49999"] * 3 + [f"bytes={end}-{end + 49_999}"])
    [answer] = quote(services, wanted(urls), prompt_set="spots")
    assert [fact["duration_s"] for fact in answer.order.reference_facts] == [None, 6.0, 6.0]
    assert [fact["sha256"] for fact in answer.order.reference_facts] == [None, None, None]
    assert answer.order.reference_facts[1]["size_bytes"] == 1_000_000 + len(video)


@pytest.mark.parametrize("how", [{"ranges": False}, {"sized": False, "ranges": False}, {"head": 405}])
def test_plain_hosts_will_do(host, look, how):
    """A host without parts, without a length or without HEAD serves small files as well as any."""
    assert look({"video_urls": [host.sample("plain.mp4", seconds=15.4, **how)]}).refused == {}


@pytest.mark.parametrize(
    "headers", [{"ETag": '"1"'}, {"Last-Modified": "Mon, 06 Apr 2026 00:00:00 GMT"}], ids=["etag", "date"]
)
def test_a_file_that_did_not_change_is_not_read_again(host, look, clock, headers):
    """With the same validator a HEAD is all that is sent, however late; with another one the file is read."""
    lists = {"audio_urls": [host.sample("same.wav", seconds=3, headers=headers)]}
    look(lists)
    clock.forward(days=100)
    host.gets()
    assert look(lists, lists).refused == {}
    assert host.gets() == []
    host.sample("same.wav", seconds=16, headers=headers | {"ETag": '"2"'})
    assert look(lists).refused["p0"].startswith("audio_urls number 1 lasts 16.0 s")
    assert len(host.gets()) == 1
    assert look(lists).refused["p0"].startswith("audio_urls number 1 lasts 16.0 s")
    assert host.gets() == []


@pytest.mark.parametrize("how", [{}, {"head": 403}, {"headers": {"ETag": "\xe9"}}])
def test_without_a_validator_a_look_holds_for_ten_minutes(host, look, clock, how):
    """A host that gives no validator, or no HEAD, is asked for the file again after ten minutes."""
    lists = {"image_urls": [host.sample("plain.png", **how)]}
    look(lists)
    clock.forward(minutes=9)
    host.gets()
    look(lists)
    assert host.gets() == []
    clock.forward(minutes=2)
    look(lists)
    assert len(host.gets()) == 1


def test_a_file_that_went_away_is_refused_although_it_was_seen(host, look):
    """What an earlier look found does not hold for a file that is no longer there."""
    lists = {"image_urls": [host.sample("away.png")]}
    assert look(lists).refused == {}
    host.put("/away.png", status=404)
    assert look(lists).refused == {"p0": "image_urls number 1 is not there: its host answers HTTP 404"}


def test_switched_off_nothing_is_looked_at_or_believed(host, look, services):
    """Without the preflight every prompt passes, nothing is sent, and estimates are upper bounds again."""
    lists = {"video_urls": [host.sample("off.mp4", seconds=4)]}
    look(lists)
    host.asked.clear()
    got = look(lists, {"image_urls": ["http://10.0.0.1/a.png"]}, preflight=False)
    assert (len(got.sound), got.refused, host.asked) == (2, {}, [])
    off = dataclasses.replace(services, policy=Policy(preflight=False))
    [answer] = quote(off, wanted(lists), prompt_set="spots")
    assert (answer.estimate.exact, answer.order.reference_facts) == (False, None)


def test_only_what_would_be_ordered_anew_is_looked_at(host, plant):
    """References of a prompt that is under way or stored are left alone; no key reaches their host."""
    lists = {"video_urls": [host.sample("new.mp4", seconds=4)]}
    with plant() as it:
        ask = dict(prompt_set="spots", cause="c")  # noqa: C408  keywords
        assert preflight(it.services, wanted(lists), **ask).refused == {}
        accept(it.services, wanted(lists), options=AcceptOptions(), run_id="r", **ask)
        host.put("/new.mp4", status=404)
        host.asked.clear()
        for outcome in (Outcome.JOINED, Outcome.REUSED):
            [answer] = quote(it.services, wanted(lists), **ask)
            assert answer.outcome is outcome
            assert preflight(it.services, wanted(lists), **ask).refused == {}
            it.run()
    assert host.asked == []
    assert not any("emulator-key" in str(headers) or "x-api-key" in headers for headers in host.headers)


def test_the_estimate_is_what_the_vendor_charges(plant):
    """Estimate, hold and charge agree to the point, input videos included; what is refused costs nothing."""
    with plant() as it:
        root = f"{it.emulator.files_url}/references"
        prompts = wanted(
            {"video_urls": [f"{root}/a.mp4?seconds=7.5", f"{root}/b.mov?seconds=3.333"]},
            {"video_urls": [f"{root}/a.mp4?seconds=7.5"], "audio_urls": [f"{root}/c.mp3?seconds=17.2"]},
            {"image_urls": [f"{root}/d.webp?ratio=9:16"], "audio_urls": [f"{root}/c.mp3?seconds=15"]},
        )
        got = preflight(it.services, prompts, prompt_set="spots")
        assert list(got.refused) == ["p1"]
        accepted = accept(
            it.services, got.sound, prompt_set="spots", options=AcceptOptions(), cause="c", run_id="r"
        )
        it.run(accepted)
        first, second = it.services.ledger.latest("spots").values()
        assert first.estimated_points == first.points_held == first.points_charged == 12_666_400
        assert first.price_formula == "0.08 USD/s x (5 s output + 10.833 s input)"
        assert second.estimated_points == second.points_charged == 4_000_000
        summary = it.books()["summary"]
        assert summary["points_charged"] == first.points_charged + second.points_charged
        assert summary["key_leaks"] == 0
        assert [fact["duration_s"] for fact in first.reference_facts] == [7.5, 3.333]
