"""The ledger against S3: what is missing, changed, lost or altered."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from audit_snapshots import POINTS, books, found, kinds, listed, storage, stored_order
from ledger_states_support import NOW, make_order

from seedance_dagster.audit.manifests import expected_manifest
from seedance_dagster.audit.snapshots import Seen
from seedance_dagster.audit.storage import Verification, needs_verification
from seedance_dagster.ledger.order import State
from seedance_dagster.storage.s3 import ListedObject

ORDER = stored_order(1)
VIDEO, POSTER, MANIFEST = ORDER.video_key, ORDER.poster_key, ORDER.manifest_key
BODY = expected_manifest(ORDER)


def without(*keys: str, **seen: Seen | None):
    """Snapshots whose S3 lacks some objects, also at a closer look."""
    objects = {key: it for key, it in listed(ORDER).items() if key not in keys}
    return books([ORDER], storage=storage([ORDER], objects=objects, seen=dict.fromkeys(keys) | seen))


def looked_at(**seen: Seen | None):
    """Snapshots whose S3 was looked at closer."""
    names = {"video": VIDEO, "poster": POSTER, "manifest": MANIFEST}
    return books([ORDER], storage=storage([ORDER], seen={names[name]: each for name, each in seen.items()}))


@pytest.mark.parametrize(
    ("missing", "kind", "what", "where"),
    [
        ([VIDEO], "missing_in_s3", "its video is not there", VIDEO),
        ([POSTER], "missing_in_s3", "its poster is not there", POSTER),
        ([VIDEO, POSTER], "missing_in_s3", "its video and poster are not there", VIDEO),
        (
            [VIDEO, POSTER, MANIFEST],
            "missing_in_s3",
            "its video and poster and manifest are not there",
            VIDEO,
        ),
        ([POSTER, MANIFEST], "missing_in_s3", "its poster and manifest are not there", POSTER),
        ([MANIFEST], "manifest_lost", "its manifest is not there", MANIFEST),
    ],
)
def test_what_is_not_in_s3_is_one_finding(missing, kind, what, where):
    """However many objects of a video are gone, it is one finding that names them and the video's cost."""
    [each] = found(without(*missing))
    assert (each.kind.value, each.what, each.where) == (kind, what, f"s3://videos/{where}")
    assert (each.cost_points, each.order_id, each.partition) == (POINTS, 1, "p1")


def test_an_object_that_came_after_the_listing_is_not_missing():
    """What the listing lacks is looked at by itself before anything is said."""
    assert found(without(VIDEO, **{VIDEO: Seen(sha256=ORDER.sha256)})) == []


@pytest.mark.parametrize(
    ("seen", "kind", "what"),
    [
        ({"video": Seen(sha256=ORDER.sha256)}, None, ""),
        ({"video": Seen(sha256="f" * 64)}, "bytes_changed", "the video hashes to ffffffffffff..."),
        ({"poster": Seen(sha256="f" * 64)}, "bytes_changed", "the poster hashes to ffffffffffff..."),
        (
            {"video": Seen(sha256="f" * 64), "poster": Seen(sha256="e" * 64)},
            "bytes_changed",
            "the video hashes to ffffffffffff..., not 000000000000... and the poster hashes",
        ),
        ({"manifest": Seen(body=BODY)}, None, ""),
        ({"manifest": Seen(body=b"not json")}, "manifest_altered", "it is no JSON"),
        ({"manifest": Seen(body=b"\xff\xfe")}, "manifest_altered", "it is no JSON"),
        ({"manifest": Seen(body=b"[1]")}, "manifest_altered", "it is no JSON object"),
        (
            {"manifest": Seen(body=json.dumps(json.loads(BODY)).encode())},
            "manifest_altered",
            "its bytes are not as written",
        ),
        (
            {"manifest": Seen(body=json.dumps(json.loads(BODY) | {"sha256": "0", "extra": 1}).encode())},
            "manifest_altered",
            "it differs from the ledger in sha256, extra",
        ),
    ],
)
def test_changed_bytes_are_named(seen, kind, what):
    """Bytes and manifests are what was delivered and written, or one finding says what is not."""
    given = found(looked_at(**seen))
    assert [each.kind.value for each in given] == ([] if kind is None else [kind])
    assert all(each.what.startswith(what) for each in given)


def test_a_size_that_differs_needs_no_hash():
    """A video that is shorter in the listing is changed, whether or not its bytes were read."""
    shorter = listed(ORDER) | {VIDEO: ListedObject(999, "", ORDER.stored_at)}
    [each] = found(books([ORDER], storage=storage([ORDER], objects=shorter)))
    assert (each.kind.value, each.what) == ("bytes_changed", "the video has 999 bytes, not 1000")
    rewritten = storage([ORDER], objects=shorter, seen={VIDEO: Seen(sha256=ORDER.sha256)})
    assert found(books([ORDER], storage=rewritten)) == []


def test_a_row_too_broken_for_a_manifest_is_said_to_be_so():
    """A stored order without its artifacts cannot vouch for a manifest, and does not crash the audit."""
    broken = replace(ORDER, sha256=None, width=None)
    seen = storage([ORDER], seen={MANIFEST: Seen(body=BODY)})
    assert "manifest_altered" in kinds(books([broken], storage=seen))
    bare = make_order(1, state=State.STORED, points_charged=POINTS)
    given = found(books([bare], storage=storage([])))
    assert [(each.kind.value, each.what) for each in given] == [
        ("missing_in_s3", "the ledger does not say where its objects are")
    ]
    assert needs_verification(bare, storage([]), deep=True) == Verification()


@pytest.mark.parametrize(
    ("change", "deep", "look"),
    [
        ({}, False, Verification()),
        ({}, True, Verification(hash=frozenset({VIDEO, POSTER}), read=frozenset({MANIFEST}))),
        ({VIDEO: None}, False, Verification(check=frozenset({VIDEO}))),
        ({MANIFEST: None}, False, Verification(read=frozenset({MANIFEST}))),
        ({VIDEO: {"size_bytes": 9}}, False, Verification(hash=frozenset({VIDEO}))),
        ({POSTER: {"modified_at": NOW - timedelta(hours=1)}}, False, Verification(check=frozenset({POSTER}))),
        ({MANIFEST: {"etag": "0" * 32}}, False, Verification(read=frozenset({MANIFEST}))),
        ({MANIFEST: {"etag": "not-an-md5-2"}}, False, Verification(read=frozenset({MANIFEST}))),
        ({MANIFEST: {"size_bytes": 9}}, False, Verification(read=frozenset({MANIFEST}))),
    ],
)
def test_only_what_the_listing_leaves_open_is_looked_at(change, deep, look):
    """Size, time and MD5 in the listing spare a request for each object; `--deep` reads them all."""
    objects = listed(ORDER)
    for key, fields in change.items():
        if fields is None:
            del objects[key]
        else:
            objects[key] = replace(objects[key], **fields)
    assert needs_verification(ORDER, storage([ORDER], objects=objects), deep=deep) == look


def test_an_order_that_is_not_stored_has_no_objects_to_compare():
    """What is being fetched may lie there in part."""
    fetching = replace(ORDER, state=State.SUCCEEDED, due_at=NOW)
    assert needs_verification(fetching, storage([]), deep=True) == Verification()
    assert found(books([fetching], storage=storage([]))) == []


def test_looks_are_brought_together():
    """Many looks make one of each way."""
    looks = [Verification(check=frozenset("a")), Verification(check=frozenset("b"), read=frozenset("c"))]
    assert Verification.together(looks) == Verification(check=frozenset("ab"), read=frozenset("c"))
