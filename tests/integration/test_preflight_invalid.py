"""Invalid references have a readable reason, over real HTTP, and stop no other prompt."""

from __future__ import annotations

import contextlib
import dataclasses
import socket

import aiohttp
import pytest
from preflight_support import QUICK
from reference_host import inflated, sample

from seedance_dagster.net import links

pytestmark = pytest.mark.integration


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
    "no file": (
        {"image_urls": ["gone.png"]},
        "image_urls number 1 does not exist: its host answers HTTP 404",
    ),
    "no entry": (
        {"image_urls": ["shut.png"]},
        "image_urls number 1 is not public: its host answers HTTP 403",
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
        "image_urls number 1 is larger than 0.3 MB, and its host does not state its size",
    ),
    "no parts": (
        {"video_urls": ["unranged.mp4"]},
        (
            "video_urls number 1 is an mp4 video whose length is not in its first 0.3 MB, and its host "
            "sends no parts: move its index to the front (ffmpeg -movflags +faststart)"
        ),
    ),
    "two at once": (
        {"image_urls": ["gone.png"], "audio_urls": ["long.wav"]},
        (
            "image_urls number 1 does not exist: its host answers HTTP 404; "
            "audio_urls number 1 lasts 17.2 s; at most 15.0 s (the vendor drops longer audio silently)"
        ),
    ),
}


@pytest.fixture(scope="module")
def files(references) -> dict[str, str]:
    """URLs of invalid files, and of a valid one."""
    video = sample("v.mp4", seconds=5)
    pixels = sample("cat.png")
    return {
        "cat.png": references.sample("cat.png"),
        "long.wav": references.sample("long.wav", seconds=17.2),
        "long.mp4": references.sample("long.mp4", seconds=17.2),
        "half.mp4": references.sample("half.mp4", seconds=7.7),
        "half.mov": references.sample("half.mov", seconds=7.701),
        "image.mp4": references.put("/image.mp4", pixels, headers={"Content-Type": "video/mp4"}),
        "page.png": references.put("/page.png", b"<!DOCTYPE html>", headers={"Content-Type": "image/png"}),
        "empty.png": references.put("/empty.png"),
        "gone.png": references.put("/gone.png", status=404),
        "shut.png": references.put("/shut.png", status=403),
        "broken.png": references.put("/broken.png", status=503),
        "cut.mp4": references.put("/cut.mp4", video[: len(video) // 2]),
        "half.png": references.put(
            "/half.png", pixels, sized=False, headers={"Content-Length": "9999"}, ranges=False
        ),
        "still.png": references.put("/still.png", pixels, sized=False, then="silence", ranges=False),
        "drip.png": references.put("/drip.png", pixels, sized=False, then="drops", ranges=False),
        "endless.png": references.put("/endless.png", pixels, sized=False, then="zeros", ranges=False),
        "unranged.mp4": references.put("/unranged.mp4", inflated(video, 400_000), ranges=False),
    }


@pytest.mark.parametrize(("lists", "words"), REFUSALS.values(), ids=REFUSALS)
def test_an_invalid_reference_has_a_readable_reason(files, look, lists, words):
    """The reason names field, number, what is wrong and what is allowed; other prompts are not affected."""
    broken = {name: [files[file] for file in names] for name, names in lists.items()}
    got = look({"image_urls": [files["cat.png"]]}, broken, {})
    assert got.invalid == {"p1": words}
    assert [quote.partition.key for quote in got.valid] == ["p0", "p2"]


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (
            "http://127.0.0.1:{closed}/a.png?sig=secret",
            "cannot be reached: the link's host 127.0.0.1 gives no answer: it accepts",
        ),
        (
            "http://nowhere.invalid/a.png?sig=secret",
            "cannot be reached: the link's host nowhere.invalid gives no answer: the host's name",
        ),
        ("{host}/to-metadata?sig=secret", "is not followed: the link leads to the private address 169.254."),
        ("{host}/to-file?sig=secret", "is not followed: the link leads to file:, only http"),
        ("{host}/loop?sig=secret", "is not followed: the link redirects more than 5 times"),
        (
            "http://10.0.0.1/a.png?sig=secret",
            "is not followed: the link leads to the private address 10.0.0.1",
        ),
    ],
)
def test_links_to_nowhere_or_into_this_network_are_invalid(references, look, link, words, monkeypatch):
    """The rules of downloads apply to references: only public addresses, each redirect checked."""
    references.put(
        "/to-metadata", status=302, headers={"Location": "http://169.254.169.254/latest/?sig=secret"}
    )
    references.put("/to-file", status=302, headers={"Location": "file:///etc/passwd"})
    references.put("/loop", status=302, headers={"Location": "/loop"})

    async def unknown(*args: object) -> None:
        raise OSError(None, "no such name")

    monkeypatch.setattr(aiohttp.DefaultResolver, "resolve", unknown)
    outside = links.is_public
    monkeypatch.setattr(links, "is_public", lambda address: address.is_loopback or outside(address))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = link.format(closed=closed.getsockname()[1], host=f"http://127.0.0.1:{references.server_port}")
        invalid = look({"image_urls": [url]}, allow_private_hosts=False).invalid
    assert invalid["p0"].startswith(f"image_urls number 1 {words}")
    assert "secret" not in invalid["p0"]


def test_a_silent_host_costs_its_time_once(look):
    """After one file of a host could not be reached, its other files are invalid without waiting again."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        prompts = [{"image_urls": [f"{url}/{number}.png"]} for number in range(50)]
        limits = dataclasses.replace(QUICK, at_once=1, total_s=5)
        invalid = look(*prompts, limits=limits).invalid
        silent.setblocking(False)
        met = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                silent.accept()[0].close()
                met += 1
    assert set(invalid.values()) == {
        "image_urls number 1 cannot be reached: the link's host 127.0.0.1 does not answer in time"
    }
    assert (len(invalid), met) == (50, 2)
