"""From a manifest back to a row of the ledger."""

from __future__ import annotations

import pytest
from audit_snapshots import stored_order

from seedance_dagster.audit.restore import row_of
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.storage.manifest import Manifest

REFERENCES = {
    "mode": "omni_reference",
    "image_urls": ["https://cdn.example.com/a.png"],
    "video_urls": ["https://cdn.example.com/b.mp4"],
}
FACTS = [{"kind": "video", "position": 1, "media_type": "video/mp4", "duration_s": 2.5, "more": "x"}]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"request": stored_order(1).request | REFERENCES},
        {"request": stored_order(1).request | REFERENCES, "reference_facts": FACTS},
        {"tags": {"campaign": "spring"}, "run_tags": {"team": "a"}, "job_name": "spots", "attempt": 3},
        {"points_charged": None, "points_held": None, "submitted_at": None, "fps": None},
        {"vendor_logs": ["see https://cdn.example.com/log"], "credential": {"issuer": "x"}},
    ],
)
def test_a_row_comes_back_from_its_manifest(fields):
    """The row that is made of a manifest gives the same manifest again, to the byte."""
    body = Manifest.of(stored_order(1, **fields)).to_json()
    values = row_of(Manifest.model_validate_json(body))
    assert values is not None
    again = Order(order_id=9, state=State.STORED, **values)
    assert Manifest.of(again).to_json() == body


def test_a_signed_query_does_not_come_back():
    """What was never written down cannot be restored; the manifest is the same all the same."""
    signed = stored_order(1).request | REFERENCES | {"image_urls": ["https://cdn.example.com/a.png?sig=1"]}
    values = row_of(Manifest.of(stored_order(1, request=signed)))
    assert values is not None
    assert values["request"]["image_urls"] == ["https://cdn.example.com/a.png"]


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"task_type": "seedance-2-fast"},
        {"task_type": "seedance-2-fast", "input": "text"},
        {"task_type": "seedance-2-fast", "input": {"prompt": "a", "mode": "no such mode"}},
        {"task_type": "seedance-2-fast", "input": {"prompt": "a", "mode": "text_to_video"}, "model": "x"},
    ],
)
def test_a_request_that_was_never_sent_gives_no_row(request_):
    """A manifest whose request is not as this package sends it is not believed."""
    manifest = Manifest.of(stored_order(1)).model_copy(update={"request": request_})
    assert row_of(manifest) is None
