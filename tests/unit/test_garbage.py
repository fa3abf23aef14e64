"""Blocks in which no garbage is collected."""

from __future__ import annotations

import gc

import pytest

from seedance_dagster.garbage import without_garbage_collection


def test_garbage_is_collected_again_behind_the_block_that_stopped_it():
    """A block within another one changes nothing, and an error ends a block like any other end."""

    def fail() -> None:
        with without_garbage_collection():
            assert not gc.isenabled()
        assert not gc.isenabled()
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"), without_garbage_collection():
        fail()
    assert gc.isenabled()
