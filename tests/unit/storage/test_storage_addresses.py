"""Buckets and prefixes as people write them."""

from __future__ import annotations

from unittest.mock import Mock, sentinel

import pytest
from botocore.exceptions import CredentialRetrievalError, SSOTokenLoadError

from seedance_dagster.storage.clients import create_client
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.s3 import VideoStore

CLIENT = sentinel.client  # nothing is sent
POINT = "arn:aws:s3:eu-west-1:123456789012:accesspoint/videos"


@pytest.mark.parametrize(
    ("bucket", "name"),
    [
        ("videos", "videos"),
        ("s3://videos/", "videos"),
        (" s3://videos ", "videos"),
        ("S3://videos", "videos"),
        ("s3a://videos/", "videos"),
        ("arn:aws:s3:::videos", "videos"),
        (POINT, POINT),
        ("s3://", ""),
        ("", ""),
    ],
)
def test_a_bucket_may_be_written_as_an_address(bucket, name):
    """A pasted address of a bucket is understood as its name (s7)."""
    assert VideoStore(CLIENT, bucket).bucket == name


def test_a_bucket_with_a_path_is_refused_with_the_way_out():
    """A bucket with a path is refused, and the message says that the path is a prefix (s7)."""
    with pytest.raises(StoreError, match=r"set SEEDANCE_S3_BUCKET=videos and SEEDANCE_S3_PREFIX=sub/a$"):
        VideoStore(CLIENT, "s3://videos/sub/a/")


@pytest.mark.parametrize("prefix", ["a/b", "a/b/", "/a/b", "//a/b//"])
def test_slashes_around_a_prefix_do_not_count(prefix):
    """Prefixes with and without slashes around them mean the same place (s3)."""
    assert VideoStore(CLIENT, "videos", prefix).prefix == "a/b"


@pytest.mark.parametrize(
    "bucket",
    [
        "gs://videos",
        "https://videos.s3.amazonaws.com/",
        "s3:///videos",
        '"videos"',
        "${BUCKET}",
        "videos,b",
        "/v",
    ],
)
def test_what_is_no_bucket_is_refused_before_anything_is_sent(bucket):
    """An invalid bucket is refused before any request, with advice instead of a regular expression (s7)."""
    with pytest.raises(StoreError, match="is not a name: set SEEDANCE_S3_BUCKET to the name alone, such as"):
        VideoStore(CLIENT, bucket)


@pytest.mark.parametrize("prefix", [" videos ", "a b", "\u00e4/b", "a.b", ".hidden", "a-b_c(1)"])
def test_a_prefix_of_other_characters_is_kept(prefix):
    """A prefix with blanks, letters of other languages or dots is kept, as stores do."""
    assert VideoStore(CLIENT, "videos", prefix).prefix == prefix.strip()


@pytest.mark.parametrize(
    ("prefix", "wrong"),
    [
        ("s3://videos/a", "://"),
        ("a//b", "//"),
        ("a/../b", "/../"),
        ("./a", "./"),
        ('"a"', '"'),
        ("${PREFIX}", "$"),
        ("a/{date}", "{"),
        ("a\\b", "\\"),
        ("a\nb", "\n"),
        ("a?b", "?"),
    ],
)
def test_a_prefix_that_links_and_stores_would_change_is_refused(prefix, wrong):
    """The message says which part of it is wrong (s3)."""
    with pytest.raises(StoreError) as caught:
        VideoStore(CLIENT, "videos", prefix)
    assert f"it contains {wrong!r}; set SEEDANCE_S3_PREFIX to names" in str(caught.value)


@pytest.mark.parametrize("endpoint", ["https://account.r2.example.com/videos", "http://host:9000/videos/"])
def test_an_endpoint_that_ends_with_the_bucket_is_refused(endpoint):
    """An endpoint that ends with the bucket is refused, since all keys and URIs would be wrong."""
    client = Mock()
    client.meta.endpoint_url = endpoint
    with pytest.raises(StoreError, match="AWS_ENDPOINT_URL_S3 ends with the bucket 'videos': leave it out"):
        VideoStore(client, "videos").check_writable()
    client.put_object.assert_not_called()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (FileNotFoundError(2, "No such file or directory", "/bin/login"), "settings: .*'/bin/login'$"),
        (SSOTokenLoadError(error_msg="expired"), "credentials cannot be obtained: .*`aws sso login`"),
        (
            CredentialRetrievalError(provider="container-role", error_msg="no endpoint"),
            r"credentials cannot be obtained: .*no endpoint\)$",
        ),
    ],
)
def test_credentials_that_cannot_be_obtained_are_explained(fault, words):
    """A program of a profile that is missing, or a login that is over, gives an error in words."""
    with pytest.raises(StoreError, match=words):
        create_client(Mock(side_effect=fault))


def test_an_endpoint_without_its_scheme_is_named():
    """An endpoint without its scheme is named, and the message says how one begins."""
    with pytest.raises(StoreError, match="AWS_ENDPOINT_URL_S3 must begin with http:// or https://"):
        create_client(Mock(side_effect=ValueError("Invalid endpoint: localhost:9000")))
