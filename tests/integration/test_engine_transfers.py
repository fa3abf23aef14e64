"""Failed transfers: the task stays paid and outstanding, and its video is stored later."""

from __future__ import annotations

import errno
import hashlib
import json
import tempfile

import pytest

from seedance_dagster.engine.events import Delayed, Stored
from seedance_dagster.engine.stages import collect, download
from seedance_dagster.ledger.order import State
from seedance_dagster.media.errors import MediaError
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.keys import object_keys
from seedance_dagster.storage.s3 import VideoStore

pytestmark = pytest.mark.integration


def test_failed_transfers_are_retried(start_engine):
    """After the file host has failed once in every way, each video is stored, and paid once."""
    once = {"truncated": 1, "wrong-length": 1, "redirect-file": 1, "download-500": 1}
    # A fresh link is asked for at once where the old one seems to be gone.
    once |= {"garbage": 0, "html": 0, "empty": 0, "redirect-loop": 0}
    texts = [f"a cat [fault:{fault}*1]" for fault in once]
    with start_engine() as engine:
        engine.run(
            engine.place(*texts, *(f"a cat [fault:{fault}]" for fault in ("expired", "redirect", "slow")))
        )
        orders = engine.services.ledger.queries.find()
        assert {order.partition: order.state for order in orders} == {
            f"p{number}": State.STORED for number in range(11)
        }
        assert [order.transfer_failures for order in orders] == [*once.values(), 0, 0, 0]
        summary = engine.books()["summary"]
        assert (summary["tasks"], summary["balanced"], summary["key_leaks"]) == (11, True, 0)


@pytest.mark.long
def test_transfers_that_always_fail_stay_outstanding(start_engine):
    """A video that cannot be downloaded is named and stays paid and outstanding; the others are stored."""
    never = {
        "html": "not give an mp4, but text/html",
        "garbage": "not give an mp4",
        "empty": "empty file",
        "redirect-file": "only http",
        "truncated": "ends early",
        "missing-url": "without a link",
    }
    with start_engine({"linger_s": 8.0}) as engine:
        engine.place(*(f"a cat [fault:{fault}]" for fault in never), "a dog")
        events = engine.run()
        assert [event.order.partition for event in events if isinstance(event, Stored)] == ["p6"]
        orders = engine.services.ledger.queries.latest("spots")
        for number, (fault, words) in enumerate(never.items()):
            order = orders[f"p{number}"]
            assert order.state is (State.SUBMITTED if fault == "missing-url" else State.SUCCEEDED)
            assert words in order.error_message, fault
        delayed = {event.order.partition for event in events if isinstance(event, Delayed) and event.order}
        assert delayed >= {"p0", "p1", "p2", "p3", "p4"}
        summary = engine.books()["summary"]
        assert (summary["tasks"], summary["balanced"]) == (7, True)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("where", "name", "fault", "words"),
    [
        (VideoStore, "put_file", StoreError("S3 refused a request (SlowDown)"), "SlowDown"),
        (download, "_write", OSError(errno.ENOSPC, "No space left on device"), "No space left"),
        (collect, "inspect_delivery", MediaError("the file is not a playable video"), "not a playable video"),
        (tempfile, "TemporaryDirectory", OSError(errno.EROFS, "Read-only file system"), "Read-only"),
    ],
    ids=["store", "disk", "media", "temporary folder"],
)
def test_the_reason_of_a_failed_transfer_is_named_and_it_is_retried(
    start_engine, monkeypatch, where, name, fault, words
):
    """A refused upload, a full disk or a broken file postpones a transfer, with its reason."""
    works, faults = getattr(where, name), [fault]

    def once_broken(*args, **kwargs):
        if faults:
            raise faults.pop()
        return works(*args, **kwargs)

    with start_engine() as engine:
        placed = engine.place("a cat")
        monkeypatch.setattr(where, name, once_broken)
        events = engine.run(placed)
        [reason] = [event.reason for event in events if isinstance(event, Delayed)]
        assert reason.startswith("p0: transfer postponed: ")
        assert words in reason
        [order] = engine.services.ledger.queries.find()
        assert (order.state, order.transfer_failures) == (State.STORED, 1)
        assert order.error_message is None
        assert engine.books()["summary"]["tasks"] == 1


class Killed(BaseException):
    """A process is gone; nothing catches this."""


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "step", ["put_file", "poster", "manifest", "stored"], ids=lambda step: f"killed after {step}"
)
def test_a_worker_killed_after_any_step_of_a_transfer(start_engine, monkeypatch, step):
    """Another worker collects again: the same objects, the same bytes, no second order, one report."""
    with start_engine() as engine:
        ledger, store = engine.services.ledger, engine.services.store
        accepted = engine.place("a cat")
        with monkeypatch.context() as patch:
            patch.setattr(ledger.tasks, "release", lambda *_, **__: None)
            kill_after(patch, ledger, store, step)
            with pytest.raises(BaseException) as ended:  # noqa: PT011  a group around the kill
                engine.run(accepted, owner="killed")
            assert "Killed" in repr(ended.value)
        order = ledger.queries.latest("spots")["p0"]
        assert order.state is (State.STORED if step == "stored" else State.SUCCEEDED)
        keys = object_keys(store.prefix, "spots", "p0", order.fingerprint, 1)
        complete = step in {"manifest", "stored"}
        assert (store.head(keys.manifest) is not None) == complete, "the manifest comes last"
        before = store.head(keys.video).metadata

        engine.services.clock.forward(days=1)  # the dead worker's lease runs out
        events = engine.run(accepted, owner="next")
        [stored] = [event for event in events if isinstance(event, Stored)]
        assert stored.thumbnail_jpeg is not None
        order = ledger.queries.latest("spots")["p0"]
        assert (order.state, order.attempt) == (State.STORED, 1)
        assert store.head(keys.video).metadata == before
        assert hashlib.sha256(store.get_bytes(keys.video)).hexdigest() == order.sha256
        assert json.loads(store.get_bytes(keys.manifest))["sha256"] == order.sha256
        assert engine.books()["summary"]["tasks"] == 1


def kill_after(patch, ledger, store, step: str) -> None:
    """End the process right after a step of a transfer."""

    def killing(works, strikes=lambda *_: True):
        def call(*args, **kwargs):
            works(*args, **kwargs)
            if strikes(*args):
                raise Killed

        return call

    if step == "stored":
        patch.setattr(ledger.tasks, "stored", killing(ledger.tasks.stored))
    elif step == "put_file":
        patch.setattr(store, "put_file", killing(store.put_file))
    else:
        patch.setattr(store, "put_bytes", killing(store.put_bytes, lambda key, *_: step in key))


@pytest.mark.long
def test_a_dead_link_is_replaced_by_a_fresh_one(start_engine):
    """A dead link of any kind is replaced by a fresh one, in the same transfer if that works."""
    with start_engine() as engine:
        for page in ("html", "empty", "404"):
            engine.control("settings", dead_link=page)
            engine.run(
                engine.place(f"{page} [fault:expired]", f"{page} [fault:expired*2]", name=f"dead_{page}")
            )
            orders = engine.services.ledger.queries.find(prompt_set=f"dead_{page}")
            assert [order.state for order in orders] == [State.STORED] * 2
            assert [order.transfer_failures for order in orders] == [0, 1]
        assert engine.books()["summary"]["key_leaks"] == 0
