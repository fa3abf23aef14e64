"""The ledger against S3: missing objects, changed bytes, lost or altered manifests."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from audit_snapshots import POINTS, findings, kinds, listed, make_snapshots, storage, stored_order
from factories import NOW, make_order

from seedance_dagster.audit.snapshots import InspectedObject
from seedance_dagster.audit.storage import Verification, expected_manifest, objects_to_verify
from seedance_dagster.ledger.order import State
from seedance_dagster.storage.objects import ListedObject

ORDER = stored_order(1)
CHECK, HASH, READ = Verification
VIDEO, POSTER, MANIFEST = ORDER.video_key, ORDER.poster_key, ORDER.manifest_key
BODY = expected_manifest(ORDER)


def without(*keys: str, **inspected: InspectedObject | None):
    """Return snapshots whose S3 lacks some objects, and what was inspected."""
    objects = {key: value for key, value in listed(ORDER).items() if key not in keys}
    return make_snapshots(
        [ORDER], storage=storage([ORDER], objects=objects, inspected=dict.fromkeys(keys) | inspected)
    )


def inspected(**objects: InspectedObject | None):
    """Return snapshots with inspected objects."""
    keys = {"video": VIDEO, "poster": POSTER, "manifest": MANIFEST}
    return make_snapshots(
        [ORDER], storage=storage([ORDER], inspected={keys[name]: value for name, value in objects.items()})
    )


@pytest.mark.parametrize(
    ("missing", "kind", "message", "key"),
    [
        ([VIDEO], "missing_in_s3", "its video is not in S3", VIDEO),
        ([POSTER], "missing_in_s3", "its poster is not in S3", POSTER),
        ([VIDEO, POSTER], "missing_in_s3", "its video and poster are not in S3", VIDEO),
        (
            [VIDEO, POSTER, MANIFEST],
            "missing_in_s3",
            "its video and poster and manifest are not in S3",
            VIDEO,
        ),
        ([POSTER, MANIFEST], "missing_in_s3", "its poster and manifest are not in S3", POSTER),
        ([MANIFEST], "manifest_lost", "its manifest is not in S3", MANIFEST),
    ],
)
def test_the_missing_objects_of_an_order_are_one_finding(missing, kind, message, key):
    """However many objects are missing, one finding names them and the cost of the video."""
    [finding] = findings(without(*missing))
    assert (finding.kind.value, finding.message, finding.location) == (kind, message, f"s3://videos/{key}")
    assert (finding.cost_points, finding.order_id, finding.partition) == (POINTS, 1, "p1")


def test_a_poster_is_cut_again_whatever_the_vendor_has():
    """Only a video has to be fetched again, so the advice says which of the two it is."""
    for snapshots in (
        without(POSTER),
        without(POSTER, MANIFEST),
        inspected(poster=InspectedObject("f" * 64)),
    ):
        [finding] = findings(snapshots)
        assert finding.advice.endswith("audit --repair cuts it again from the stored video")
    for snapshots in (without(VIDEO, POSTER), inspected(video=InspectedObject("f" * 64))):
        [finding] = findings(snapshots)
        assert finding.advice.endswith("audit --repair fetches it again while the vendor has it")


def test_an_object_that_arrived_after_the_listing_is_not_missing():
    """An object that the listing lacks is inspected before it is called missing."""
    assert findings(without(VIDEO, **{VIDEO: InspectedObject(sha256=ORDER.sha256)})) == []


@pytest.mark.parametrize(
    ("objects", "kind", "message"),
    [
        ({"video": InspectedObject(sha256=ORDER.sha256)}, None, ""),
        ({"video": InspectedObject(sha256="f" * 64)}, "bytes_changed", "the video hashes to ffffffffffff..."),
        (
            {"poster": InspectedObject(sha256="f" * 64)},
            "bytes_changed",
            "the poster hashes to ffffffffffff...",
        ),
        (
            {"video": InspectedObject(sha256="f" * 64), "poster": InspectedObject(sha256="e" * 64)},
            "bytes_changed",
            "the video hashes to ffffffffffff..., not 000000000000... and the poster hashes",
        ),
        ({"manifest": InspectedObject(body=BODY)}, None, ""),
        ({"manifest": InspectedObject(body=b"not json")}, "manifest_altered", "it is not valid JSON"),
        ({"manifest": InspectedObject(body=b"\xff\xfe")}, "manifest_altered", "it is not valid JSON"),
        ({"manifest": InspectedObject(body=b"[1]")}, "manifest_altered", "it is not a JSON object"),
        (
            {"manifest": InspectedObject(body=json.dumps(json.loads(BODY)).encode())},
            "manifest_altered",
            "its bytes are not as written",
        ),
        (
            {
                "manifest": InspectedObject(
                    body=json.dumps(json.loads(BODY) | {"sha256": "0", "extra": 1}).encode()
                )
            },
            "manifest_altered",
            "it differs from the ledger in sha256, extra",
        ),
    ],
)
def test_changed_bytes_are_a_finding(objects, kind, message):
    """Bytes and manifests are as they were stored, or one finding says how they differ."""
    result = findings(inspected(**objects))
    assert [finding.kind.value for finding in result] == ([] if kind is None else [kind])
    assert all(finding.message.startswith(message) for finding in result)


def test_a_size_that_differs_needs_no_hash():
    """A video with another size in the listing is changed, whether or not its bytes were read."""
    shorter = listed(ORDER) | {VIDEO: ListedObject(999, "", ORDER.stored_at)}
    [finding] = findings(make_snapshots([ORDER], storage=storage([ORDER], objects=shorter)))
    assert (finding.kind.value, finding.message) == ("bytes_changed", "the video has 999 bytes, not 1000")
    rewritten = storage([ORDER], objects=shorter, inspected={VIDEO: InspectedObject(sha256=ORDER.sha256)})
    assert findings(make_snapshots([ORDER], storage=rewritten)) == []


def test_a_row_too_damaged_for_a_manifest_does_not_stop_the_audit():
    """A stored order without its artifacts cannot confirm a manifest, and the audit says so."""
    damaged = replace(ORDER, sha256=None, width=None)
    read = storage([ORDER], inspected={MANIFEST: InspectedObject(body=BODY)})
    assert "manifest_altered" in kinds(make_snapshots([damaged], storage=read))
    bare = replace(make_order(1, points_charged=POINTS), state=State.STORED)
    result = findings(make_snapshots([bare], storage=storage([])))
    assert [(finding.kind.value, finding.message) for finding in result] == [
        ("missing_in_s3", "the ledger does not say where its objects are")
    ]
    assert set(objects_to_verify(bare, storage([]), deep=True).values()) == {READ}


@pytest.mark.parametrize(
    ("change", "deep", "to_verify"),
    [
        ({}, False, {}),
        ({}, True, {VIDEO: HASH, POSTER: HASH, MANIFEST: READ}),
        ({VIDEO: None}, False, {VIDEO: CHECK}),
        ({MANIFEST: None}, False, {MANIFEST: READ}),
        ({VIDEO: {"size_bytes": 9}}, False, {VIDEO: HASH}),
        ({POSTER: {"modified_at": NOW - timedelta(hours=1)}}, False, {POSTER: CHECK}),
        ({MANIFEST: {"etag": "0" * 32}}, False, {MANIFEST: READ}),
        ({MANIFEST: {"etag": "not-an-md5-2"}}, False, {MANIFEST: READ}),
        ({MANIFEST: {"size_bytes": 9}}, False, {MANIFEST: READ}),
    ],
)
def test_only_what_the_listing_leaves_open_is_inspected(change, deep, to_verify):
    """Size, time and MD5 in the listing save a request for each object; `--deep` reads them all."""
    objects = listed(ORDER)
    for key, fields in change.items():
        if fields is None:
            del objects[key]
        else:
            objects[key] = replace(objects[key], **fields)
    assert objects_to_verify(ORDER, storage([ORDER], objects=objects), deep=deep) == to_verify


def test_an_order_that_is_not_stored_has_no_objects_to_compare():
    """A video that is being fetched may be incomplete."""
    fetching = replace(ORDER, state=State.SUCCEEDED, due_at=NOW)
    assert objects_to_verify(fetching, storage([]), deep=True) == {}
    assert findings(make_snapshots([fetching], storage=storage([]))) == []
