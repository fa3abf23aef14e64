"""Files of the team's own in Dagster's runs: from the prompt file's folder and from S3 to a stored video."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
from audit_support import audit, kinds
from code_location import QUIET, CodeLocation, running_location
from reference_host import sample

pytestmark = [pytest.mark.integration, pytest.mark.further, QUIET]

CAT, DOG = sample("cat.png"), sample("dog.png")
OMNI = {"mode": "omni_reference"}
DOG_IN_S3 = "s3://videos/assets/dog.png"


PROMPTS = {
    "cat": OMNI | {"prompt": "the cat runs", "image_urls": ["refs/cat.png"]},
    "dog": OMNI | {"prompt": "the dog runs", "image_urls": [DOG_IN_S3]},
    "lost": OMNI | {"prompt": "the dog is lost", "image_urls": [DOG_IN_S3, "refs/cat.png"]},
    "moved": OMNI | {"prompt": "the cat moves", "image_urls": ["refs/moving.png"]},
    "gone": OMNI | {"prompt": "a fish", "image_urls": ["s3://videos/assets/fish.png"]},
    "nowhere": OMNI | {"prompt": "a bird", "image_urls": ["s3://no-such-bucket/bird.png"]},
}


@pytest.fixture(scope="module")
def location(s3_server, tmp_path_factory) -> Iterator[CodeLocation]:
    """A code location with pictures beside its prompts and in S3, after a run of all prompts."""
    folder = tmp_path_factory.mktemp("files")
    with running_location(folder, s3_server, {"plain": "a plain prompt"}, on_disk=True) as location:
        references = folder / "prompts" / "refs"
        references.mkdir()
        for name in ("cat.png", "moving.png"):
            (references / name).write_bytes(CAT)
        location.store.client.put_object(Bucket="videos", Key="assets/dog.png", Body=DOG)
        location.write(PROMPTS)
        location.reload()
        location.skipped()
        done = location.run("cat", "nowhere")
        gone = "image_urls number 1 ('s3://videos/assets/fish.png') does not exist; correct the prompt's"
        assert done.missing["gone"].startswith(gone)
        assert "there is no bucket 'no-such-bucket'" in done.missing["nowhere"]
        assert len(done.missing) == 2
        yield location


@pytest.mark.long
def test_files_become_videos_with_their_lineage(location):
    """Event, manifest and order of both videos name path, hash and upload of the file, and no signature."""
    for key, url, content in (("cat", "refs/cat.png", CAT), ("dog", DOG_IN_S3, DOG)):
        sha256 = hashlib.sha256(content).hexdigest()
        [order] = location.orders(key)
        [shown] = location.newest("videos", key).metadata["seedance/references"].value
        assert (shown["reference"], shown["url"], shown["sha256"]) == ("@image1", url, sha256)
        manifest = json.loads(location.store.get_bytes(order.manifest_key))
        [reference] = manifest["references"]
        assert (reference["url"], reference["facts"]["sha256"]) == (url, sha256)
        assert reference["facts"]["uploaded_at"] == shown["uploaded_at"]
        [link] = manifest["request"]["input"]["image_urls"]
        assert link == reference["facts"]["sent_url"]
        assert httpx.get(link, trust_env=False).content == content
        assert str(location.folder) not in json.dumps([order.request, order.reference_facts, manifest])


@pytest.mark.long
def test_a_moved_file_is_reused_and_an_edited_one_is_ordered(location):
    """Moving a file costs nothing; changed content is ordered as another video."""
    before = location.books()["tasks"]
    moved = location.folder / "prompts" / "elsewhere.png"
    (location.folder / "prompts" / "refs" / "moving.png").rename(moved)
    location.write(PROMPTS | {"moved": OMNI | {"prompt": "the cat moves", "image_urls": ["elsewhere.png"]}})
    location.skipped()
    assert location.run("moved").result.success
    assert location.books()["tasks"] == before
    moved.write_bytes(DOG)
    location.skipped()
    assert location.run("moved").result.success
    assert location.books()["tasks"] == before + 1


def test_an_audit_finds_nothing_wrong_with_files(location, s3_server, monkeypatch):
    """The vendor's echo, the manifest and the copies beside the videos are all as expected."""
    document, _ = audit(location, s3_server, monkeypatch, "--deep")
    assert document["findings"] == []
    assert location.books()["key_leaks"] == 0


def test_a_lost_row_is_restored_with_its_file(location, s3_server, monkeypatch):
    """The manifest gives the path and the hash back, not the link that was sent for it."""
    [before] = location.orders("lost")
    with closing(sqlite3.connect(location.folder / "ledger.db")) as connection:
        connection.execute("DELETE FROM seedance_orders WHERE order_id = ?", [before.order_id])
        connection.commit()
    document, _ = audit(location, s3_server, monkeypatch, "--deep", "--repair")
    assert kinds(document) == [("missing_order", "lost")]
    [after] = location.orders("lost")
    assert after.request == before.request
    assert after.fingerprint == before.fingerprint
    document, _ = audit(location, s3_server, monkeypatch, "--deep")
    assert document["findings"] == []
