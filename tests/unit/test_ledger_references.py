"""What the ledger remembers of reference files."""

from __future__ import annotations

import pytest

from seedance_dagster.ledger.references import CachedProbe

pytestmark = pytest.mark.each_database


def test_the_last_look_is_remembered(ledger, clock):
    """Facts, validator and time come back as they were written; a later look replaces an earlier one."""
    first = CachedProbe({"media_type": "image/png"}, '"1"', clock())
    ledger.references.cache_probes({"a": first, "b": first})
    clock.forward(hours=1)
    second = CachedProbe({"media_type": "image/jpeg", "duration_s": None}, None, clock())
    ledger.references.cache_probes({"b": second})
    assert ledger.references.cached_probes({"a", "b", "c"}) == {"a": first, "b": second}


def test_many_files_are_asked_for_at_once(ledger, clock):
    """More files than a statement has parameters are no trouble."""
    file = CachedProbe({}, None, clock())
    ledger.references.cache_probes({f"h{number}": file for number in range(1200)})
    assert len(ledger.references.cached_probes({f"h{number}" for number in range(1300)})) == 1200
