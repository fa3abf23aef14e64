"""Buckets and prefixes as people write them."""

from __future__ import annotations

from unittest.mock import sentinel

import pytest

from seedance_dagster.storage.s3 import StoreError, VideoStore

CLIENT = sentinel.client  # nothing is sent


@pytest.mark.parametrize(
    ("bucket", "name"),
    [("videos", "videos"), ("s3://videos/", "videos"), (" s3://videos ", "videos"), ("", "")],
)
def test_a_bucket_may_be_written_as_an_address(bucket, name):
    """An address that people paste is understood (s7)."""
    assert VideoStore(CLIENT, bucket).bucket == name


def test_a_bucket_with_a_path_is_refused_with_the_way_out():
    """The path is a prefix (s7)."""
    with pytest.raises(StoreError, match=r"set SEEDANCE_S3_BUCKET=videos and SEEDANCE_S3_PREFIX=sub/a$"):
        VideoStore(CLIENT, "s3://videos/sub/a/")


@pytest.mark.parametrize("prefix", ["a/b", "a/b/", "/a/b", "//a/b//"])
def test_slashes_around_a_prefix_do_not_count(prefix):
    """All of them mean the same place (s3)."""
    assert VideoStore(CLIENT, "videos", prefix).prefix == "a/b"
