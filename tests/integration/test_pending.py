"""Spending: budgets in runs and plans, and the schedule that orders pending prompts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from code_location import KEY_VARIABLE, QUIET, CodeLocation, running_location, video_store
from run_result import RunResult

from seedance_dagster import SeedanceResource
from seedance_dagster.cli.local.programs import S3Service
from seedance_dagster.cli.root import root
from seedance_dagster.defs.naming import PENDING_JOB
from seedance_dagster.ledger.base import utc_now
from seedance_dagster.ledger.order import State

pytestmark = [pytest.mark.integration, QUIET]

A_VIDEO = 0.4  # USD, four seconds


@contextmanager
def two_sets(folder: Path, s3_server: S3Service) -> Iterator[CodeLocation]:
    """A code location with two sets, of two and three prompts."""
    with running_location(folder, s3_server, {"cat": "a cat", "dog": "a dog"}, on_disk=True) as location:
        location.write({"ant": "an ant", "bee": "a bee", "fly": "a fly"}, name="tiny")
        location.reload()
        location.tick()
        yield location


@pytest.fixture
def location(s3_server, tmp_path):
    """A code location for one test."""
    with two_sets(tmp_path, s3_server) as location:
        yield location


@pytest.fixture(scope="module")
def idle(s3_server, tmp_path_factory):
    """A code location for all tests that order nothing, which is checked at the end."""
    with two_sets(tmp_path_factory.mktemp("idle"), s3_server) as location:
        yield location
        assert ordered(location) == []
        assert location.books()["posts"] == 0


def limited(location, **limits: float):
    """Return the API's resource with budgets."""
    return SeedanceResource(
        api_key=dg.EnvVar(KEY_VARIABLE), base_url=location.emulator.url, requests_per_second=1000, **limits
    )


def the_schedule(location) -> dg.ScheduleDefinition:
    [schedule] = [schedule for schedule in location.defs.schedules if schedule.name == PENDING_JOB]
    return schedule


def evaluate(location) -> dg.RunRequest | str:
    """Evaluate the schedule now; return its run request, or the reason why there is none."""
    with dg.build_schedule_context(
        instance=location.instance, resources=dict(location.defs.resources)
    ) as context:
        answer = the_schedule(location)(context)
    return str(answer.skip_message) if isinstance(answer, dg.SkipReason) else answer


def pending_run(location, **config: object) -> RunResult:
    """Launch a run of the job by hand."""
    job = location.defs.resolve_job_def(PENDING_JOB)
    run_config = {"ops": {"order": {"config": config}}} if config else None
    return RunResult(
        job.execute_in_process(instance=location.instance, run_config=run_config, raise_on_error=False),
        location.instance,
    )


def ordered(location) -> list[str]:
    with location.ledger() as ledger:
        return [f"{order.prompt_set}/{order.partition}" for order in ledger.queries.find()]


@pytest.mark.further
def test_the_schedule_is_off_until_it_is_switched_on(idle):
    """The schedule runs once a day, after the vendor's peak hours."""
    schedule = the_schedule(idle)
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("5 15 * * *", "UTC")


def test_nothing_is_spent_without_a_limit(idle):
    """Neither the schedule nor a run by hand orders anything, and both say what to set."""
    evaluation = evaluate(idle)
    assert evaluation.startswith(
        "spots, tiny: nothing limits what it may spend: set SEEDANCE_PENDING_USD_PER_RUN"
    )
    assert pending_run(idle).message == f"nothing was ordered: {evaluation}"


def test_one_set_without_a_limit_stops_the_whole_run(idle):
    """A budget of another set does not count; the set is named before anything is ordered."""
    path = idle.folder / "prompts" / "spots.json"
    before = path.read_text()
    path.write_text(json.dumps(json.loads(before) | {"budget_usd": 5}))
    assert pending_run(idle).message.startswith("nothing was ordered: tiny: nothing limits what it may spend")
    path.write_text(before)


@pytest.mark.long
def test_several_sets_are_ordered_within_one_limit(location):
    """As many prompts are ordered as are affordable, set by set; the sensor's job stores their videos."""
    location.reload(pending_usd_per_run=3.5 * A_VIDEO)
    request = evaluate(location)
    assert request.run_config["ops"]["order"]["config"]["max_cost_usd"] == 3.5 * A_VIDEO
    done = pending_run(location, **request.run_config["ops"]["order"]["config"])
    assert done.success
    assert ordered(location) == ["spots/cat", "spots/dog", "tiny/ant"]
    assert done.events_of("tasks") == [(key, "materialization") for key in ("cat", "dog", "ant")]
    assert "tiny: 3 new orders, estimated at 1.20 USD; limit of this run: 0.60 USD" in done.log
    location.advance()
    with location.ledger() as ledger:
        assert Counter(order.state for order in ledger.queries.find()) == {State.STORED: 3}
    assert pending_run(location, max_cost_usd=1, prompt_sets=["tiny"]).success
    assert ordered(location)[3:] == ["tiny/bee", "tiny/fly"]
    assert evaluate(location) == "every prompt has a video, is on its way or was rejected"


@pytest.mark.long
def test_the_runs_of_a_backfill_share_its_maximum_cost(location):
    """In a backfill with gaps, the cost of one run counts for the next one and for its retry (d14)."""

    def part(key: str, **tags: str) -> RunResult:
        config = {"max_cost_usd": 2.5 * A_VIDEO}
        return location.run(key, assets=("tasks",), name="tiny", config=config, tags=tags)

    assert part("ant", **{"dagster/backfill": "b1"}).success
    assert part("fly", **{"dagster/backfill": "b1"}).success
    refused = part("bee", **{"dagster/backfill": "b1"})
    assert "limit of this run of 1.00 USD, 0.80 USD of which are used" in refused.message
    # A re-execution of the whole backfill is the same request, another backfill is not.
    again = part("bee", **{"dagster/backfill": "b2", "dagster/root_backfill_id": "b1"})
    assert again.message == refused.message
    assert ordered(location) == ["tiny/ant", "tiny/fly"]
    assert part("bee", **{"dagster/backfill": "b3"}).success


@pytest.mark.long
def test_budgets_limit_the_schedule_like_runs(location):
    """A day's limit applies to both sets together; when it is reached the schedule names the figures."""
    with location.using(seedance=limited(location, budget_usd_per_day=1.5 * A_VIDEO)):
        assert isinstance(evaluate(location), dg.RunRequest)
        assert pending_run(location).success
        assert ordered(location) == ["spots/cat"]
        evaluation = evaluate(location)
        figures = "budget of 0.60 USD a day: 0.40 USD reserved, 0.00 USD spent, 0.20 USD left"
        assert evaluation == (
            f"spots: 1 new order, estimated at 0.40 USD; {figures}; they do not fit: none would; "
            f"tiny: 3 new orders, estimated at 1.20 USD; {figures}; they do not fit: none would"
        )
        assert pending_run(location).success
        assert ordered(location) == ["spots/cat"]


def test_the_schedule_waits_while_a_person_is_needed(idle):
    """Out of credits, the schedule says so instead of ordering more."""
    with idle.using(pending_usd_per_run=1), idle.ledger() as ledger:
        until = utc_now() + timedelta(minutes=1)
        ledger.pauses.start("credits", until=until, message="out of credits: buy some")
        assert evaluate(idle) == "out of credits: buy some"
        ledger.pauses.end("credits")
        assert isinstance(evaluate(idle), dg.RunRequest)


def test_a_run_that_can_order_nothing_fails_with_a_readable_error(idle, s3_server):
    """The error names a bucket that cannot be written for each set, and nothing is ordered."""
    with idle.using(video_store=video_store(s3_server, "p", "wrong")):
        done = pending_run(idle, max_cost_usd=10)
    lines = done.message.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["spots", "tiny"]
    assert all("the AWS credentials are refused" in line for line in lines)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        *(
            (
                {"max_cost_usd": amount},
                f"max_cost_usd: {amount} is out of range; allowed are amounts in USD above 0",
            )
            for amount in (-1.0, float("nan"))
        ),
        (
            {"prompt_sets": ["none", "spots"], "max_cost_usd": 1},
            "prompt_sets: unknown: none; allowed are spots, tiny",
        ),
    ],
)
def test_invalid_config_is_a_readable_error(idle, config, message):
    """The message names the value and what is allowed; nothing is ordered."""
    assert pending_run(idle, **config).message == f"nothing was ordered: {message}"


@pytest.mark.parametrize("amount", [0, float("nan"), 1e300])
def test_an_invalid_limit_does_not_load(idle, amount):
    """An invalid limit in Python is an error when the code location is built."""
    with pytest.raises(ValueError, match=r"pending_usd_per_run: .* is out of range"):
        idle.reload(pending_usd_per_run=amount)


@pytest.mark.long
def test_a_run_that_would_exceed_a_budget_orders_nothing_and_names_the_figures(location, monkeypatch):
    """The error and both kinds of plan agree on estimate, reserved, spent, limit and what fits."""
    path = location.folder / "prompts" / "tiny.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"budget_usd": {"total": 0.9}}))
    budgeted = limited(location, budget_usd_per_day=1.7, budget_usd_per_month=30)
    with location.using(seedance=budgeted):
        assert location.run("cat").success  # stored: spent
        assert location.run("dog", assets=("tasks",)).success  # queued: reserved
        day = "budget of 1.70 USD a day: 0.40 USD reserved, 0.40 USD spent, 0.90 USD left"
        month = "budget of 30.00 USD a month: 0.40 USD reserved, 0.40 USD spent, 29.20 USD left"
        own = "budget of prompt set tiny of 0.90 USD in all: 0.00 USD reserved, 0.00 USD spent, 0.90 USD left"
        planned = location.plan(set="tiny")
        assert planned.success
        assert (
            f"3 new orders, estimated at 1.20 USD; {day}; {month}; {own}; "
            "they do not fit: the first 2 would" in planned.log
        )
        assert planned.metadata["seedance/fits_budgets"].value == "tiny: only the first 2 of 3 new ones fit"
        left = [record.data["left_usd"] for record in planned.metadata["seedance/budgets"].records]
        assert left == [0.9, 29.2, 0.9]
        done = location.run("ant", "fly", name="tiny")
        assert done.message == (
            "nothing was ordered: 3 new videos may cost up to 1.20 USD and do not fit the "
            f"{day}; nor the {own}; the first 2 would fit"
        )
        assert ordered(location) == ["spots/cat", "spots/dog"]
        environ = {
            "SEEDANCE_PROMPTS": str(location.folder / "prompts"),
            "SEEDANCE_LEDGER_URL": location.resources["ledger"].url,
            "SEEDANCE_BUDGET_USD_PER_DAY": "1.7",
            "SEEDANCE_BUDGET_USD_PER_MONTH": "30",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        with monkeypatch.context() as patch:
            patch.setattr("os.environ", environ)
            result = CliRunner().invoke(root, ["plan", "tiny"])
            as_json = CliRunner().invoke(root, ["plan", "tiny", "--json"])
        assert result.exit_code == as_json.exit_code == 1
        for line in (day, month, own):
            assert f"Budget  {line}" in result.stdout
        assert "They do not fit into the budgets: the first 2 of 3 would" in result.stdout
        [tiny] = json.loads(as_json.stdout)["prompt_sets"]
        assert (tiny["new"], tiny["affordable"], tiny["new_usd"]) == (3, 2, "1.2")
        assert [budget["remaining_usd"] for budget in tiny["budgets"]] == ["0.9", "29.2", "0.9"]
        assert location.run("ant", "bee", name="tiny", assets=("tasks",)).success
        assert len(ordered(location)) == 4


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"set": "none"}, "set: there is no prompt set 'none'; allowed are spots, tiny"),
        (
            {"set": "tiny", "partitions": ["ant", "x*"]},
            "partitions: no prompt of tiny is named 'x*'; allowed are partitions and patterns like 'cat-*'",
        ),
    ],
)
def test_a_plan_of_what_does_not_exist_is_a_readable_error(idle, config, message):
    """The message names the value and what is allowed."""
    assert idle.plan(**config).message == message


@pytest.mark.long
def test_a_rejected_prompt_is_not_ordered_again_and_its_penalty_is_shown(location, monkeypatch):
    """The schedule never sends a rejected prompt unchanged; `status` shows its penalty separately."""
    location.write({"cat": "a cat [fault:moderation]", "dog": "a dog"})
    location.reload()
    assert pending_run(location, max_cost_usd=10, prompt_sets=["spots"]).success
    location.advance()
    assert pending_run(location, max_cost_usd=10, prompt_sets=["spots"]).success
    assert ordered(location) == ["spots/cat", "spots/dog"]
    environ = {"SEEDANCE_LEDGER_URL": location.resources["ledger"].url, "AWS_DEFAULT_REGION": "us-east-1"}
    monkeypatch.setattr("os.environ", environ)
    result = CliRunner().invoke(root, ["status"])
    assert "Spent        0.404 USD, of which 0.004 USD as penalties for rejected prompts" in result.stdout
    status = json.loads(CliRunner().invoke(root, ["status", "--json"]).stdout)
    assert (status["spent_usd"], status["penalties_usd"]) == ("0.404", "0.004")
