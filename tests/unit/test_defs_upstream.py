"""Tags that point from an event to the upstream event it was made from."""

from __future__ import annotations

import dagster as dg
import pytest

from seedance_dagster.defs.naming import DATA_VERSION_TAG
from seedance_dagster.defs.steps.provenance import UpstreamEvents, input_tags

PROMPTS = dg.AssetKey(["spots", "prompts"])
VERSION, POINTER = "dagster/input_data_version/spots/prompts", "dagster/input_event_pointer/spots/prompts"


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def queries(monkeypatch) -> list[list[str]]:
    """The partitions of each query of Dagster's events."""
    asked = []
    fetch = dg.DagsterInstance.fetch_materializations

    def counted(self, records_filter, limit, **options):
        asked.append(list(records_filter.asset_partitions))
        return fetch(self, records_filter, limit, **options)

    monkeypatch.setattr(dg.DagsterInstance, "fetch_materializations", counted)
    return asked


def materialize(instance: dg.DagsterInstance, partition: str, version: str) -> str:
    """Report a prompt as Dagster's step does; return the event's id."""
    tags = {DATA_VERSION_TAG: version}
    instance.report_runless_asset_event(dg.AssetMaterialization(PROMPTS, partition=partition, tags=tags))
    wanted = dg.AssetRecordsFilter(asset_key=PROMPTS, asset_partitions=[partition])
    return str(instance.fetch_materializations(wanted, limit=1).records[0].storage_id)


@pytest.mark.further
def test_what_a_step_reported_is_looked_up_together(instance, queries):
    """One query finds the events of fifty partitions, each the newest of its version."""
    upstream, ids = UpstreamEvents(instance), {}
    for number in range(60):
        key = f"cat-{number}"
        materialize(instance, key, "old")
        upstream.add(PROMPTS, key)
        ids[key] = materialize(instance, key, "new")
    queries.clear()
    for key, event_id in ids.items():
        assert upstream.input_tags(PROMPTS, key, "new") == {VERSION: "new", POINTER: event_id}
    assert len(queries) == 2
    assert queries[0] == [f"cat-{number}" for number in range(50)]


def test_a_partition_that_the_step_did_not_report_is_looked_up_once(instance, queries):
    """One look-up serves a task and its video, which point to the same prompt."""
    upstream = UpstreamEvents(instance)
    event_id = materialize(instance, "cat", "1")
    queries.clear()
    for _ in range(2):
        assert upstream.input_tags(PROMPTS, "cat", "1")[POINTER] == event_id
    assert queries == [["cat"]]
    edited_id = materialize(instance, "cat", "2")
    assert upstream.input_tags(PROMPTS, "cat", "2")[POINTER] == edited_id
    assert upstream.input_tags(PROMPTS, "cat", "1")[POINTER] == event_id


def test_an_older_version_is_found_behind_many_newer_events(instance):
    """An order that is one behind points to the event that it was made from."""
    upstream = UpstreamEvents(instance)
    event_id = materialize(instance, "cat", "1")
    for number in range(60):
        upstream.add(PROMPTS, f"dog-{number}")
        materialize(instance, f"dog-{number}", "1")
        materialize(instance, f"dog-{number}", "2")
    assert upstream.input_tags(PROMPTS, "cat", "1")[POINTER] == event_id


def test_a_version_that_nothing_shows_points_before_the_events_that_were_searched(instance):
    """A version that no event shows points before all searched events, so that all of them count as newer."""
    upstream = UpstreamEvents(instance)
    assert upstream.input_tags(PROMPTS, "cat", "1")[POINTER] == "NULL"
    event_id = materialize(instance, "cat", "2")
    tags = upstream.input_tags(PROMPTS, "cat", "1")
    assert tags == input_tags(instance, PROMPTS, "cat", "1")
    assert tags[POINTER] == str(int(event_id) - 1)
