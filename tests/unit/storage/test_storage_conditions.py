"""Conditional writes, on stores that know them and on others."""

from __future__ import annotations

import base64
import hashlib
import io

import pytest
from s3_stub import put

from seedance_dagster.storage.errors import ObjectChangedError, StoreError


def test_a_write_that_is_refused_without_a_condition_as_well_is_reported(store, s3, video):
    """A write that is refused without its condition too is reported as a missing permission."""
    s3.add_client_error("head_object", "404")
    for _ in range(4):  # with and without condition and checksums
        s3.add_client_error("put_object", service_error_code="AccessDenied", http_status_code=403)
    with pytest.raises(StoreError, match="they need s3:PutObject"):
        put(store, video)


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (400, "RequestTimeout"), (400, "BadDigest")])
def test_a_store_in_trouble_is_not_written_without_a_condition(store, s3, video, status, code):
    """Temporary trouble of a store does not make it count as one without conditions."""
    s3.add_client_error("head_object", "404")
    s3.add_client_error("put_object", service_error_code=code, http_status_code=status)
    with pytest.raises(StoreError, match=code):
        put(store, video)


def replacement(**condition: str) -> dict[str, object]:
    sums = base64.b64encode(hashlib.md5(b"new").digest()).decode()
    return {
        "Bucket": "videos",
        "Key": "k/part",
        "Body": b"new",
        "ContentType": "text/plain",
        "ContentMD5": sums,
        "Metadata": {},
    } | condition


def test_a_version_is_replaced_only_if_it_is_still_there(store, s3):
    """A write names the ETag that was read, or demands that there is no object."""
    read = {"Body": io.BytesIO(b"old"), "ETag": '"e1"'}
    s3.add_response("get_object", read, {"Bucket": "videos", "Key": "k/part"})
    version = store.read_version("k/part")
    assert version == (b"old", '"e1"')
    s3.add_response("put_object", {}, replacement(IfMatch='"e1"'))
    store.replace_version("k/part", b"new", content_type="text/plain", over=version.etag)
    s3.add_client_error("get_object", "NoSuchKey", http_status_code=404)
    assert store.read_version("k/part") is None
    s3.add_response("put_object", {}, replacement(IfNoneMatch="*"))
    store.replace_version("k/part", b"new", content_type="text/plain", over=None)


@pytest.mark.parametrize(
    ("code", "status", "over"),
    [
        ("PreconditionFailed", 412, '"e1"'),
        ("PreconditionFailed", 412, None),
        ("ConditionalRequestConflict", 409, '"e1"'),
        ("NoSuchKey", 404, '"e1"'),
    ],
)
def test_a_version_that_another_worker_wrote_is_not_replaced(store, s3, code, status, over):
    """A version that another worker wrote or deleted is not replaced by a write without a condition."""
    s3.add_client_error("put_object", service_error_code=code, http_status_code=status)
    if status == 412:
        s3.add_response("head_object", {"ContentLength": 3, "ETag": '"e2"'})
    with pytest.raises(ObjectChangedError, match=r"s3://videos/k/part was .* meanwhile"):
        store.replace_version("k/part", b"new", content_type="text/plain", over=over)


def test_a_weak_etag_is_no_condition(store, s3):
    """A weak ETag, as compressing proxies make it, is not used as a condition."""
    s3.add_response("put_object", {}, replacement())
    store.replace_version("k/part", b"new", content_type="text/plain", over='W/"e1"')
