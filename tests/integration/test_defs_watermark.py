"""Runs of prompts whose watermark is removed: what Dagster shows of both tasks, and of a failed removal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from audit_support import audit
from click.testing import CliRunner
from code_location import QUIET, running_location

from seedance_dagster.cli.root import root
from seedance_dagster.emulator import vendor, watermarks
from seedance_dagster.ledger.order import State

pytestmark = [pytest.mark.integration, pytest.mark.further, QUIET]
PREVIEW = {"task_type": "seedance-2-preview", "duration": 5, "remove_watermark": True}


@pytest.fixture(scope="module")
def location(s3_server, tmp_path_factory):
    """A code location whose team knows the price of a removal."""
    folder = tmp_path_factory.mktemp("watermark")
    prices = folder / "prices.yaml"
    prices.write_text("prices: [{type: remove-watermark, usd_per_second: 0.01}]\n")
    with running_location(folder, s3_server, {"cat": "a cat"}, on_disk=True) as location:
        location.resources["seedance"] = location.resources["seedance"].model_copy(
            update={"prices": str(prices)}
        )
        location.write({"cat": PREVIEW | {"prompt": "a cat"}, "dog": PREVIEW | {"prompt": "a dog"}})
        location.reload()
        location.tick()
        yield location


@pytest.fixture(scope="module")
def clean_run(location):
    """A run whose video was cleaned."""
    run = location.run("cat")
    assert run.success, run.failure
    return run


def test_the_event_of_a_clean_video_names_both_tasks_and_their_sum(location, clean_run):
    """The video with the watermark is an observation; nothing is left to report."""
    source, removal = location.orders("cat")
    metadata = {name: value.value for name, value in location.newest("videos", "cat").metadata.items()}
    assert metadata["seedance/task_id"] == removal.task_id
    assert metadata["seedance/source_task_id"] == source.task_id
    assert metadata["seedance/source_task_type"] == "seedance-2-preview"
    assert metadata["seedance/cost_usd"] == pytest.approx(0.80)
    assert metadata["seedance/estimated_cost_usd"] == pytest.approx(0.80)
    assert "seedance/watermark" not in metadata
    assert set(clean_run.events_of("videos")) == {("cat", "observation"), ("cat", "materialization")}
    asked = {name: value.value for name, value in location.newest("prompts", "cat").metadata.items()}
    assert asked["seedance/estimated_cost_usd"] == pytest.approx(0.80)
    assert asked["request"]["remove_watermark"] is True


@pytest.mark.long
def test_a_removal_that_fails_leaves_the_video_and_says_so(location, monkeypatch):
    """The run names the prompt, and the partition shows the video with its watermark and why."""

    def rejected(link, *args, **options):
        request = watermarks.removal(link, *args, **options)
        return replace(request, prompt=f"{link} [fault:moderation]")

    monkeypatch.setattr(vendor, "removal", rejected)
    run = location.run("dog")
    assert run.missing["dog"].startswith("rejected by moderation")
    source, removal = location.orders("dog")
    assert (source.state, removal.state) == (State.STORED, State.REJECTED)
    metadata = {name: value.value for name, value in location.newest("videos", "dog").metadata.items()}
    assert metadata["seedance/task_id"] == source.task_id
    assert metadata["seedance/cost_usd"] == pytest.approx(0.75)
    assert metadata["seedance/watermark"].startswith(f"not removed: order {removal.order_id} ended")
    monkeypatch.undo()
    again = location.run("dog", config={"resubmit_rejected": True})
    assert again.success, again.failure
    shown = location.newest("videos", "dog").metadata
    assert shown["seedance/source_task_id"].value == source.task_id
    assert len(location.orders("dog")) == 3


def test_all_four_sources_agree_on_the_pairs(location, clean_run, s3_server, monkeypatch):
    """A deep audit reads every task, object and event of both orders, and finds nothing."""
    document, done = audit(location, s3_server, monkeypatch, "--deep")
    assert document["findings"] == []
    assert done.exit_code == 0


def test_trace_and_spend_show_both_orders(location, clean_run, s3_server, monkeypatch):
    """The trace says whose video was cleaned, and the spend by model has the removals apart."""
    audit(location, s3_server, monkeypatch)  # sets the environment of commands
    source, _ = location.orders("cat")
    traced = CliRunner().invoke(root, ["trace", "spots/cat"])
    assert f"Takes the watermark off the video of order {source.order_id}" in traced.output
    spent = CliRunner().invoke(root, ["spend", "--by", "model", "--json"])
    assert "remove-watermark" in spent.stdout
    assert "seedance-2-preview" in spent.stdout


@pytest.mark.long
def test_a_lost_video_is_fetched_again_by_its_own_task(location, clean_run, s3_server, monkeypatch):
    """A repair asks the task that took the watermark off, and the manifest stays the same."""
    removal = location.orders("cat")[-1]
    manifest = location.store.get_bytes(removal.manifest_key)
    location.store.client.delete_object(Bucket=location.store.bucket, Key=removal.video_key)
    audit(location, s3_server, monkeypatch, "--deep", "--repair")
    assert location.advance().success
    document, _ = audit(location, s3_server, monkeypatch, "--deep")
    assert document["findings"] == []
    assert location.store.get_bytes(removal.manifest_key) == manifest
