"""Transfers that break: the task stays paid and outstanding, and its video comes home later."""

from __future__ import annotations

import pytest

from seedance_dagster.generation.events import Delayed, Stored
from seedance_dagster.ledger.order import State

pytestmark = pytest.mark.integration


def test_broken_transfers_are_tried_again(plant):
    """The vendor's file host misbehaves in every way once: each video is stored all the same, paid once."""
    once = {"truncated": 1, "wrong-length": 1, "redirect-file": 1, "download-500": 1}
    # A fresh link is asked for at once where the old one seems to be gone.
    once |= {"garbage": 0, "html": 0, "empty": 0, "redirect-loop": 0}
    texts = [f"a cat [fault:{fault}*1]" for fault in once]
    with plant() as it:
        it.run(it.accept(*texts, *(f"a cat [fault:{fault}]" for fault in ("expired", "redirect", "slow"))))
        orders = it.services.ledger.find()
        assert {order.partition: order.state for order in orders} == {
            f"p{number}": State.STORED for number in range(11)
        }
        assert [order.transfer_failures for order in orders] == [*once.values(), 0, 0, 0]
        summary = it.books()["summary"]
        assert (summary["tasks"], summary["balanced"], summary["key_leaks"]) == (11, True, 0)


def test_transfers_that_never_work_stay_outstanding(plant):
    """A video that cannot be had is named and stays paid and outstanding; nothing else is disturbed."""
    never = {
        "html": "text/html, not a video",
        "garbage": "no mp4",
        "empty": "empty file",
        "redirect-file": "only http",
        "truncated": "no playable video",
        "missing-url": "without a video URL",
    }
    with plant({"linger_s": 8.0}) as it:
        it.accept(*(f"a cat [fault:{fault}]" for fault in never), "a dog")
        events = it.run()
        assert [event.order.partition for event in events if isinstance(event, Stored)] == ["p6"]
        orders = it.services.ledger.latest("spots")
        for number, (fault, words) in enumerate(never.items()):
            order = orders[f"p{number}"]
            assert order.state is (State.SUBMITTED if fault == "missing-url" else State.SUCCEEDED)
            assert words in order.error_message, fault
        told = {event.order.partition for event in events if isinstance(event, Delayed)}
        assert told == {"p0", "p1", "p2", "p3", "p4"}
        summary = it.books()["summary"]
        assert (summary["tasks"], summary["balanced"]) == (7, True)


def test_storage_that_fails_is_named_and_tried_again(plant, monkeypatch):
    """An upload that is refused puts the transfer off with the reason; the next one stores."""
    from seedance_dagster.store.s3 import StoreError, VideoStore

    put_file, failures = VideoStore.put_file, iter([True])

    def flaky(self, *args, **kwargs):
        if next(failures, False):
            raise StoreError("S3 refused a request on bucket 'videos' (SlowDown)")
        return put_file(self, *args, **kwargs)

    monkeypatch.setattr(VideoStore, "put_file", flaky)
    with plant() as it:
        events = it.run(it.accept("a cat"))
        assert [event.reason for event in events if isinstance(event, Delayed)] == [
            "p0: transfer put off: S3 refused a request on bucket 'videos' (SlowDown)"
        ]
        assert it.services.ledger.latest("spots")["p0"].state is State.STORED
