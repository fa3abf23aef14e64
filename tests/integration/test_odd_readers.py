"""Readers of stores whose answers are cut off or cannot be read: references, prompt files and the gallery."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from odd_s3 import Manners, running_odd_s3

from seedance_dagster.ledger.order import State
from seedance_dagster.prompts.files import FileReference
from seedance_dagster.prompts.problems import UnreadableError
from seedance_dagster.prompts.s3 import s3_files
from seedance_dagster.review.gallery.media import media_answer
from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.reference_objects import read_object

pytestmark = pytest.mark.integration

HANG_UP = {"Connection": "close"}
CAT = SimpleNamespace(state=State.STORED, video_key="p/spots/cat/video.mp4")


@pytest.fixture
def odd():
    with running_odd_s3() as server:
        yield server


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Content-Length": "50"} | HANG_UP, "cannot be read: S3 ended the connection early"),
        ({"Last-Modified": "yesterday"}, 'cannot be read: Invalid timestamp "yesterday"'),
    ],
)
def test_a_part_of_a_reference_is_not_taken_for_the_reference(odd, headers, words):
    """Half a picture has another hash: a video of it would be ordered, and paid for again later."""
    odd.manners = Manners(answer=(200, headers, b"half a picture"))
    with pytest.raises(StoreError, match=words):
        read_object(odd.store().client, FileReference("s3://assets/cat.png"), etag=None, max_bytes=100)


@pytest.mark.parametrize(
    "listing",
    [
        "<Contents><Key>p/a.yaml</Key></Contents>",
        "<IsTruncated>true</IsTruncated><Contents><Key>p/a.yaml</Key><Size>1</Size></Contents>",
    ],
)
def test_a_part_of_the_prompt_files_is_not_taken_for_all(odd, listing):
    """A listing that is incomplete is an error: the sets of the other files would be gone."""
    odd.manners = Manners(answer=(200, {}, f"<ListBucketResult>{listing}</ListBucketResult>".encode()))
    with pytest.raises(UnreadableError, match=r"listing .* is incomplete"):
        s3_files(("videos", "p"), odd.store().client)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ((200, {"Content-Length": ""} | HANG_UP, b"film"), 200),
        ((200, {"Last-Modified": "yesterday"}, b"film"), 502),
        ((301, {"Location": "https://login.example.com/"}, b""), 502),
    ],
)
def test_the_gallery_streams_from_any_store(odd, answer, status):
    """A reply without a length is streamed; one that cannot be read is an error in words."""
    odd.manners = Manners(answer=answer)
    reply = media_answer(odd.store(), CAT, "video", stream=True)
    assert reply.status_code == status
    assert "content-length" not in reply.headers or status != 200
