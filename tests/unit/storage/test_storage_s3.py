"""The video store with a stubbed client: messages, and repeated writes."""

from __future__ import annotations

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, ReadTimeoutError
from botocore.stub import ANY
from s3_stub import BODY, SHA256, head, put, uploaded

from seedance_dagster.ledger.errors import StaleOrderError
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.objects import ObjectInfo
from seedance_dagster.storage.s3 import VideoStore


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (
            404,
            "NoSuchBucket",
            r"the bucket 'videos' does not exist: create it or correct its name \(SEEDANCE",
        ),
        (
            403,
            "AccessDenied",
            r"these AWS credentials: they need s3:(Put|Get)Object \(AccessDenied: it said so; ",
        ),
        (
            507,
            "XMinioStorageFull",
            "the bucket 'videos' is full: free space in the store, or raise the quota",
        ),
        (403, "QuotaExceeded", "the bucket 'videos' is full: free space in the store, or raise the quota"),
        (403, "AccountProblem", "the account of the bucket 'videos' at the store is suspended"),
        (403, "ExpiredTokenException", "the AWS credentials have expired: renew them"),
        (
            403,
            "InvalidAccessKeyId",
            r"credentials are refused: check AWS_ACCESS_KEY_ID .* \(InvalidAccessKeyId; ",
        ),
        (403, "SignatureDoesNotMatch", r"credentials are refused: .* \(SignatureDoesNotMatch; "),
        (400, "ExpiredToken", r"credentials have expired: renew them \(ExpiredToken; "),
        (503, "SlowDown", r"too many requests for the bucket 'videos' just now: .* \(SlowDown: it said so; "),
    ],
)
def test_a_refusal_says_what_to_set_or_fix(store, s3, video, status, code, words):
    """The message is the same from the check in advance, from uploads, small writes and reads."""
    for attempt, method in (
        (store.check_writable, "put_object"),
        (
            lambda: store.put_bytes("k", b"x", content_type="text/plain", metadata={}, overwrite=True),
            "put_object",
        ),
        (lambda: store.get_bytes("k"), "get_object"),
        (lambda: store.head("k"), "head_object"),
    ):
        for _ in range(2 if (status, method) == (403, "put_object") else 1):  # then without checksums
            s3.add_client_error(
                method, service_error_code=code, service_message="it\nsaid so", http_status_code=status
            )
        with pytest.raises(StoreError, match=words) as caught:
            attempt()
        assert "canary" not in str(caught.value)
        assert caught.value.__cause__ is None
    s3.add_client_error("head_object", "403")
    for _ in range(4 if status == 403 else 1):  # then without its condition and checksums
        s3.add_client_error(
            "put_object", service_error_code=code, service_message="it said so", http_status_code=status
        )
    with pytest.raises(StoreError, match=words):
        put(store, video)


def test_a_store_without_a_bucket_says_what_to_set(client, s3):
    """A missing bucket is reported before anything is sent."""
    with pytest.raises(StoreError, match="set SEEDANCE_S3_BUCKET"):
        VideoStore(client, "").check_writable()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (NoCredentialsError(), "no AWS credentials: set AWS_ACCESS_KEY_ID"),
        (
            EndpointConnectionError(endpoint_url="http://me:canary@s3.invalid/"),
            "did not answer: .*//s3.invalid",
        ),
        (ReadTimeoutError(endpoint_url="http://s3.invalid/"), "did not answer: Read timeout"),
    ],
)
def test_a_missing_answer_is_reported(store, client, monkeypatch, fault, words):
    """A broken network or missing credentials are reported, without a user name from a URL."""

    def broken(**_):
        raise fault

    monkeypatch.setattr(client, "put_object", broken)
    with pytest.raises(StoreError, match=words) as caught:
        store.check_writable()
    assert "canary" not in str(caught.value)


def test_what_boto3_refuses_itself_is_reported(client):
    """The words with which boto3 refuses something are shown whole, on one line."""
    with pytest.raises(StoreError, match="Invalid length for parameter Key") as caught:
        VideoStore(client, "videos").head("")
    assert "\n" not in str(caught.value)


def test_a_bucket_that_forbids_deleting_is_writable(store, s3):
    """A bucket that forbids deleting passes, since permission to write is enough."""
    s3.add_response(
        "put_object",
        {},
        {
            "Bucket": "videos",
            "Key": "seedance/.writable",
            "Body": b"ok",
            "ContentType": "text/plain",
            "ContentMD5": ANY,
            "Metadata": {},
        },
    )
    s3.add_client_error("delete_object", "AccessDenied")
    store.check_writable()


def test_an_outage_while_deleting_is_one_of_the_store(store, monkeypatch):
    """An outage while deleting is a store error, as for every other request."""

    def lost(**_arguments):
        raise EndpointConnectionError(endpoint_url="https://s3.example.com")

    monkeypatch.setattr(store.client, "delete_object", lost)
    with pytest.raises(StoreError, match="S3 did not answer"):
        store.delete("seedance/.writable")


def test_a_store_that_is_down_does_not_refuse_to_delete(store, s3):
    """A missing permission is an answer; an error of the server is none."""
    s3.add_client_error("delete_object", "AccessDenied", http_status_code=403)
    assert not store.delete("seedance/.writable")
    s3.add_client_error("delete_object", "SlowDown", http_status_code=503)
    with pytest.raises(StoreError, match="SlowDown"):
        store.delete("seedance/.writable")


def test_an_upload_carries_type_hash_and_metadata(store, s3, video):
    """The object has its type, its sha256 and the given metadata."""
    s3.add_client_error("head_object", "404")
    s3.add_response("put_object", {}, uploaded(IfNoneMatch="*"))
    s3.add_response("head_object", head())
    put(store, video)


def test_what_an_interrupted_worker_uploaded_is_not_uploaded_again(store, s3, video):
    """An object of the same size and hash is the video, whatever the case of metadata names."""
    s3.add_response("head_object", head(Sha256=SHA256))
    put(store, video)


@pytest.mark.parametrize("stored", [head(sha256="other"), head(size=7, sha256=SHA256), head()])
def test_another_file_of_the_same_task_is_replaced(store, s3, video, stored):
    """With other bytes, another size or no hash, the file is uploaded, if nobody replaced it meanwhile."""
    s3.add_response("head_object", stored)
    s3.add_response("put_object", {}, uploaded(IfMatch='"e1"'))
    s3.add_response("head_object", head())
    put(store, video)


@pytest.mark.parametrize(
    ("owner", "words"), [("T-2", "it belongs to T-2"), (None, "it belongs to an unknown owner")]
)
def test_an_object_of_another_task_is_never_overwritten(store, s3, video, owner, words):
    """A person or another ledger put it there: neither a video nor a manifest replaces it."""
    for attempt in (lambda: put(store, video), lambda: put_json(store)):
        s3.add_response("head_object", head(task_id=owner, sha256="other"))
        with pytest.raises(StoreError, match=f"is not overwritten: {words}"):
            attempt()


def test_an_object_that_another_worker_wrote_meanwhile_is_not_overwritten(store, s3, video):
    """A worker that was stopped between its look and its upload leaves what another stored since then."""
    s3.add_client_error("head_object", "404")
    s3.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
    s3.add_response("head_object", {"ContentLength": 3})
    with pytest.raises(StoreError, match="was written by another worker meanwhile"):
        put(store, video)


def test_nothing_is_written_by_a_worker_that_may_no_longer(store, s3, video):
    """A worker that may no longer write is stopped between the look at the object and the write."""

    def gone():
        raise StaleOrderError("another worker has it")

    s3.add_client_error("head_object", "404")
    with pytest.raises(StaleOrderError):
        store.put_file("k", video, content_type="x", sha256=SHA256, metadata={}, before_write=gone)


@pytest.mark.parametrize(
    ("answer", "words"),
    [(head(size=3), "has 3 bytes after an upload of 700 bytes"), (None, "is missing after")],
)
def test_an_incomplete_upload_is_reported(store, s3, video, answer, words):
    """An object of another size, or none, is an error."""
    s3.add_client_error("head_object", "NotFound")
    s3.add_response("put_object", {})
    if answer is None:
        s3.add_client_error("head_object", "NoSuchKey")
    else:
        s3.add_response("head_object", answer)
    with pytest.raises(StoreError, match=words):
        put(store, video)


def test_metadata_names_are_lower_case(store, s3):
    """Servers change the case of metadata names; the result does not depend on it."""
    s3.add_response("head_object", head(task_id=None, **{"Seedance-Task-Id": "T-1", "SHA256": "ab"}))
    expected = {"seedance-task-id": "T-1", "sha256": "ab"}
    assert store.head("k") == ObjectInfo(len(BODY), "video/mp4", expected, '"e1"')


def written(body: bytes = b"{}", **more):
    md5 = {b"{}": "mZFLkyvTelC5g8XnyQrpOw=="}[body]
    request = {"Bucket": "videos", "Key": "k", "Body": body, "ContentType": "application/json"}
    return request | {"ContentMD5": md5, "Metadata": {"seedance-task-id": "T-1"}} | more


def put_json(store) -> None:
    store.put_bytes("k", b"{}", content_type="application/json", metadata={"seedance-task-id": "T-1"})


def test_a_new_small_object_is_written(store, s3):
    """A new small object is written conditionally, with an MD5 for the server to verify."""
    s3.add_client_error("head_object", "404")
    s3.add_response("put_object", {}, written(IfNoneMatch="*"))
    put_json(store)


@pytest.mark.parametrize("stored", [b"{}", b"[]"])
def test_a_small_object_is_replaced_only_by_another(store, s3, stored):
    """Equal bytes are left unchanged, and others of the same task replaced."""
    s3.add_response("head_object", head(size=2))
    s3.add_response("get_object", {"Body": Body(stored)})
    if stored != b"{}":
        s3.add_response("put_object", {}, written(IfMatch='"e1"'))
    put_json(store)


def test_a_uri_names_bucket_and_key(store):
    """The URI can be pasted into other tools."""
    assert store.uri("a/video.mp4") == "s3://videos/a/video.mp4"


class Body:
    """The body of a response."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self) -> bytes:
        return self._data
