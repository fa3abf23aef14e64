"""Manifests: made from an order alone, without secrets, in a published form."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from seedance_dagster.ledger.order import State
from seedance_dagster.net.redaction import redact, redact_url, strip_query
from seedance_dagster.storage.manifest import Manifest, json_schema

OPTIONAL = {"schema_id", "rights", "preview_key", "preview_problem"}
PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas" / "manifest-v1.json"
REQUEST = {
    "task_type": "seedance-2",
    "prompt": "a cat like @image1 to the sound of @audio1",
    "mode": "omni_reference",
    "duration": 4,
    "aspect_ratio": None,
    "image_urls": [
        "https://me:s3cret@cdn.example.com/cat.png?sig=s3cret#s3cret",
        "https://x.example.com/b.png",
    ],
    "audio_urls": ["https://cdn.example.com/purr.mp3?token=s3cret"],
}
FACTS = [
    {
        "kind": "audio",
        "position": 1,
        "url": "https://cdn.example.com/purr.mp3?token=s3cret",
        "duration_s": 3.5,
    },
    {"kind": "image", "position": 1, "size_bytes": 9, "from": "https://cdn.example.com/cat.png?sig=s3cret"},
]
LOGS = ["fetched https://cdn.example.com/cat.png?sig=s3cret, 9 bytes", "rendered"]
ARTIFACTS = {
    "video_key": "s/video.mp4",
    "poster_key": "s/poster.jpg",
    "manifest_key": "s/manifest.json",
    "size_bytes": 5_000_000_000,
    "poster_size_bytes": 7,
    "sha256": "ab",
    "delivered_sha256": "cd",
    "poster_sha256": "ef",
    "credential": {"valid": True, "ingredients": [1.5, None]},
    "duration_s": 4.0,
    "width": 640,
    "height": 360,
    "codec": "h264",
    "fps": 24.0,
    "bit_depth": 10,
    "hdr": "pq",
    "audio_codec": "aac",
    "audio_channels": 2,
    "audio_silent": False,
    "video_problem": None,
    "poster_problem": None,
    "package_version": "0.1.0",
    "code_version": "1",
}


@pytest.fixture
def finished(ledger, orders, clock):
    """Return an order as its collector has it: finished at the vendor, its video not yet recorded."""
    tags = {
        "source": "https://cdn.example.com/cat.mp4?X-Amz-Signature=s3cret",
        "of": "https://v.example.com/w?v=1",
    }
    request = {"idempotency_key": "backfill", "job_name": "j", "run_tags": {"owner": "ann"}}
    claimed = orders.make(State.CLAIMED, request=REQUEST, tags=tags, reference_facts=FACTS, **request)
    clock.forward(microseconds=123_456)
    task = {"vendor_started_at": clock()}
    orders.advance(claimed, State.SUCCEEDED, held=3, charged=2, task=task, outcome={"vendor_logs": LOGS})
    [leased] = ledger.tasks.lease_due("w", State.SUCCEEDED, limit=1)
    return leased


@pytest.fixture
def manifest(finished):
    return Manifest.of(dataclasses.replace(finished, **ARTIFACTS))


def test_the_stored_order_gives_the_same_bytes(ledger, finished, manifest):
    """The manifest written before the last transaction is the one that the order gives after it."""
    ledger.tasks.stored(finished, actor="w", artifacts=ARTIFACTS)
    row = ledger.queries.get(finished.order_id)
    assert Manifest.of(row).to_json() == manifest.to_json()
    assert Manifest.model_validate_json(manifest.to_json()) == manifest


def test_a_manifest_holds_the_order(finished, manifest):
    """Every field named as a column of the ledger has the column's value."""
    fields = json.loads(manifest.to_json())
    order = dataclasses.replace(finished, **ARTIFACTS)
    same = set(fields) - {"$schema", "schema_version", "request", "references", "tags", "vendor_logs"}
    for name in same:
        value = getattr(order, name)
        wanted = value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else value
        assert fields[name] == wanted, name
    assert len(same) > 30
    assert fields["run_tags"] == {"owner": "ann"}


def test_the_request_is_the_one_that_was_sent(manifest):
    """It is the body of the POST, with the facts about each reference beside it."""
    assert manifest.request == {
        "model": "seedance",
        "task_type": "seedance-2",
        "input": {
            "prompt": REQUEST["prompt"],
            "mode": "omni_reference",
            "duration": 4,
            "image_urls": ["https://cdn.example.com/cat.png", "https://x.example.com/b.png"],
            "audio_urls": ["https://cdn.example.com/purr.mp3"],
        },
    }
    names = ("media_type", "size_bytes", "sha256", "duration_s", "sent_url", "uploaded_at")
    unknown = dict.fromkeys(names)
    references = [json.loads(reference.model_dump_json()) for reference in manifest.references]
    assert [(reference["kind"], reference["position"], reference["facts"]) for reference in references] == [
        ("image", 1, unknown | {"size_bytes": 9, "from": "https://cdn.example.com/cat.png"}),
        ("image", 2, None),
        ("audio", 1, unknown | {"duration_s": 3.5}),
    ]


def test_a_manifest_contains_no_secret(manifest):
    """Signatures and passwords of references, tags and logs stay out; a harmless query stays in a tag."""
    assert b"s3cret" not in manifest.to_json()
    assert manifest.tags == {"source": "https://cdn.example.com/cat.mp4", "of": "https://v.example.com/w?v=1"}
    assert manifest.vendor_logs == ["fetched https://cdn.example.com/cat.png 9 bytes", "rendered"]


def test_an_order_without_a_video_has_no_manifest(finished):
    """Missing values are not made up."""
    with pytest.raises(ValueError, match="video_key"):
        Manifest.of(finished)


def test_the_published_schema_is_that_of_the_model():
    """The file is what the model generates with `make schemas`."""
    assert json.loads(PUBLISHED.read_text()) == json_schema()
    required = set(json_schema()["required"])
    assert required == {"$schema", *Manifest.model_fields} - OPTIONAL


def test_rights_are_in_the_manifest_of_an_order_that_has_some(finished, manifest):
    """Without a signature in a link; the manifest of an order without rights has no such field."""
    assert "rights" not in json.loads(manifest.to_json())
    rights = {
        "prompt": {"source": "https://x.example.com/a?X-Amz-Signature=s3cret"},
        "image1": {"text": "by Ann"},
    }
    order = dataclasses.replace(finished, **ARTIFACTS, rights=rights)
    known = Manifest.of(order)
    assert json.loads(known.to_json())["rights"] == {
        "prompt": {"source": "https://x.example.com/a"},
        "image1": {"text": "by Ann"},
    }
    assert Manifest.model_validate_json(known.to_json()) == known


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("https://a.example.com/x?b=1#c", "https://a.example.com/x"),
        ("https://u:p@a.example.com:8443/x", "https://a.example.com:8443/x"),
        ("s3://bucket/key?versionId=1", "s3://bucket/key"),
        ("https://u:s3cret@[bad/x?sig=s3cret", "[bad/x"),
        ("no url", "no url"),
    ],
)
def test_a_stripped_url_has_no_place_for_secrets(url, bare):
    """User, query and fragment are removed, even from a malformed URL."""
    assert strip_query(url) == bare


def test_urls_in_texts_are_redacted():
    """URLs in JSON of any depth are cleaned, everything else is unchanged."""
    value = {"a": [1, None, "see <https://x.example.com/?q=1>, or ftp://u:p@y.example.com/z"], "b": "c?d=e"}
    assert redact(value) == {
        "a": [1, None, "see <https://x.example.com/>, or ftp://y.example.com/z"],
        "b": "c?d=e",
    }
    assert (
        redact(r"GET https:\/\/x.example.com\/a.png?sig=1 failed") == "GET https://x.example.com/a.png failed"
    )
    assert redact("via https%3A%2F%2Fx.example.com%2Fa%3Fsig%3D1") == "via https://x.example.com/a"
    assert redact("x" * 100_000 + "https://x.example.com/a?sig=1").endswith("xhttps://x.example.com/a")
    assert redact("https://x.example.com/?q=1", redact_url) == "https://x.example.com/?q=1"
    assert redact("https://x.example.com/?Signature=1", redact_url) == "https://x.example.com/"
