"""Keys of objects: each identifies its order, and no other key does."""

from __future__ import annotations

import pytest

from seedance_dagster.storage.keys import object_keys, order_folder


@pytest.mark.parametrize("prefix", ["", "seedance", "a/b-a1/c"])
@pytest.mark.parametrize(("partition", "attempt"), [("cat", 1), ("cat-a2.t3", 12)])
def test_a_key_identifies_its_order(prefix, partition, attempt):
    """Every key that is written can be parsed, whatever its prefix."""
    keys = object_keys(prefix, "spots", partition, "0123456789abcdef", attempt)
    for kind in ("video", "poster", "manifest"):
        folder = order_folder(getattr(keys, kind))
        assert (folder.prompt_set, folder.partition, folder.file) == ("spots", partition, kind)
        assert folder.belongs_to("0123456789abcdef", attempt)
        assert not folder.belongs_to("0123456789abcdef", attempt + 1)
        assert not folder.belongs_to("1123456789abcdef", attempt)


@pytest.mark.parametrize(
    "key", ["", "video.mp4", "seedance/spots/index/_manifest.json", "spots/cat/abc/video.mp4", "a-a1/x"]
)
def test_other_keys_identify_no_order(key):
    """A key that is not in an order's folder gives None."""
    assert order_folder(key) is None
