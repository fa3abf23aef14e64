"""Demands of a bucket: the variables and the fields that go into every request."""

from __future__ import annotations

import pytest

from seedance_dagster import VideoStoreResource
from seedance_dagster.settings import SettingError, Settings
from seedance_dagster.storage.requests import RequestOptions


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ADDRESSING", "dns", "SEEDANCE_S3_ADDRESSING: is 'dns'; allowed are auto, path, virtual"),
        ("ENCRYPTION", "kms", "SEEDANCE_S3_ENCRYPTION: is 'kms'; allowed are AES256, aws:kms, aws:kms:dsse"),
        ("KMS_KEY", "k", "SEEDANCE_S3_KMS_KEY: is set, which needs SEEDANCE_S3_ENCRYPTION=aws:kms"),
        ("STORAGE_CLASS", "DEEP_ARCHIVE", "cannot be read at once"),
        ("STORAGE_CLASS", "glacier", "cannot be read at once"),
        ("TAGS", "team", "SEEDANCE_S3_TAGS: is 'team'; allowed are tags such as team=ads&project=spring"),
    ],
)
def test_what_no_store_takes_is_refused(name, value, words):
    """The message names the variable and what is allowed (s6)."""
    with pytest.raises(SettingError) as caught:
        Settings.from_environ({f"SEEDANCE_S3_{name}": value})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "template", ["cdn.example.com/{key}", "https://cdn.example.com/", "https://x/{key}/{bucket}"]
)
def test_a_link_that_no_browser_opens_is_refused(template):
    """A link must be an http address with a place for the key."""
    with pytest.raises(
        SettingError, match=r"SEEDANCE_VIDEO_URL: is .*; allowed are http and https links with"
    ):
        Settings.from_environ({"SEEDANCE_VIDEO_URL": template})


def test_what_a_bucket_demands_reaches_every_request():
    """The variables and the fields of the resource become options of every request (s6)."""
    environ = {"SEEDANCE_S3_ENCRYPTION": "aws:kms", "SEEDANCE_S3_KMS_KEY": "k", "SEEDANCE_S3_TAGS": "a=b&c=d"}
    options = Settings.from_environ(environ | {"SEEDANCE_S3_REQUESTER_PAYS": "yes"}).request_options()
    assert options == RequestOptions(encryption="aws:kms", kms_key="k", tags="a=b&c=d", requester_pays=True)
    resource = VideoStoreResource(bucket="b", s3_storage_class="STANDARD_IA", s3_acl="private")
    assert resource.request_options() == RequestOptions(storage_class="STANDARD_IA", acl="private")
