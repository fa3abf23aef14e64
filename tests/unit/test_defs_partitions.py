"""Partitions in sync with prompt sets, reported edits, and the tags behind Dagster's Unsynced badge."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest
from factories import NOW

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.defs.steps.metadata import prompt_materialization
from seedance_dagster.defs.steps.partitions import sync_all
from seedance_dagster.defs.steps.provenance import input_tags, newest_version
from seedance_dagster.prompts.models import Prompt, PromptSet

CATALOG = Catalog.load()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def spots(**texts: str) -> PromptSet:
    return PromptSet(
        name="spots",
        prompts=tuple(
            Prompt(
                id=key,
                request=GenerationRequest(
                    task_type="seedance-2-fast", prompt=text, mode=Mode.TEXT_TO_VIDEO, duration=4
                ),
            )
            for key, text in texts.items()
        ),
    )


def report(instance: dg.DagsterInstance, prompt_set: PromptSet, key: str) -> int:
    """Materialize a prompt, and return the storage id of the event."""
    asked = prompt_set.partitions[key]
    event = prompt_materialization("spots", key, asked.request, asked.fingerprint, 100)
    instance.report_runless_asset_event(event)
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(["spots", "prompts"]), asset_partitions=[key])
    return instance.fetch_materializations(wanted, limit=1).records[0].storage_id


def test_a_partition_that_was_added_in_dagster_is_removed_with_a_sentence(instance, ledger):
    """A partition added in Dagster is removed, and the tick says where prompts are added (d13)."""
    sync_all(instance, ledger, [spots(a="x")], CATALOG, now=NOW)
    instance.add_dynamic_partitions("spots_prompts", ["ghost"])
    report = sync_all(instance, ledger, [spots(a="x")], CATALOG, now=NOW)
    [sentence] = report.unknown_sentences
    assert sentence == (
        "spots: removed partitions without a prompt: ghost. Add the prompt to the set's file instead; its "
        "partition follows"
    )
    assert instance.get_dynamic_partitions("spots_prompts") == ["a"]
    assert list(sync_all(instance, ledger, [spots(a="x")], CATALOG, now=NOW).unknown_sentences) == []


def test_partitions_are_added_and_removed_except_those_that_were_ordered(orders, instance, ledger, clock):
    """New prompts become partitions; one that is gone for a day loses its own unless it was ordered."""
    report = sync_all(instance, ledger, [spots(a="x", b="x", c="x")], CATALOG, now=NOW)
    assert (report.added, report.removed, report.edited) == ({"spots": 3}, {"spots": 0}, {"spots": 0})
    orders.place("b")
    report = sync_all(instance, ledger, [spots(d="x", a="x")], CATALOG, now=NOW)
    assert (report.added, report.removed) == ({"spots": 1}, {"spots": 0})
    assert instance.get_dynamic_partitions("spots_prompts") == ["a", "b", "c", "d"]
    clock.forward(days=1)
    assert sync_all(instance, ledger, [spots(d="x", a="x")], CATALOG, now=NOW).removed == {"spots": 1}
    assert instance.get_dynamic_partitions("spots_prompts") == ["a", "b", "d"]
    report = sync_all(instance, ledger, [spots(d="x", a="x")], CATALOG, now=NOW)
    assert (report.added, report.removed) == ({"spots": 0}, {"spots": 0})


def test_a_set_that_did_not_change_is_not_compared_again(instance, ledger, monkeypatch):
    """A set without changes is not compared again; one that changed back is."""
    sync_all(instance, ledger, [spots(a="x")], CATALOG, now=NOW)
    updated, update = [], ledger.partitions.update
    monkeypatch.setattr(
        ledger.partitions,
        "update",
        lambda name, *args, **rest: (updated.append(name), update(name, *args, **rest)),
    )
    other = PromptSet(name="other", prompts=spots(a="x").prompts)
    sync_all(instance, ledger, [spots(a="x"), other], CATALOG, now=NOW)
    assert updated == ["other"]
    sync_all(instance, ledger, [spots(b="x"), other], CATALOG, now=NOW)
    sync_all(instance, ledger, [spots(a="x"), other], CATALOG, now=NOW)
    assert updated == ["other", "spots", "spots"]
    assert ledger.partitions.requests("spots").keys() == {"a"}
    ledger.partitions.update("spots", {})  # by whoever knows no digest
    sync_all(instance, ledger, [spots(a="x")], CATALOG, now=NOW)
    assert ledger.partitions.requests("spots").keys() == {"a"}


def test_sets_do_not_touch_each_other(instance, ledger):
    """A set whose file is broken, and which is therefore left out, keeps its partitions."""
    other = PromptSet(name="other", prompts=spots(a="x").prompts)
    sync_all(instance, ledger, [spots(a="x"), other], CATALOG, now=NOW)
    sync_all(instance, ledger, [spots(b="x")], CATALOG, now=NOW)
    assert instance.get_dynamic_partitions("other_prompts") == ["a"]


@pytest.mark.long
def test_many_partitions_are_added_in_chunks(instance, ledger):
    """More partitions than Dagster takes in one call are all added, in the order of the file."""
    keys = [f"p{number}" for number in range(5001)]
    sync_all(instance, ledger, [spots(**dict.fromkeys(keys, "x"))], CATALOG, now=NOW)
    assert instance.get_dynamic_partitions("spots_prompts") == keys


def test_an_edit_is_reported_once_and_only_where_dagster_knew_the_prompt(instance, ledger):
    """Prompts that were reported are reported again when they change; others are not."""
    before = spots(a="x", b="x", c="x")
    ledger.partitions.update("spots", before.partitions)
    ledger.reports.mark_prompts("spots", {key: before.partitions[key].fingerprint for key in "ab"})
    after = spots(a="x", b="y", c="y")
    assert sync_all(instance, ledger, [after], CATALOG, now=NOW).edited == {"spots": 1}
    asset = dg.AssetKey(["spots", "prompts"])
    assert newest_version(instance, asset, "b") == after.partitions["b"].fingerprint
    assert newest_version(instance, asset, "c") is None
    assert sync_all(instance, ledger, [after], CATALOG, now=NOW).edited == {"spots": 0}


def test_removals_and_edits_may_be_limited(instance, ledger, clock):
    """A limit over all sets leaves the rest for later calls, so that a tick of the sensor stays short."""
    before, after = spots(a="x", b="x", c="x", d="x", e="x"), spots(a="y", b="y", c="y")
    other = PromptSet(name="other", prompts=before.prompts)
    sync_all(instance, ledger, [before, other], CATALOG, now=NOW)
    for name in ("spots", "other"):
        ledger.reports.mark_prompts(
            name, {key: partition.fingerprint for key, partition in before.partitions.items()}
        )
        ledger.partitions.update(name, after.partitions)
    clock.forward(days=1)
    other = PromptSet(name="other", prompts=after.prompts)
    reports = [sync_all(instance, ledger, [after, other], CATALOG, now=NOW, limit=4) for _ in range(4)]
    assert [(report.removed, report.edited) for report in reports] == [
        ({"spots": 2, "other": 0}, {"spots": 2, "other": 0}),
        ({"spots": 0, "other": 2}, {"spots": 1, "other": 1}),
        ({"spots": 0, "other": 0}, {"spots": 0, "other": 2}),
        ({"spots": 0, "other": 0}, {"spots": 0, "other": 0}),
    ]


ASSET = dg.AssetKey(["spots", "prompts"])
POINTER = "dagster/input_event_pointer/spots/prompts"
VERSION = "dagster/input_data_version/spots/prompts"


def test_an_input_that_was_never_reported_points_nowhere(instance):
    """Without an upstream event the pointer is NULL, as Dagster expects."""
    assert input_tags(instance, ASSET, "a", "v") == {POINTER: "NULL", VERSION: "v"}


def test_an_input_points_to_the_newest_event_of_its_version(instance):
    """Of two reports the later one counts, so that what is made from it is in sync."""
    prompt_set = spots(a="x")
    report(instance, prompt_set, "a")
    again = report(instance, prompt_set, "a")
    version = prompt_set.partitions["a"].fingerprint
    assert input_tags(instance, ASSET, "a", version) == {POINTER: str(again), VERSION: version}


def test_what_was_made_from_an_older_version_points_to_it(instance):
    """After an edit, a late result of the old request points before the edit and shows as Unsynced."""
    old, new = spots(a="x"), spots(a="y")
    first = report(instance, old, "a")
    report(instance, new, "a")
    version = old.partitions["a"].fingerprint
    assert input_tags(instance, ASSET, "a", version)[POINTER] == str(first)


def test_a_version_that_was_never_reported_points_before_all_events(instance):
    """Every event of the upstream partition counts as newer."""
    only = report(instance, spots(a="y"), "a")
    assert int(input_tags(instance, ASSET, "a", "another")[POINTER]) < only


def test_each_partition_points_to_its_own_upstream_partition(instance):
    """Two partitions with the same fingerprint do not share a pointer."""
    prompt_set = spots(a="x", b="x")
    first = report(instance, prompt_set, "a")
    report(instance, prompt_set, "b")
    version = prompt_set.partitions["a"].fingerprint
    assert input_tags(instance, ASSET, "a", version)[POINTER] == str(first)
