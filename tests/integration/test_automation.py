"""Automation conditions: what they ask for stays inside the limits; what was postponed comes later."""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from code_location import KEY_VARIABLE, QUIET, running_location

from seedance_dagster import SeedanceResource
from seedance_dagster.defs.naming import AUTOMATION_TAG, PENDING_JOB
from seedance_dagster.ledger.base import utc_now
from seedance_dagster.ledger.ledger import Ledger

pytestmark = [
    pytest.mark.integration,
    QUIET,
    # Dagster's own, about its own parameters.
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning", "ignore::dagster.PreviewWarning"),
]

PAGE = (Path(__file__).parents[2] / "docs" / "automation.md").read_text("utf-8")
A_VIDEO = 0.4  # USD, four seconds
PROMPTS = {"ant": "an ant", "bee": "a bee", "fly": "a fly"}
AUTOMATED = {AUTOMATION_TAG: "true"}


@pytest.fixture
def location(s3_server, tmp_path):
    """A code location of three prompts."""
    with running_location(tmp_path, s3_server, PROMPTS) as location:
        yield location


def limited(location, **limits: float) -> SeedanceResource:
    """Return the API's resource with budgets."""
    return SeedanceResource(
        api_key=dg.EnvVar(KEY_VARIABLE), base_url=location.emulator.url, requests_per_second=1000, **limits
    )


def automated(location, first="ant", last="fly", **options: Any):
    """Run what an automation condition asks for."""
    return location.run(first, last, assets=("prompts", "tasks"), tags=AUTOMATED, **options)


def ordered(location) -> list[str]:
    with location.ledger() as ledger:
        return [order.partition for order in ledger.queries.find()]


def postponed(location) -> set[str]:
    with location.ledger() as ledger:
        return ledger.partitions.postponed("spots")


@contextmanager
def yesterday(location):
    """Open the ledger as it would be used a day ago."""
    ledger = Ledger.open(location.resources["ledger"].url, clock=lambda: utc_now() - timedelta(days=1))
    yield ledger
    ledger.close()


def test_an_automation_condition_spends_nothing_without_a_limit(location):
    """Automation obeys the rule of `seedance_order_pending`, and the message says what to set (d6)."""
    done = automated(location)
    assert done.message.startswith(
        "nothing was ordered: spots: nothing limits what it may spend: set SEEDANCE_PENDING_USD_PER_RUN"
    )
    assert ordered(location) == []
    assert done.events_of("prompts") == [(key, "materialization") for key in PROMPTS]
    # A person who launches the same run is asked for no limit, and what exists then costs nothing.
    assert location.run("ant", assets=("tasks",)).success
    assert automated(location, "ant", "ant").success


@pytest.mark.further
def test_the_limit_of_a_run_holds_for_automation(location):
    """Prompts that fit are ordered; the others are named and never ordered without another request."""
    location.reload(pending_usd_per_run=1.5 * A_VIDEO)
    done = automated(location, config={"max_cost_usd": 100})
    assert ordered(location) == ["ant"]
    assert list(done.missing) == ["bee", "fly"]
    assert done.missing["bee"].startswith("not ordered: it does not fit the 0.60 USD that this run may still")
    assert postponed(location) == set()
    # The config of a run may tighten the limit.
    assert list(automated(location, "bee", "fly", config={"max_cost_usd": 0.1}).missing) == ["bee", "fly"]
    assert ordered(location) == ["ant"]


@pytest.mark.long
def test_what_a_budget_postponed_is_ordered_when_there_is_room(location):
    """The sensor has the postponed prompt ordered once on a later day, and no other prompt."""
    location.write(PROMPTS | {"owl": "an owl"})
    small, large = (limited(location, budget_usd_per_day=count * A_VIDEO) for count in (1.5, 2.5))
    with location.using(seedance=small):
        location.tick()
        done = automated(location)
        assert ordered(location) == ["ant"]
        assert postponed(location) == set(done.missing) == {"bee", "fly"}
        assert "budget of 0.60 USD a day" in done.missing["bee"]
        assert requested(location) == []  # not today
        with yesterday(location) as ledger:
            ledger.partitions.postpone("spots", ["bee", "fly"])
        assert len(requested(location)) == 1  # 0.20 USD are left
        assert pending_run(location, requested(location)[0]).success
        assert ordered(location) == ["ant"]
        assert requested(location) == []
        assert postponed(location) == {"bee", "fly"}
    with location.using(seedance=large):
        with yesterday(location) as ledger:
            ledger.partitions.postpone("spots", ["bee", "fly"])
        [request] = requested(location)
        assert pending_run(location, request).success
        assert ordered(location) == ["ant", "bee"]
        assert postponed(location) == {"fly"}
        # An edit withdraws what was postponed, as it withdraws what is queued.
        location.write(PROMPTS | {"fly": "a fly at night"})
        location.tick()
        assert postponed(location) == set()


def requested(location) -> list[dg.RunRequest]:
    """Return the runs of `seedance_order_pending` that a tick asks for."""
    answer = location.tick()
    requests = (answer.run_requests or []) if isinstance(answer, dg.SensorResult) else []
    return [request for request in requests if request.job_name == PENDING_JOB]


def pending_run(location, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    job = location.defs.resolve_job_def(PENDING_JOB)
    return job.execute_in_process(
        instance=location.instance, run_config=request.run_config, raise_on_error=False
    )


def recipe(name: str) -> dict[str, Any]:
    """Run the block of code of the page that defines a name."""
    [block] = [code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if f"{name} = " in code]
    namespace: dict[str, Any] = {}
    exec(compile(block, "automation.md", "exec", dont_inherit=True), namespace)
    return namespace


def asked_for(defs: dg.Definitions, instance: dg.DagsterInstance, cursor=None) -> tuple[set[str], Any]:
    """Evaluate all conditions; return asset and partition of what they ask for, and the cursor."""
    result = dg.evaluate_automation_conditions(defs=defs, instance=instance, cursor=cursor)
    materialized = {
        f"{key.path[-1]}:{partition}"
        for key in (dg.AssetKey(["spots", name]) for name in ("prompts", "tasks", "videos"))
        for partition in result.get_requested_partitions(key)
    }
    return materialized, result.cursor


@pytest.mark.long
def test_each_prompt_is_asked_for_once_when_it_is_missing(location):
    """The recipe `on_missing` orders new prompts, prompts and tasks in one run, and nothing again."""
    defs = recipe("missing_videos")["with_condition"](location.defs)
    _, cursor = asked_for(defs, location.instance)
    location.write(PROMPTS | {"owl": "an owl"})
    location.tick()
    asked, cursor = asked_for(defs, location.instance, cursor)
    assert asked == {"prompts:owl", "tasks:owl"}
    with location.using(pending_usd_per_run=1):
        assert automated(location, "owl", "owl").success
    assert ordered(location) == ["owl"]
    assert asked_for(defs, location.instance, cursor)[0] == set()


@pytest.mark.long
def test_an_edited_prompt_is_asked_for_again(location):
    """The recipe `eager` follows edits, and a free reuse does not make it ask again."""
    condition = recipe("edited_videos")["edited_videos"]
    defs = recipe("missing_videos")["with_condition"](location.defs, condition)
    with location.using(pending_usd_per_run=3 * A_VIDEO):
        assert automated(location).success
    _, cursor = asked_for(defs, location.instance)
    location.write(PROMPTS | {"bee": "a bee at night"})
    location.tick()
    asked, cursor = asked_for(defs, location.instance, cursor)
    assert asked == {"tasks:bee"}
    with location.using(pending_usd_per_run=A_VIDEO):
        assert automated(location, "ant", "bee").success
    assert ordered(location) == ["ant", "bee", "fly", "bee"]
    assert asked_for(defs, location.instance, cursor)[0] == set()


@pytest.mark.further
def test_a_schedule_for_one_set_orders_within_its_limit(location):
    """The recipe's schedule starts `seedance_order_pending` for its set, with its limit."""
    schedule = recipe("nightly_spots")["nightly_spots"]
    defs = dg.Definitions.merge(location.defs, dg.Definitions(schedules=[schedule]))
    with dg.build_schedule_context(instance=location.instance) as context:
        [request] = defs.resolve_schedule_def("nightly_spots").evaluate_tick(context).run_requests
    assert pending_run(location, request).success
    assert ordered(location) == ["ant", "bee"]
