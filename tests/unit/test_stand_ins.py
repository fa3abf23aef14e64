"""Stand-ins of tests have the interfaces of the real parts."""

from __future__ import annotations

import inspect

import pytest
from audit_world import FakeVendor
from stores import MemoryStore

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.storage.s3 import VideoStore


@pytest.mark.parametrize(("stand_in", "real"), [(MemoryStore, VideoStore), (FakeVendor, SeedanceClient)])
def test_a_stand_in_has_the_signatures_of_the_real_part(stand_in, real):
    """Each of its public methods is one of the real part, with the same parameters."""
    methods = {name for name in vars(stand_in) if not name.startswith("_") and callable(vars(stand_in)[name])}
    assert methods
    for name in methods:
        own, theirs = (inspect.signature(getattr(part, name)) for part in (stand_in, real))
        assert own == theirs, name
