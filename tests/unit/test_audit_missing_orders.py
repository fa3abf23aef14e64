"""The row that a manifest gives back."""

from __future__ import annotations

import pytest
from audit_snapshots import stored_order

from seedance_dagster.audit.missing_orders import order_columns
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
def test_a_manifest_gives_its_row_back(fields):
    """The row restored from a manifest gives the same manifest again, byte by byte."""
    body = Manifest.of(stored_order(1, **fields)).to_json()
    columns = order_columns(Manifest.model_validate_json(body))
    assert columns is not None
    again = Order(order_id=9, state=State.STORED, **columns)
    assert Manifest.of(again).to_json() == body


def test_a_signed_query_is_not_restored():
    """A manifest does not hold signed queries, so they are lost."""
    signed = stored_order(1).request | REFERENCES | {"image_urls": ["https://cdn.example.com/a.png?sig=1"]}
    columns = order_columns(Manifest.of(stored_order(1, request=signed)))
    assert columns is not None
    assert columns["request"]["image_urls"] == ["https://cdn.example.com/a.png"]


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
def test_an_altered_request_gives_no_row(request_):
    """A manifest whose request could not have been sent by this package is not trusted."""
    manifest = Manifest.of(stored_order(1)).model_copy(update={"request": request_})
    assert order_columns(manifest) is None
