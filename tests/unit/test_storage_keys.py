"""Keys in the store: each tells its order, and nothing else does."""

from __future__ import annotations

import pytest

from seedance_dagster.storage.keys import object_keys, order_folder


@pytest.mark.parametrize("prefix", ["", "seedance", "a/b-a1/c"])
@pytest.mark.parametrize(("partition", "attempt"), [("cat", 1), ("cat-a2.t3", 12)])
def test_a_key_tells_its_order(prefix, partition, attempt):
    """Every key that is written can be read back, whatever its prefix looks like."""
    keys = object_keys(prefix, "spots", partition, "0123456789abcdef", attempt)
    for kind in ("video", "poster", "manifest"):
        found = order_folder(getattr(keys, kind))
        assert (found.prompt_set, found.partition, found.file) == ("spots", partition, kind)
        assert found.belongs_to("0123456789abcdef", attempt)
        assert not found.belongs_to("0123456789abcdef", attempt + 1)
        assert not found.belongs_to("1123456789abcdef", attempt)


@pytest.mark.parametrize(
    "key", ["", "video.mp4", "seedance/spots/index.jsonl", "spots/cat/abc/video.mp4", "a-a1/x"]
)
def test_other_keys_tell_no_order(key):
    """What does not look like an order's folder is none."""
    assert order_folder(key) is None
