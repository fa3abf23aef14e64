"""Conditional writes, on stores that know them and on others."""

from __future__ import annotations

import pytest
from s3_stub import put

from seedance_dagster.storage.s3 import StoreError


def test_a_write_that_is_refused_without_a_condition_as_well_is_reported(store, s3, video):
    """A missing permission stays one."""
    s3.add_client_error("head_object", "404")
    for _ in range(4):  # with and without condition and checksums
        s3.add_client_error("put_object", service_error_code="AccessDenied", http_status_code=403)
    with pytest.raises(StoreError, match="they need s3:PutObject"):
        put(store, video)


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (400, "RequestTimeout"), (400, "BadDigest")])
def test_a_store_in_trouble_is_not_written_without_a_condition(store, s3, video, status, code):
    """Trouble of the moment says nothing about conditions."""
    s3.add_client_error("head_object", "404")
    s3.add_client_error("put_object", service_error_code=code, http_status_code=status)
    with pytest.raises(StoreError, match=code):
        put(store, video)
