"""Keys in the bucket, and the manifest beside each video."""

from __future__ import annotations

import json

import pytest
from factories import NOW, make_order
from hypothesis import given
from hypothesis import strategies as st

from seedance_dagster.net.redaction import strip_query
from seedance_dagster.storage.keys import object_keys
from seedance_dagster.storage.manifest import Manifest

KEYS = object_keys("seedance", "spots", "p1", "0" * 64, 1)
ARTIFACTS = {
    "video_key": KEYS.video,
    "poster_key": KEYS.poster,
    "manifest_key": KEYS.manifest,
    "size_bytes": 12_345,
    "sha256": "ab" * 32,
    "delivered_sha256": "ab" * 32,
    "duration_s": 4.0,
    "width": 854,
    "height": 480,
    "codec": "h264",
}


def manifest_of(**fields) -> Manifest:
    return Manifest.of(make_order(**ARTIFACTS | fields))


@pytest.mark.parametrize("prefix", ["seedance", "/seedance/", "a/b", ""])
def test_keys_begin_with_the_prefix(prefix):
    """The layout holds with any slashes around the prefix, and without one."""
    keys = object_keys(prefix, "spots", "cat.t2", "0123456789abcdef", 3)
    folder = "/".join(filter(None, [prefix.strip("/"), "spots", "cat.t2", "0123456789ab-a3"]))
    assert (keys.video, keys.poster, keys.manifest) == (
        f"{folder}/video.mp4",
        f"{folder}/poster.jpg",
        f"{folder}/manifest.json",
    )


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from(["p", "p.t2"]),
            st.sampled_from(["0" * 64, "1" * 64]),
            st.integers(1, 3),
        ),
        unique=True,
    )
)
def test_no_two_attempts_share_a_key(attempts):
    """Set, partition, fingerprint and attempt each change all three keys."""
    keys = [object_keys("seedance", *attempt) for attempt in attempts]
    all_keys = [key for order in keys for key in (order.video, order.poster, order.manifest)]
    assert len(set(all_keys)) == len(all_keys)


def test_a_manifest_holds_order_money_and_bytes():
    """The manifest has what the ledger knows of the order, its money and its bytes."""
    made = manifest_of(points_held=1, points_charged=2, vendor_created_at=NOW, tags={"campaign": "spring"})
    fields = json.loads(made.to_json())
    assert fields["task_id"] == "task-1"
    assert (fields["points_held"], fields["points_charged"], fields["estimated_points"]) == (1, 2, 4_000_000)
    assert (fields["size_bytes"], fields["sha256"], fields["codec"]) == (12_345, "ab" * 32, "h264")
    assert (fields["duration_s"], fields["width"], fields["height"]) == (4.0, 854, 480)
    assert fields["video_key"].startswith("seedance/spots/p1/000000000000-a1/")
    assert fields["vendor_created_at"] == "2026-04-06T18:00:00Z"
    assert fields["tags"] == {"campaign": "spring"}
    assert fields["schema_version"] == 1


def test_an_order_without_a_video_has_no_manifest():
    """A manifest describes stored bytes, so there must be some."""
    with pytest.raises(ValueError, match="video_key"):
        Manifest.of(make_order())


def test_the_same_order_has_the_same_manifest():
    """The bytes are the same every time and can be read back."""
    assert manifest_of().to_json() == manifest_of().to_json()
    assert Manifest.model_validate_json(manifest_of().to_json()) == manifest_of()


def test_references_have_no_signatures():
    """Signatures and passwords of reference links stay out of the manifest."""
    lists = {
        name: [f"https://me:canary@cdn.example.com/{name}?sig=canary#canary"]
        for name in ("image_urls", "video_urls", "audio_urls")
    }
    text = manifest_of(request=lists).to_json().decode()
    assert "canary" not in text
    for name in lists:
        assert f"https://cdn.example.com/{name}" in text


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("https://cdn.example.com/a.png?X-Amz-Signature=1", "https://cdn.example.com/a.png"),
        ("https://u:p@cdn.example.com:8443/a%20b.png#x", "https://cdn.example.com:8443/a%20b.png"),
        ("s3://bucket/a.png", "s3://bucket/a.png"),
        ("", ""),
    ],
)
def test_a_stripped_url_still_locates_the_file(url, bare):
    """Only user, query and fragment are removed."""
    assert strip_query(url) == bare
