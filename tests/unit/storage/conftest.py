"""A store whose client is stubbed."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from botocore.stub import Stubber
from s3_stub import BODY, SECRET

from seedance_dagster.storage.s3 import VideoStore


@pytest.fixture(scope="module")
def client():
    return boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url="http://user:canary-of-the-endpoint@s3.invalid",
        aws_access_key_id="canary-of-the-key-id",
        aws_secret_access_key=SECRET,
    )


@pytest.fixture
def s3(client) -> Iterator[Stubber]:
    """Return a stubbed client whose responses must all be used."""
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def store(client) -> VideoStore:
    client.meta.config.request_checksum_calculation = "when_supported"  # as at first
    return VideoStore(client, "videos")


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(BODY)
    return path
