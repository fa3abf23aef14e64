"""Probes of reference files that the ledger remembers."""

from __future__ import annotations

import pytest

from seedance_dagster.ledger.references import CachedProbe

pytestmark = pytest.mark.each_database


def test_the_last_probe_is_remembered(ledger, clock):
    """Facts, validator and time come back as they were written; a later probe replaces an earlier one."""
    first = CachedProbe({"media_type": "image/png"}, '"1"', clock())
    ledger.references.cache_probes({"a": first, "b": first})
    clock.forward(hours=1)
    second = CachedProbe({"media_type": "image/jpeg", "duration_s": None}, None, clock())
    ledger.references.cache_probes({"b": second})
    assert ledger.references.cached_probes({"a", "b", "c"}) == {"a": first, "b": second}


def test_many_probes_are_recalled_at_once(ledger, clock):
    """More files than one statement takes parameters are recalled too."""
    file = CachedProbe({}, None, clock())
    ledger.references.cache_probes({f"h{number}": file for number in range(1200)})
    assert len(ledger.references.cached_probes({f"h{number}" for number in range(1300)})) == 1200
