"""The preflight in Dagster's runs: invalid prompts are named at the end, everything else goes on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from code_location import QUIET, CodeLocation, running_location
from run_result import RunResult

from seedance_dagster import SeedanceResource
from seedance_dagster.defs.naming import PENDING_JOB
from seedance_dagster.engine.ordering import quote as module
from seedance_dagster.ledger.placement import Orders

pytestmark = [pytest.mark.integration, QUIET]

EXACT_USD, RESERVED_USD = 0.10 * (4 + 7.5 / 2), 0.10 * (4 + 7.5)


@pytest.fixture(scope="module")
def location(s3_server, tmp_path_factory) -> Iterator[CodeLocation]:
    """A code location whose API is on this machine, with the preflight switched on."""
    with running_location(tmp_path_factory.mktemp("looked"), s3_server, {"cat": "a cat"}) as location:
        location.resources["seedance"] = SeedanceResource(
            api_key=location.resources["seedance"].api_key,
            base_url=location.emulator.url,
            requests_per_second=1000,
            preflight=True,
        )
        for name in ("by_hand", "by_schedule", "unseen"):
            location.write(prompts(location, name), name=name)
        location.reload()
        location.skipped()
        yield location


def prompts(location: CodeLocation, name: str) -> dict[str, Any]:
    """Return a prompt with valid references between two whose audio is too long or missing."""
    root = f"{location.emulator.files_url}/references"

    def asking(audio: str) -> dict[str, Any]:
        video = f"{root}/clip.mp4?seconds=7.5"
        return {
            "prompt": f"dance to {audio[:4]} {name}",
            "mode": "omni_reference",
            "video_urls": [video],
            "audio_urls": [f"{root}/{audio}"],
        }

    return {
        "long": asking("long.wav?seconds=17.2"),
        "fine": asking("fine.wav?seconds=15"),
        "gone": asking("gone.mp3?seconds=900"),
    }


def pending(location: CodeLocation, name: str, usd: float) -> RunResult:
    """Run the schedule's job."""
    job = location.defs.resolve_job_def(PENDING_JOB)
    config = {"ops": {"order": {"config": {"max_cost_usd": usd, "prompt_sets": [name]}}}}
    return RunResult(
        job.execute_in_process(instance=location.instance, run_config=config, raise_on_error=False),
        location.instance,
    )


@pytest.mark.further
def test_a_run_names_invalid_prompts_and_stores_the_rest(location):
    """Invalid prompts are missing with their reason; the other is stored, with its exact cost."""
    done = location.run("long", "gone", name="by_hand")
    advice = "correct the prompt's references, and materialize it again"
    too_long = "audio_urls number 1 lasts 17.2 s; at most 15.0 s (the vendor drops longer audio silently)"
    assert done.missing == {
        "long": f"{too_long}; {advice}",
        "gone": f"audio_urls number 1 cannot be read: its host answers HTTP 400; {advice}",
    }
    assert "2 of 3 prompts have no video; the others are not affected" in done.message
    others = [("gone", "observation"), ("long", "observation")]
    assert sorted(done.events_of("videos")) == [("fine", "materialization"), *others]
    for asset in ("prompts", "tasks", "videos"):
        usd = location.newest(asset, "fine", "by_hand").metadata["seedance/estimated_cost_usd"].value
        assert usd == pytest.approx(EXACT_USD)
    [order] = location.orders("fine", "by_hand")
    assert order.points_charged == order.estimated_points == 7_750_000
    manifest = json.loads(location.store.get_bytes(order.manifest_key))
    assert [
        (reference["kind"], reference["facts"]["duration_s"]) for reference in manifest["references"]
    ] == [
        ("video", 7.5),
        ("audio", 15.0),
    ]
    assert location.books()["tasks"] == 1


def test_the_schedule_orders_valid_prompts_within_its_budget(location):
    """An invalid prompt uses no budget of those after it, and is logged with its reason."""
    done = pending(location, "by_schedule", RESERVED_USD * 1.001)
    assert done.success
    assert "left out: by_schedule/long: audio_urls number 1 lasts 17.2 s" in done.log
    assert [partition for partition, _ in done.events_of("tasks")] == ["fine"]


@pytest.mark.long
def test_a_run_prices_each_prompt_and_looks_it_up_once(location, monkeypatch):
    """Only a prompt whose references a run has just probed is priced again before the orders are placed."""
    video = f"{location.emulator.files_url}/references/counted.mp4?seconds=5"
    probed = {"prompt": "a probed dance", "mode": "omni_reference", "video_urls": [video]}
    location.write({"plain": "a plain cat", "probed": probed}, name="counted")
    location.reload()
    location.tick()
    priced, looked_up = Counter(), []
    costs, existing_orders = module._costs, Orders.existing_orders

    def count_prices(services, partitions, known):
        partitions = list(partitions)
        priced.update(partition.key for partition in partitions)
        return costs(services, partitions, known)

    def count_lookups(self, wanted, request):
        looked_up.append([order.partition for order in wanted])
        return existing_orders(self, wanted, request)

    monkeypatch.setattr(module, "_costs", count_prices)
    monkeypatch.setattr(Orders, "existing_orders", count_lookups)
    assert location.run("plain", "probed", assets=("prompts", "tasks"), name="counted").success
    assert priced == {"plain": 1, "probed": 2}
    assert looked_up == [["plain", "probed"]]
    assert location.run("plain", "probed", assets=("prompts", "tasks"), name="counted").success
    assert priced == {"plain": 2, "probed": 3}
    assert looked_up == [["plain", "probed"]] * 2


def test_an_api_on_this_machine_needs_no_preflight(location):
    """By default the prompts of a local API, which fetches no reference, are ordered without a probe."""
    local = SeedanceResource(api_key=location.resources["seedance"].api_key, base_url=location.emulator.url)
    calls = location.emulator.emulator.traffic.calls
    before = calls["files"]
    with location.using(seedance=local):
        assert location.run("long", "gone", assets=("prompts", "tasks"), name="unseen").success
    assert calls["files"] == before
