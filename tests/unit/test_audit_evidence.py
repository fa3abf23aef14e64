"""Evidence: two systems that agree, and no other two that agree on something else."""

from __future__ import annotations

import pytest

from seedance_dagster.audit.evidence import Evidence, NotRepairableError, OrderFacts, Source

NAMES = {
    "l": Source.LEDGER,
    "v": Source.VENDOR,
    "d": Source.DAGSTER,
    "m": Source.MANIFEST,
    "o": Source.OBJECTS,
}


def facts(**values: str) -> OrderFacts:
    """Return what each source says, such as `l=1` for the ledger."""
    return OrderFacts({NAMES[name]: {"sha256": value} for name, value in values.items()})


@pytest.mark.parametrize(
    ("values", "agreeing"),
    [
        ({"l": "a"}, None),
        ({"l": "a", "d": "b"}, None),
        ({"m": "a", "o": "a"}, None),
        ({"l": "a", "d": "a"}, "ld"),
        ({"l": "a", "m": "a", "o": "b"}, "lm"),
        ({"l": "a", "m": "b", "d": "b"}, "dm"),
        ({"l": "a", "m": "b", "d": "b", "v": "a"}, None),
        ({"l": "a", "m": "a", "d": "b", "o": "b"}, None),
        ({"l": "a", "m": "a", "d": "a", "v": "b"}, "ldm"),
    ],
)
def test_two_systems_that_agree_are_evidence(values, agreeing):
    """S3 counts once, and two against two decide nothing."""
    agreement = facts(**values).agreed("sha256")
    sources = None if agreement is None else set(agreement.sources)
    assert sources == (None if agreeing is None else {NAMES[name] for name in agreeing})


def test_the_ledger_needs_a_second_system_for_each_fact():
    """The answer names who confirms what; a fact that nobody confirms, or that others dispute, is named."""
    both = {"task_id": "t", "sha256": "a"}
    values = {Source.LEDGER: both, Source.DAGSTER: {"sha256": "a"}, Source.VENDOR: {"task_id": "t"}}
    assert OrderFacts(values).vouch_for_ledger() == (
        "ledger and Dagster agree on sha256; ledger and vendor agree on task_id"
    )
    for more in ({Source.VENDOR: {}}, {Source.MANIFEST: {"tags": {"a": "b"}}}):
        ledger = {**both, "tags": {}}
        with pytest.raises(
            NotRepairableError, match=r"no second system confirms the ledger on (task_id|tags)"
        ):
            OrderFacts(values | {Source.LEDGER: ledger} | more).vouch_for_ledger()


def test_evidence_is_one_line():
    """A line names the fact and what each source says, without those that are silent."""
    evidence = facts(l="a", m="b").evidence(["sha256"])
    assert [str(line) for line in evidence] == ["sha256: ledger a, S3 manifest b"]
    assert evidence == (Evidence(fact="sha256", ledger="a", manifest="b"),)
