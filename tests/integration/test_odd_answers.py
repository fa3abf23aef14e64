"""Stores whose answers are incomplete, wrong or late: no traceback, nothing overwritten, no wrong list."""

from __future__ import annotations

import contextlib
from datetime import UTC
from unittest.mock import Mock

import boto3
import pytest
from botocore.config import Config
from odd_s3 import Manners, running_odd_s3, without_secret

from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.owner import Owner, claim_prefix
from seedance_dagster.storage.s3 import VideoStore

pytestmark = pytest.mark.integration

KEY = "p/spots/cat/poster.jpg"
SIZE, TIME = "<Size>1</Size>", "<LastModified>2026-04-06T18:00:00Z</LastModified>"
NO_S3 = r"localhost:\d+ does not answer like S3"


@pytest.fixture
def odd():
    with running_odd_s3() as server:
        yield server


def listing(*fields: str, more: str = "") -> tuple[int, dict[str, str], bytes]:
    entry = f"<Contents><Key>p/a</Key>{''.join(fields)}</Contents>"
    return 200, {}, f"<ListBucketResult><Name>videos</Name>{more}{entry}</ListBucketResult>".encode()


def put(store: VideoStore, body: bytes, task: str = "T-1") -> None:
    store.put_bytes(KEY, body, content_type="image/jpeg", metadata={"seedance-task-id": task})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (listing(), "an object in it has no 'Size'"),
        (listing(SIZE), "an object in it has no 'LastModified'"),
        (listing("<Size/>", TIME), NO_S3),
        (listing(SIZE, "<LastModified>yesterday</LastModified>"), NO_S3),
        (
            listing(SIZE, TIME, more="<IsTruncated>true</IsTruncated><NextMarker>p/a</NextMarker>"),
            "more objects",
        ),
        ((200, {}, b""), "it says nothing; check AWS_ENDPOINT_URL_S3"),
        ((200, {}, b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"), "it says nothing"),
        ((404, {}, b"<Error><Code>NoSuchKey</Code></Error>"), "names the bucket 'videos' already"),
    ],
)
def test_a_listing_that_is_not_whole_is_no_listing(odd, answer, words):
    """A listing that lacks something is an error: a short one would pass for lost videos."""
    odd.manners = Manners(answer=answer)
    with pytest.raises(StoreError, match=words):
        odd.store().listing("")


def test_a_time_without_a_zone_is_in_utc(odd):
    """Times that a store lists without a zone compare with others."""
    odd.manners = Manners(answer=listing(SIZE, "<LastModified>2026-04-06 18:00:00</LastModified>"))
    assert odd.store().listing("")["p/a"].modified_at.tzinfo is UTC


@pytest.mark.parametrize("method", ["head", "get_bytes", "digest"])
def test_a_header_that_cannot_be_read_is_named(odd, method):
    """A time that is none gives an error in words."""
    odd.manners = Manners(answer=(200, {"Last-Modified": "yesterday"}, b"12345"))
    with pytest.raises(StoreError, match=NO_S3):
        getattr(odd.store(), method)(KEY)


@pytest.mark.parametrize("trouble", [(503, "SlowDown"), (500, "InternalError"), (429, "TooManyRequests")])
def test_nothing_is_written_while_the_store_cannot_be_looked_at(odd, trouble):
    """A HEAD that fails says nothing of the object; where conditions are ignored, it would be overwritten."""
    odd.manners = Manners(conditions="ignored")
    put(odd.store(), b"ours")
    claim_prefix(odd.store(), Owner(ledger_id="first", created_at="2026-04-06T18:00:00Z"))
    before = {key: stored.body for key, stored in odd.objects.items()}
    odd.manners = Manners(conditions="ignored", looks=trouble)
    with pytest.raises(StoreError, match=f"{trouble[0]}: .*; HeadObject"):
        put(odd.store(), b"theirs", "T-2")
    with pytest.raises(StoreError):
        claim_prefix(odd.store(), Owner(ledger_id="second", created_at="2026-04-07T18:00:00Z"))
    assert {key: stored.body for key, stored in odd.objects.items()} == before


def test_credentials_that_may_not_look_write_all_the_same(odd):
    """Without permission to list, S3 refuses the HEAD of an object that does not exist."""
    odd.manners = Manners(looks=(403, "AccessDenied"))
    put(odd.store(), b"ours")
    assert odd.objects[f"/videos/{KEY}"].body == b"ours"


def test_a_store_that_never_finds_the_same_version_is_written(odd):
    """A version that is still there is replaced, although the store says that it changed."""
    put(odd.store(), b"half")
    odd.manners = Manners(conditions="never met")
    put(odd.store(), b"whole")
    assert odd.objects[f"/videos/{KEY}"].body == b"whole"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("AccessControlListNotSupported", "takes no ACL: leave SEEDANCE_S3_ACL empty"),
        ("InvalidStorageClass", "correct SEEDANCE_S3_STORAGE_CLASS"),
        ("KMS.DisabledException", "check SEEDANCE_S3_KMS_KEY and its state"),
    ],
)
def test_a_setting_that_a_bucket_does_not_take_is_named(odd, code, words):
    """The message names the setting."""
    odd.manners = Manners(answer=(400, {}, f"<Error><Code>{code}</Code></Error>".encode()))
    with pytest.raises(StoreError, match=words):
        put(odd.store(), b"ours")


@pytest.mark.parametrize(("checksums", "size"), [("when_supported", 12), ("when_required", 7)])
def test_a_store_that_keeps_frames_is_found_out(odd, tmp_path, checksums, size):
    """A video with frames around it is not taken for stored; the setting that helps is named, and helps."""
    odd.manners = Manners(keeps_frames=True)
    video = tmp_path / "video.mp4"
    video.write_bytes(b"a video")
    with contextlib.nullcontext() if size == 7 else pytest.raises(StoreError, match="set AWS_REQUEST_CHECK"):
        odd.store(checksums=checksums).put_file(
            KEY, video, content_type="video/mp4", sha256="ab" * 32, metadata={"seedance-task-id": "T-1"}
        )
    assert len(odd.objects[f"/videos/{KEY}"].body) == size


def test_a_token_file_that_is_missing_is_named(odd, tmp_path, monkeypatch):
    """A file of the credentials is not mistaken for the file that is sent."""
    store, video = odd.store(), tmp_path / "video.mp4"
    gone = FileNotFoundError(2, "No such file or directory", "/var/run/secrets/token")
    monkeypatch.setattr(store.client, "put_object", Mock(side_effect=gone))
    video.write_bytes(b"a video")
    with pytest.raises(
        StoreError, match=r"credentials cannot be obtained: .*/var/run/secrets/token: No such"
    ):
        store.write_probe(KEY, video, {})
    video.unlink()
    with pytest.raises(FileNotFoundError, match=r"video\.mp4"):
        store.write_probe(KEY, video, {})


def test_a_head_without_a_reason_is_explained(odd):
    """S3 answers a HEAD with expired credentials by a status alone."""
    odd.manners = Manners(looks=(400, ""))
    with pytest.raises(StoreError, match="without a reason: are the credentials valid"):
        odd.store().head(KEY)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://localhost:{port}", "no secure connection to S3: set AWS_CA_BUNDLE"),
        ("http://localhost:99999", "these settings give no address of S3: check AWS_ENDPOINT_URL_S3"),
        ("s3://localhost", "these settings give no address of S3"),
    ],
)
def test_an_address_that_does_not_work_is_explained(odd, url, words):
    """A server without TLS, or an address that is none, gives advice and not only the failure."""
    client = boto3.client(
        "s3",
        endpoint_url=url.format(port=odd.server_port),
        aws_access_key_id="id",
        aws_secret_access_key="canary-of-the-secret",
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}),
    )
    with pytest.raises(StoreError, match=words) as caught:
        VideoStore(client, "videos", "p").check_writable()
    assert without_secret(str(caught.value))
