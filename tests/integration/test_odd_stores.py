"""Stores that refuse what others take: they get the videos, or an error comes before any payment."""

from __future__ import annotations

import pytest
from botocore.parsers import ResponseParserError
from odd_s3 import Manners, OddS3, running_odd_s3, without_secret

from seedance_dagster.storage.capabilities import CAPABILITIES, Trial, Verdict, examine
from seedance_dagster.storage.errors import StoreError

pytestmark = pytest.mark.integration

REFUSALS = [
    (304, "NotModified"),
    (400, "InvalidArgument"),
    (403, "AccessDenied"),
    (405, "MethodNotAllowed"),
    (422, "UnprocessableEntity"),
    (500, "InternalError"),
    (501, "NotImplemented"),
]
KEY = "p/spots/cat/video.mp4"


@pytest.fixture
def odd():
    with running_odd_s3() as server:
        yield server


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(b"a video" * 1000)
    return path


def put(store, video, **more) -> None:
    about = {"content_type": "video/mp4", "sha256": "ab" * 32, "metadata": {"seedance-task-id": "T-1"}}
    store.put_file(KEY, video, **about | more)


def verdicts(odd: OddS3, **options) -> dict[str, Trial]:
    return {trial.capability.name: trial for trial in examine(odd.store(**options))}


def error(status: int, code: str, words: str = "") -> tuple[int, dict[str, str], bytes]:
    return status, {}, f"<Error><Code>{code}</Code><Message>{words}</Message></Error>".encode()


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_store_that_refuses_conditions_gets_the_video_without(odd, video, refusal):
    """The paid video is stored, and the next one is not sent twice (s1)."""
    odd.manners = Manners(conditions=refusal)
    store = odd.store()
    put(store, video)
    assert odd.objects[f"/videos/{KEY}"].body == video.read_bytes()
    before = len(odd.puts())
    store.put_bytes("p/poster.jpg", b"jpeg", content_type="image/jpeg", metadata={})
    assert len(odd.puts()) == before + 1
    assert (store.writer.knows_conditions, store.writer.knows_checksums) == (False, True)


@pytest.mark.parametrize(
    "refusal", [*REFUSALS, (411, "MissingContentLength"), (403, "SignatureDoesNotMatch")]
)
def test_a_store_that_refuses_checksums_gets_the_video_without(odd, video, refusal):
    """It is sent with its MD5, and with its condition (s4)."""
    odd.manners = Manners(checksums=refusal)
    store = odd.store()
    put(store, video)
    assert odd.objects[f"/videos/{KEY}"].body == video.read_bytes()
    [taken] = [headers for headers in odd.puts() if "x-amz-checksum-crc32" not in headers]
    assert (taken["if-none-match"], "content-md5" in taken) == ("*", True)
    assert (store.writer.knows_conditions, store.writer.knows_checksums) == (True, False)


def test_a_store_that_takes_every_key_for_used_gets_the_video_too(odd, video):
    """A new key is written without the condition; a key with an object is left alone (s1)."""
    odd.manners = Manners(conditions="never met")
    put(odd.store(), video)
    assert odd.objects[f"/videos/{KEY}"].body == video.read_bytes()
    with pytest.raises(StoreError, match="was written by another worker meanwhile"):
        odd.store().writer.write(KEY, b"late", content_type="video/mp4", metadata={})


def test_a_store_that_knows_neither_gets_the_video_too(odd, video):
    """Condition and checksum are left out, each only where the store refuses it (s1, s4)."""
    odd.manners = Manners(checksums=(400, "InvalidRequest"), conditions=(501, "NotImplemented"))
    store = odd.store()
    put(store, video)
    assert odd.objects[f"/videos/{KEY}"].body == video.read_bytes()
    assert (store.writer.knows_conditions, store.writer.knows_checksums) == (False, False)


@pytest.mark.parametrize("checksums", ["when_supported", "when_required"])
def test_a_bucket_with_object_lock_gets_an_md5(odd, video, checksums):
    """Every write to a bucket with Object Lock has an MD5, with boto3's checksums and without (s5)."""
    odd.manners = Manners(locked=True)
    store = odd.store(checksums=checksums)
    put(store, video)
    store.put_bytes("p/a.json", b"{}", content_type="application/json", metadata={})
    store.put_if_absent("p/b.json", b"{}", content_type="application/json")
    store.check_writable()
    assert all("content-md5" in headers for headers in odd.puts())


def test_every_write_carries_what_the_bucket_demands(odd, video):
    """Every write has the encryption, access, class, tags and payer of the settings (s6)."""
    store = odd.store(
        encryption="aws:kms",
        kms_key="key-1",
        acl="bucket-owner-full-control",
        storage_class="STANDARD_IA",
        tags="team=ads",
        requester_pays=True,
    )
    put(store, video)
    store.put_bytes("p/a.json", b"{}", content_type="application/json", metadata={})
    store.put_if_absent("p/b.json", b"{}", content_type="application/json")
    store.copy(KEY, f"{KEY}.copy")
    store.listing("spots")
    store.get_bytes(KEY)
    kept = {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "key-1",
        "x-amz-acl": "bucket-owner-full-control",
        "x-amz-storage-class": "STANDARD_IA",
    }
    assert all(headers.items() >= kept.items() for headers in odd.puts())
    assert [headers.get("x-amz-tagging") for headers in odd.puts()] == ["team=ads"] * 3 + [None]
    assert all(headers["x-amz-request-payer"] == "requester" for _, _, headers in odd.requests)


@pytest.mark.parametrize(
    ("addressing", "host"),
    [("auto", "//localhost:"), ("path", "//localhost:"), ("virtual", "//videos.localhost:")],
)
def test_the_bucket_may_stand_in_the_host_s_name(odd, addressing, host):
    """A bucket's name may be a part of the host's name, as some stores demand (s6)."""
    client = odd.store(addressing=addressing).client
    assert host in client.generate_presigned_url("get_object", Params={"Bucket": "videos", "Key": "k"})


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            (301, {"x-amz-bucket-region": "eu-west-1"}, b"<Error><Code>PermanentRedirect</Code></Error>"),
            "in another region: set AWS_DEFAULT_REGION to eu-west-1",
        ),
        (
            (301, {"Location": "https://login.example.com/"}, b""),
            "answers with redirects: set AWS_ENDPOINT_URL_S3",
        ),
        (
            (302, {"Location": "https://login.example.com/"}, b""),
            "answers with redirects: set AWS_ENDPOINT_URL_S3",
        ),
        (error(400, "InvalidRegionName"), "in another region: set AWS_DEFAULT_REGION"),
        (error(403, "SecondLevelDomainForbidden"), "set SEEDANCE_S3_ADDRESSING=virtual"),
        (
            error(403, "AccessDenied", "x is not authorized to perform: kms:Decrypt on y"),
            "they need kms:Decrypt ",
        ),
        (
            error(
                403, "AccessDenied", "not authorized to perform: s3:PutObject on y with an explicit deny in z"
            ),
            "a policy denies them s3:PutObject ",
        ),
        (error(401, "Unauthorized"), "the AWS credentials are refused"),
        (error(404, "NoSuchKey"), "lacks an object, which may have been deleted: `seedance-dagster audit`"),
        (error(403, "InvalidObjectState"), "is archived, such as in Glacier: restore it there"),
        (error(403, "QuotaExceeded"), "QuotaExceeded: no message"),
        (
            (403, {"Content-Type": "text/html"}, b"<html>"),
            "not answered as S3 does: check AWS_ENDPOINT_URL_S3",
        ),
        (
            (404, {"Content-Type": "text/html"}, b"<html>"),
            "not answered as S3 does: check AWS_ENDPOINT_URL_S3",
        ),
        ((413, {"Content-Type": "text/html"}, b"<html>"), "raise the limit for request bodies"),
        ((503, {"Content-Type": "text/html"}, b"<html>"), "S3 refused a request"),
        ((403, {}, b"<Error><Code>RequestTimeTooSkewed</Code></Error>"), "the clock of this machine"),
    ],
)
def test_a_refusal_says_what_to_do_and_where_it_was(odd, video, answer, words):
    """A refusal names host, bucket, key, operation, the store's words and what to do (s8)."""
    odd.manners = Manners(answer=answer)
    with pytest.raises(StoreError, match=words) as caught:
        put(odd.store(), video, overwrite=True)
    where = f"PutObject of s3://videos/{KEY} at localhost:{odd.server_port}"
    assert where in str(caught.value) or "answers with redirects" in words
    assert without_secret(str(caught.value))


def test_a_server_that_is_no_s3_is_named(odd, monkeypatch):
    """A web page instead of an S3 answer gives an error in words."""
    odd.manners = Manners(answer=(200, {"Content-Type": "text/html"}, b"<html><p>welcome</html>"))
    store = odd.store()
    with pytest.raises(StoreError, match="S3 refused a request"):
        store.listing("spots")

    def unreadable(**_):
        raise ResponseParserError("Unable to parse response")

    monkeypatch.setattr(store.client, "copy_object", unreadable)
    with pytest.raises(StoreError, match=r"localhost:\d+ does not answer like S3: check AWS_ENDPOINT_URL_S3"):
        store.copy("a", "b")


def test_a_head_without_a_length_is_counted(odd, video):
    """The size of a stored object is known although its HEAD has no length."""
    odd.manners = Manners(lengths=False)
    store = odd.store()
    put(store, video)
    assert store.head(KEY).size_bytes == video.stat().st_size


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("manners", "lacking"),
    [
        (Manners(), {}),
        (Manners(conditions="ignored"), {"conditions": "ignored: the object is checked"}),
        *((Manners(conditions=refusal), {"conditions": "refused"}) for refusal in REFUSALS),
        (Manners(checksums=(400, "InvalidRequest")), {"checksums": "AWS_REQUEST_CHECKSUM_CALCULATION"}),
        (Manners(locked=True), {}),
        (Manners(lengths=False), {}),
        (Manners(denied=frozenset({"LIST"})), {"list": "they need s3:ListBucket"}),
        (Manners(denied=frozenset({"COPY"})), {"copy": "they need s3:GetObject and s3:PutObject"}),
        (Manners(denied=frozenset({"DELETE"})), {"delete": "not allowed: that object stays"}),
    ],
)
def test_a_store_that_lacks_something_is_used_all_the_same(odd, manners, lacking):
    """A store without some capability is used; the report names it, and what is done instead."""
    odd.manners = manners
    trials = verdicts(odd)
    assert list(trials) == [capability.name for capability in CAPABILITIES]
    assert not any(trial.blocks for trial in trials.values())
    assert {name for name, trial in trials.items() if trial.verdict is not Verdict.OK} == set(lacking)
    assert all(words in trials[name].words for name, words in lacking.items())
    left = {key: len(stored.body) for key, stored in odd.objects.items()}
    kept = ("/videos/p/.writable", "/videos/p/.writable-copy") if "delete" in lacking else ()
    assert left == dict.fromkeys(kept, 2)


@pytest.mark.parametrize(
    ("manners", "missing", "words"),
    [
        (Manners(denied=frozenset({"PUT"})), "write", "they need s3:PutObject"),
        (Manners(most_bytes=1_000_000), "write", "raise the limit for request bodies"),
        (Manners(metadata=False), "metadata", "keeps no metadata"),
        (Manners(keeps_frames=True), "head", "in the store: set AWS_REQUEST_CHECKSUM_CALCULATION=when"),
        (Manners(denied=frozenset({"HEAD"})), "head", "they need s3:GetObject"),
        (Manners(denied=frozenset({"GET"})), "read", "they need s3:GetObject"),
        (Manners(answer=(301, {"x-amz-bucket-region": "eu-west-1"}, b"")), "write", "AWS_DEFAULT_REGION"),
    ],
)
def test_what_keeps_videos_out_is_found_before_anything_is_paid_for(odd, manners, missing, words):
    """Obstacles, such as credentials that may write but not read, are found before any payment (s2)."""
    odd.manners = manners
    trial = verdicts(odd)[missing]
    assert trial.blocks
    assert words in trial.words
