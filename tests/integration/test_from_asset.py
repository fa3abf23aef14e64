"""Prompts that another asset makes: rows become partitions within a tick, and the lineage begins there."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from code_location import QUIET, CodeLocation, running_location

from seedance_dagster import PromptsFromAsset
from seedance_dagster.defs.prompt_source import PromptSource

pytestmark = [pytest.mark.integration, QUIET]

EXAMPLE = Path(__file__).parents[2] / "examples" / "prompts_from_asset.py"


@pytest.fixture(scope="module")
def example() -> Any:
    """The example, as a module."""
    spec = importlib.util.spec_from_file_location("prompts_from_asset", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def location(s3_server, tmp_path_factory, example):
    """The assets of the example with an emulated vendor; nothing was materialized."""
    with running_location(tmp_path_factory.mktemp("asset"), s3_server, {"one": "one"}) as location:
        load(location, example.WRITTEN, example.written_prompts)
        yield location


def load(location: CodeLocation, table: PromptsFromAsset, upstream: dg.AssetsDefinition) -> None:
    location.reload(from_asset=[table])
    location.defs = dg.Definitions.merge(location.defs, dg.Definitions(assets=[upstream]))


def materialize(location: CodeLocation, key: str) -> None:
    """Let the asset write its prompts, and launch the runs that the sensor requests."""
    job = location.defs.resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=location.instance, asset_selection=[dg.AssetKey(key)]).success
    [request] = location.tick().run_requests
    assert request.job_name == "seedance_read_prompts"
    job = location.defs.resolve_job_def(request.job_name)
    done = job.execute_in_process(instance=location.instance, asset_selection=request.asset_selection)
    assert done.success
    tick = location.tick()
    assert isinstance(tick, dg.SkipReason), "what was read is not read again"


def check(location: CodeLocation) -> Any:
    key = dg.AssetCheckKey(dg.AssetKey(["written", "prompt_table"]), "prompts_valid")
    record = location.instance.get_latest_asset_check_evaluation_record(key)
    return record.event.dagster_event.event_specific_data


def test_the_example_loads(example):
    """The example's lineage runs from the asset that writes the prompts to the videos."""
    dg.Definitions.validate_loadable(example.defs)
    graph = example.defs.resolve_asset_graph()
    path = [dg.AssetKey("written_prompts")] + [
        dg.AssetKey(["written", name]) for name in ("prompt_table", "prompts", "tasks", "videos")
    ]
    for above, below in itertools.pairwise(path):
        assert above in graph.get(below).parent_keys


def test_rows_become_partitions_and_videos(location, example):
    """Before its first materialization the tick says what to do; then each row is a prompt with its tags."""
    assert "asset written_prompts made no prompts yet, or they were not read" in location.skipped()
    materialize(location, "written_prompts")
    assert location.partitions("written") == ["tea-pot", "desk-lamp", "wool-scarf"]
    assert check(location).passed
    assert location.run("tea-pot", name="written").success
    [order] = location.orders("tea-pot", "written")
    assert order.request["prompt"] == example.ask_model("tea pot")
    assert order.tags == {"product": "tea pot"}


def test_a_set_that_did_not_change_stays_the_same(location, example):
    """A set without changes stays the same object, so ticks do not fingerprint its partitions again."""
    source = PromptSource((), tables=[example.WRITTEN])
    [first], [second] = source.load(location.store).sets, source.load(location.store).sets
    assert second is first
    assert (first.source, len(first.partitions)) == ("asset written_prompts", 3)


def test_a_bad_row_is_left_out_and_a_removed_one_costs_nothing(location, example, monkeypatch):
    """The check names the row; videos stay, and the others go on."""
    posts = location.books()["posts"]
    rows = [
        {"id": "desk-lamp", "prompt": "A desk lamp", "duration": 99},
        {"id": "wool-scarf", "prompt": "A wool scarf"},
        {"id": "umbrella", "prompt": "An umbrella", "duration": float("nan")},
    ]

    @dg.asset(key="written_prompts")
    def written_prompts() -> list[dict[str, Any]]:
        return rows

    load(location, example.WRITTEN, written_prompts)
    materialize(location, "written_prompts")
    assert not check(location).passed
    assert str(check(location).description).startswith(
        "asset written_prompts, row 1 (desk-lamp): duration is 99"
    )
    assert location.partitions("written") == ["tea-pot", "desk-lamp", "wool-scarf", "umbrella"]
    assert location.newest("videos", "tea-pot", "written")
    done = location.run("desk-lamp", name="written")
    assert "row 1 (desk-lamp): duration is 99; allowed are" in done.message
    assert location.books()["posts"] == posts


@pytest.mark.further
def test_a_table_in_a_file_is_read_by_its_path(location, tmp_path):
    """The path is in the metadata of the materialization; a file without prompts changes nothing."""
    path = tmp_path / "shots.csv"

    @dg.asset
    def shots() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"path": dg.MetadataValue.path(str(path))})

    table = PromptsFromAsset(
        name="shots", asset="shots", path_metadata="path", columns={"prompt": "caption"}, tags=["scene"]
    )
    load(location, table, shots)
    path.write_text("id,caption,scene,note\nfox,A fox in snow,2,x\n")
    materialize(location, "shots")
    assert location.partitions("shots") == ["fox"]
    path.write_text("id,text\nowl,An owl\n")
    job = location.defs.resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey("shots"), dg.AssetKey(["shots", "prompt_table"])]
    done = job.execute_in_process(instance=location.instance, asset_selection=keys, raise_on_error=False)
    [failure] = [event for event in done.all_events if event.is_step_failure]
    assert "asset shots needs a column named caption" in str(failure.step_failure_data)
    location.tick()
    assert location.partitions("shots") == ["fox"]
