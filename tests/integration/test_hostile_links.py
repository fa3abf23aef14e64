"""Hostile video links through the whole engine: not followed, named, outstanding."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from functools import partial

import pytest
from file_host import VIDEO
from harness import FAST
from media_support import make_clip

from seedance_dagster.emulator.emulator import Emulator
from seedance_dagster.engine.events import Delayed, Stored
from seedance_dagster.engine.stages import collect
from seedance_dagster.engine.stages.download import DownloadLimits
from seedance_dagster.ledger.order import State
from seedance_dagster.net import links

pytestmark = pytest.mark.integration

CANARY = "canary-of-a-signature"
TO_OURSELVES = {
    "file:///etc/passwd": "leads to file:, only http",
    "ftp://127.0.0.1/v.mp4": "leads to ftp:, only http",
    "data:video/mp4;base64,AAAA": "leads to data:, only http",
    "/ephemeral/v.mp4": "incomplete",
    "http://169.254.169.254/latest/meta-data/": "the private address 169.254.169.254",
    "http://10.0.0.7/v.mp4": "the private address 10.0.0.7",
    "http://[::1]/v.mp4": "the private address ::1",
    "http://[::ffff:10.0.0.7]/v.mp4": "the private address ::ffff:a00:7",
    "http://[64:ff9b::10.0.0.7]/v.mp4": "the private address 64:ff9b::a00:7",
    "http://2852039166/v.mp4": "neither a name nor a plain address",
    "http://0251.0376.0251.0376/v.mp4": "neither a name nor a plain address",
    "http://0xa9fea9fe/v.mp4": "the private address 169.254.169.254",
    "http://cdn.example.com@127.0.0.1/v.mp4": "a user name or a password",
    f"http://inside.example/v.mp4?sig={CANARY}": "inside.example leads to the private address 10.0.0.7",
}
FROM_THE_HOST = {
    "/to-metadata": "the private address 169.254.169.254",
    "/to-decimal": "neither a name nor a plain address",
    "/to-file": "leads to file:, only http",
    "/to-user": "a user name or a password",
    f"/loop?sig={CANARY}": "redirects more than",
    "/endless": "larger than 1000000 bytes",
    "/cut": "ended early",
    "/page": "not give an mp4, but text/html",
    "/nothing": "an empty file",
    "/no-mp4": "not give an mp4",
    "/head-and-noise": "not a playable video",
}


@pytest.fixture
def public(monkeypatch, host):
    """Makes the emulator and the file host look public; the text of a prompt is its video's link."""
    show, is_public, resolve = Emulator.show, links.is_public, links.Resolver.__base__.resolve

    def shown(self, record, *args, **more):
        task = show(self, record, *args, **more)
        if task["output"] and "a dog" not in record.prompt:
            task["output"]["video"] = record.prompt
        return task

    async def resolved(self, name, *args, **more):
        if name == "inside.example":
            return [{"host": "10.0.0.7"}]
        return await resolve(self, name, *args, **more)

    monkeypatch.setattr(Emulator, "show", shown)
    monkeypatch.setattr(links.Resolver.__base__, "resolve", resolved)
    monkeypatch.setattr(links, "is_public", lambda host: str(host) == "127.0.0.1" or is_public(host))
    narrow = partial(DownloadLimits, max_bytes=1_000_000)
    monkeypatch.setattr(collect, "DownloadLimits", narrow)
    clip = make_clip()
    start = clip.index(b"mdat") + 4
    noise = random.Random(1).randbytes(len(clip) - start)
    monkeypatch.setitem(host.answers, "/head-and-noise", (200, VIDEO, clip[:start] + noise))
    monkeypatch.setitem(host.answers, f"/loop?sig={CANARY}", host.answers["/loop"])


@pytest.mark.long
def test_hostile_links_are_not_followed_but_named_and_outstanding(start_engine, host, public):
    """Each order stays paid and outstanding with its reason; nothing is ordered again, others are stored."""
    hostile = TO_OURSELVES | {host.url + path: words for path, words in FROM_THE_HOST.items()}
    pacing = replace(FAST, transfer_s=900.0)  # once is enough here
    with start_engine({"allow_private_hosts": False, "attempts": 1, "pacing": pacing}) as engine:
        engine.place(*hostile, "a dog")
        events = engine.run()
        assert [event.order.request["prompt"] for event in events if isinstance(event, Stored)] == ["a dog"]
        orders = {order.request["prompt"]: order for order in engine.services.ledger.queries.find()}
        for link, words in hostile.items():
            assert orders[link].state is State.SUCCEEDED
            assert words in orders[link].error_message, link
        delayed = {event.order.partition for event in events if isinstance(event, Delayed) and event.order}
        assert delayed >= {orders[link].partition for link in hostile}
        summary = engine.books()["summary"]
        assert (summary["tasks"], summary["balanced"], summary["key_leaks"]) == (len(orders), True, 0)
        reasons = [event.reason for event in events if isinstance(event, Delayed)]
        kept = [
            json.dumps(entry.detail) + str(order.error_message)
            for order in orders.values()
            for entry in engine.services.ledger.queries.journal(order.order_id)
        ]
        assert CANARY not in "".join(reasons + kept)


def test_a_public_api_s_link_to_this_machine_is_not_followed(start_engine):
    """Without the emulator's exception, a link to this machine is never followed."""
    with start_engine({"allow_private_hosts": False, "linger_s": 4.0}) as engine:
        engine.place("a cat")
        engine.run()
        [order] = engine.services.ledger.queries.find()
        assert order.state is State.SUCCEEDED
        assert "the private address 127.0.0.1" in order.error_message
