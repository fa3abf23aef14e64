"""The video store on a real S3 server."""

from __future__ import annotations

import hashlib
import random
from functools import partial
from unittest.mock import ANY

import boto3
import httpx
import pytest
from stores import open_store

from seedance_dagster.cli.local.ports import free_port
from seedance_dagster.prompts.files import FileReference
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.reference_objects import ReadObject, presigned_link, read_object
from seedance_dagster.storage.s3 import VideoStore

pytestmark = pytest.mark.integration

ABOUT = {"seedance-task-id": "T-1", "seedance-fingerprint": "ab" * 32}


@pytest.fixture
def file(tmp_path):
    """Return a function that writes a file of a given size and returns path and sha256."""

    def write(size: int, seed: int = 1):
        data = random.Random(seed).randbytes(size)
        path = tmp_path / "video.mp4"
        path.write_bytes(data)
        return path, hashlib.sha256(data).hexdigest()

    return write


def put(store: VideoStore, key: str, written) -> None:
    path, sha256 = written
    store.put_file(key, path, content_type="video/mp4", sha256=sha256, metadata=ABOUT)


@pytest.mark.parametrize("size", [1, 100_000, 17 * 1024 * 1024 + 1])
def test_a_file_arrives_whole_with_type_and_metadata(store, file, size):
    """Small and large files arrive with their type, hash and metadata."""
    key = f"{store.prefix}/video.mp4"
    written = file(size)
    put(store, key, written)
    info = store.head(key)
    assert (info.size_bytes, info.content_type) == (size, "video/mp4")
    assert info.metadata.items() >= (ABOUT | {"sha256": written[1]}).items()
    assert hashlib.sha256(store.get_bytes(key)).hexdigest() == written[1]


def test_writing_twice_is_writing_once(store, file, monkeypatch):
    """The same bytes are not sent again; other bytes of the same size replace them."""
    key = f"{store.prefix}/video.mp4"
    sent = []
    upload = store.client.put_object
    monkeypatch.setattr(store.client, "put_object", lambda **arguments: (sent.append(1), upload(**arguments)))
    for seed, uploads in ((1, 1), (1, 1), (2, 2)):
        written = file(5_000, seed)
        put(store, key, written)
        assert len(sent) == uploads
        assert hashlib.sha256(store.get_bytes(key)).hexdigest() == written[1]


def test_small_objects_can_be_written_again(store):
    """A server that ignores conditions ends with the newest bytes, like one that supports them."""
    key = f"{store.prefix}/manifest.json"
    for body in (b"{}", b"{}", b'{"a": 1}'):
        store.put_bytes(key, body, content_type="application/json", metadata=ABOUT)
        assert store.get_bytes(key) == body
    assert store.head(key).content_type == "application/json"


def test_a_missing_object_is_reported(store):
    """A missing object has no head and cannot be read."""
    assert store.head(f"{store.prefix}/none") is None
    with pytest.raises(StoreError, match="NoSuchKey"):
        store.get_bytes(f"{store.prefix}/none")


def test_the_check_leaves_nothing_behind(store):
    """A writable bucket passes the check, whose object is deleted afterwards."""
    store.check_writable()
    assert store.head(f"{store.prefix}/.writable") is None


def test_an_unusable_store_is_reported(s3_server, file):
    """A missing bucket, a wrong secret and a dead server are reported without a secret."""
    secret = "canary-of-a-wrong-secret"
    wrong, dead = (
        boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id="seedance",
            aws_secret_access_key=secret,
            region_name="us-east-1",
        )
        for url in (s3_server.url, f"http://127.0.0.1:{free_port()}")
    )
    for unusable, words in (
        (open_store(s3_server, "no-such-bucket", "x"), "'no-such-bucket' does not exist"),
        (VideoStore(wrong, "videos"), "the AWS credentials are refused"),
        (VideoStore(dead, "videos"), "did not answer: Could not connect"),
    ):
        for attempt in (unusable.check_writable, lambda store=unusable: put(store, "k", file(10))):
            with pytest.raises(StoreError, match=words) as caught:
                attempt()
            assert secret not in str(caught.value)
            assert s3_server.secret_key not in str(caught.value)


def test_an_object_that_a_prompt_refers_to_is_read_once(store):
    """A real server says whether it changed, and why it cannot be read."""
    store.client.put_object(Bucket=store.bucket, Key=f"{store.prefix}/cat.png", Body=b"a picture")
    reference = FileReference(f"s3://{store.bucket}/{store.prefix}/cat.png")
    read = partial(read_object, store.client, max_bytes=100)
    first = read(reference, etag=None)
    assert first is not None
    assert first.content == b"a picture"
    assert read(reference, etag=first.etag) is None
    store.client.put_object(Bucket=store.bucket, Key=f"{store.prefix}/cat.png", Body=b"another picture")
    assert read(reference, etag=first.etag) == ReadObject(ANY, b"another picture")
    for address, words in (
        (f"s3://{store.bucket}/{store.prefix}/dog.png", "does not exist"),
        ("s3://no-such-bucket/cat.png", "no bucket 'no-such-bucket'"),
        ("s3://bad_bucket!/cat.png", "cannot be read"),
    ):
        with pytest.raises(StoreError, match=words):
            read(FileReference(address), etag=None)
    link = presigned_link(store.client, store.bucket, f"{store.prefix}/cat.png", expires_s=60)
    assert httpx.get(link, trust_env=False).content == b"another picture"
