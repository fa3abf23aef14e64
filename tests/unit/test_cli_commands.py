"""The commands `plan` and `status`: their output and exit status."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from dagster import DagsterInstance
from factories import read_prompts

from seedance_dagster.cli.root import root
from seedance_dagster.defs.steps.sources import claim_sources
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import NewOrder
from seedance_dagster.ledger.orders import OrderRequest

CATS = """
name: cats
defaults: {task_type: seedance-2}
prompts:
  - {id: one, prompt: a cat}
  - {id: two, prompt: "two cats like @video1", mode: omni_reference, duration: 4,
     video_urls: ["https://cdn.example.com/cats.mp4"]}
"""
DOGS = "name: dogs\nprompts: [{id: one, prompt: a dog, duration: 99}]\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without any settings of this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", {"DAGSTER_HOME": str(tmp_path / "home")})
    (tmp_path / "home").mkdir()
    (tmp_path / "prompt_sets").mkdir()
    (tmp_path / "prompt_sets" / "cats.yaml").write_text(CATS)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, arguments)


def ledger_of(folder: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{folder}/home/seedance/ledger.db")


def order(partition: str, fingerprint: str) -> NewOrder:
    return NewOrder(
        prompt_set="cats",
        partition=partition,
        fingerprint=fingerprint,
        request={"task_type": "seedance-2-fast"},
        estimated_points=4_000_000,
        reserved_points=4_000_000,
        price_table="t",
        price_formula="f",
    )


def planned_fingerprint(partition: str) -> str:
    from seedance_dagster.prompts import load_prompt_sets

    return load_prompt_sets("prompt_sets").sets[0].partitions[partition].fingerprint


def test_plan_prices_each_prompt_and_orders_nothing(folder: Path) -> None:
    """Each prompt has a price, an upper bound where an input length is unknown; nothing becomes an order."""
    done = run("plan", "--json")
    assert done.exit_code == 0
    plan = json.loads(done.stdout)
    assert plan["problems"] == []
    [cats] = plan["prompt_sets"]
    fields = ("partition", "usd", "reserved_usd", "exact", "outcome", "price_table")
    assert [tuple(prompt[name] for name in fields) for prompt in cats["prompts"]] == [
        ("one", "0.5", "0.5", True, "new", "goapi-2026-11"),
        ("two", "1.17", "1.94", False, "new", "goapi-2026-11"),
    ]
    assert (cats["new_usd"], cats["reserved_usd"]) == ("1.67", "2.44")
    output = run("plan").stdout
    assert "2 new; the new ones cost up to 1.67 USD, and 2.44 USD would be reserved" in output
    assert "so budgets count the highest that could apply" in output
    (folder / "prompt_sets" / "dogs.yaml").write_text("{name: dogs, prompts: [{prompt: a dog}]}")
    assert "All sets together: up to 1.91 USD, and 2.84 USD would be reserved" in run("plan").stdout
    ledger = ledger_of(folder)
    assert ledger.workload.counts() == {}
    ledger.close()


def test_plan_adds_up_sets_that_share_a_budget(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each set alone fits the day's budget, both together do not; one order for two sets counts once."""
    for name, text in (("cats", "a cat"), ("dogs", "a dog"), ("again", "a dog")):
        content = f"name: {name}\ndefaults: {{task_type: seedance-2}}\nprompts: [{{prompt: {text}}}]\n"
        (folder / "prompt_sets" / f"{name}.yaml").write_text(content)
    monkeypatch.setitem(os.environ, "SEEDANCE_BUDGET_USD_PER_DAY", "0.60")
    done = run("plan", "--json")
    plan = json.loads(done.stdout)
    assert [prompt_set["affordable"] for prompt_set in plan["prompt_sets"]] == [1, 1, 1]
    assert plan["together"] == {"new_usd": "1", "reserved_usd": "1", "new": 2, "affordable": 1}
    assert done.exit_code == 1
    assert "Together they do not fit into the shared budgets: the first 1 of 2 would" in run("plan").stdout
    assert run("plan", "cats").exit_code == 0
    monkeypatch.setitem(os.environ, "SEEDANCE_BUDGET_USD_PER_DAY", "0.10")
    assert "They do not fit into the budgets: none would" in run("plan", "cats").stdout


def test_plan_shows_the_cost_of_each_value_of_a_matrix(folder: Path) -> None:
    """Each value that a set varies in has its number of videos and what the new ones cost."""
    (folder / "prompt_sets" / "cats.yaml").write_text(
        "name: cats\nmatrix: {duration: [4, 10], style: [calm, wild]}\nprompts: [{prompt: 'a {style} cat'}]\n"
    )
    [cats] = json.loads(run("plan", "--json", "cats").stdout)["prompt_sets"]
    duration = [cost for cost in cats["variants"] if cost["axis"] == "duration"]
    assert [(cost["value"], cost["videos"]) for cost in duration] == [("4", 2), ("10", 2)]
    assert float(duration[1]["new_usd"]) == 2.5 * float(duration[0]["new_usd"]) > 0
    assert {cost["axis"] for cost in cats["variants"]} == {"duration", "style"}
    assert "By variant" in run("plan", "cats").stdout


def test_plan_knows_what_is_in_flight(folder: Path) -> None:
    """A prompt that is already ordered is joined and costs nothing."""
    ledger = ledger_of(folder)
    ledger.orders.place(
        [order("one", planned_fingerprint("one"))], OrderRequest(idempotency_key="c", run_id="r")
    )
    ledger.close()
    [cats] = json.loads(run("plan", "--json").stdout)["prompt_sets"]
    assert [prompt["outcome"] for prompt in cats["prompts"]] == ["joined", "new"]
    assert cats["new_usd"] == "1.17"
    assert (
        "1 joined, 1 new; the new ones cost up to 1.17 USD, and 1.94 USD would be reserved"
        in run("plan").stdout
    )


def test_plan_says_as_what_a_prompt_was_ordered(folder: Path) -> None:
    """A renamed prompt costs nothing, and a repeated row joins the first one."""
    ledger = ledger_of(folder)
    ledger.orders.place(
        [order("earlier", planned_fingerprint("one"))], OrderRequest(idempotency_key="c", run_id="r")
    )
    ledger.close()
    (folder / "prompt_sets" / "again.jsonl").write_text(2 * '{"prompt": "a dog", "duration": 4}\n')
    again, cats = json.loads(run("plan", "--json").stdout)["prompt_sets"]
    assert [(prompt["outcome"], prompt["ordered_as"]) for prompt in cats["prompts"]] == [
        ("joined", "cats/earlier"),
        ("new", None),
    ]
    first, second = again["prompts"]
    assert (first["outcome"], second["outcome"]) == ("new", "joined")
    assert second["ordered_as"] == f"again/{first['partition']}"
    assert (again["new"], again["new_usd"]) == (1, first["usd"])
    assert f"joined, ordered as again/{first['partition'][:5]}" in run("plan", "again").stdout


def test_plan_says_what_is_asked_for_twice_before_anything_is_paid(folder: Path) -> None:
    """A request that repeats another costs nothing; a text that nearly does is paid for, and named."""
    rows = ("a dog", "A dog!", "a dog")
    (folder / "prompt_sets" / "again.txt").write_text("\n".join(rows))
    done = run("plan", "again")
    assert done.exit_code == 0
    assert "1 joined" in done.stdout
    assert "again.txt, line 2 (a-dog-" in done.stderr
    assert "differs from that of a-dog-" in done.stderr
    assert "only in whitespace, case or punctuation; both are paid for" in done.stderr
    assert "again.txt, line 3 (a-dog-" in done.stderr
    assert "so both show one video" in done.stderr


def test_plan_reports_every_problem_and_plans_the_rest(folder: Path) -> None:
    """A problem names file, prompt and field, and the exit status is 1."""
    (folder / "prompt_sets" / "dogs.yaml").write_text(DOGS)
    done = run("plan", "--json")
    assert done.exit_code == 1
    plan = json.loads(done.stdout)
    assert [prompt_set["name"] for prompt_set in plan["prompt_sets"]] == ["cats"]
    [problem] = plan["problems"]
    assert "dogs.yaml" in problem
    assert "duration" in problem
    done = run("plan")
    assert done.exit_code == 1
    assert "duration" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan", "--prompts", "nowhere"), "--prompts or SEEDANCE_PROMPTS names the file"),
        (("plan", "mice"), "there is no prompt set mice; known sets: cats"),
        (("plan", "--prompts"), "requires an argument"),
    ],
)
def test_bad_input_of_plan_gives_a_message(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    """Bad input of `plan` gives a message and a status other than 0, without a traceback."""
    done = run(*arguments)
    assert done.exit_code > 0
    assert isinstance(done.exception, SystemExit)
    assert message in done.output


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("SEEDANCE_LEDGER_URL=nonsense", "sqlite:///"),
        ("SEEDANCE_LEDGER_URL=sqlite:////proc/none/x.db", "the ledger"),
        ("SEEDANCE_MAX_IN_FLIGHT=many", "SEEDANCE_MAX_IN_FLIGHT"),
        ("SEEDANCE_OFF_PEAK_ONLY=perhaps", "SEEDANCE_OFF_PEAK_ONLY"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "status"])
def test_bad_settings_give_a_message(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, setting: str, message: str
) -> None:
    """The message names what is wrong."""
    monkeypatch.setenv(*setting.split("=", 1))
    done = run(command)
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert message in done.output


def test_status_of_nothing(folder: Path) -> None:
    """An empty ledger is not an error."""
    done = run("status")
    assert done.exit_code == 0
    assert "Nothing has been ordered yet" in done.output


def test_status_counts_and_adds(folder: Path) -> None:
    """Orders and money are in the JSON and in the tables."""
    ledger = ledger_of(folder)
    ledger.orders.place([order("one", "f"), order("two", "g")], OrderRequest(idempotency_key="c", run_id="r"))
    ledger.close()
    status = json.loads(run("status", "--json").stdout)
    assert status["orders"] == [{"prompt_set": "cats", "state": "queued", "orders": 2, "usd": "0.8"}]
    assert [order["partition"] for order in status["outstanding"]] == ["one", "two"]
    assert (status["spent_usd"], status["outstanding_usd"]) == ("0", "0.8")
    assert status["time_left_s"] is None
    assert status["problems"] == []
    output = run("status").output
    assert "Outstanding  0.80 USD for 2 orders" in output
    assert "Time left    unknown until a video of this kind is stored" in output


def test_cancel_withdraws_what_is_queued(folder: Path) -> None:
    """Cancelling names the freed amount; withdrawn orders are not a problem, and a repeat finds none."""
    ledger = ledger_of(folder)
    ledger.orders.place([order("one", "f"), order("two", "g")], OrderRequest(idempotency_key="c", run_id="r"))
    ledger.close()
    assert run("cancel").exit_code == 2
    done = json.loads(run("cancel", "cats/one", "--json").stdout)
    assert [order["partition"] for order in done["withdrawn"]] == ["one"]
    assert done["freed_usd"] == "0.4"
    assert "1 order was withdrawn, 0.40 USD are free again" in run("cancel", "--all").output
    nothing = run("cancel", "cats/three")
    assert (nothing.exit_code, nothing.output) == (1, "nothing is queued for cats/three\n")
    unknown = run("cancel", "cast")
    assert unknown.exit_code == 1
    assert "nothing was ever ordered for prompt set cast; known sets: cats" in unknown.output
    assert run("status").exit_code == 0


def test_status_exits_with_1_when_something_needs_attention(folder: Path) -> None:
    """A lost reply is shown, and scripts see it by the exit status."""
    ledger = ledger_of(folder)
    ledger.orders.place([order("one", "f")], OrderRequest(idempotency_key="c", run_id="r"))
    [claimed] = ledger.claims.take("w", limit=1, max_in_flight=None)
    ledger.claims.mark_uncertain(claimed, actor="w", reason="the reply was lost")
    ledger.close()
    done = run("status")
    assert done.exit_code == 1
    assert "Problem      cats/one: it is unknown whether the vendor received order" in done.output


def test_an_unknown_aws_profile_gives_a_message(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong setting of boto3's does not give a traceback either."""
    monkeypatch.setenv("AWS_PROFILE", "none-such")
    done = run("plan")
    assert isinstance(done.exception, SystemExit)
    assert "none-such" in done.output


def test_commands_say_where_prompts_of_an_asset_are_planned(folder: Path) -> None:
    """Each command says what to do about prompts that only Dagster reads, and continues with the others."""
    with DagsterInstance.get() as instance:
        claim_sources(instance, "ours", {"written": "asset written_prompts"})
    ledger = ledger_of(folder)
    read_prompts(ledger, "written", {"one": "f-1"})
    ledger.close()
    done = run("plan", "written")
    sentence = "written: its prompts come from asset written_prompts, which only Dagster reads: "
    planned = f"{sentence}run the job seedance_plan to see what they would cost\n"
    assert (done.exit_code, done.stderr) == (1, f"Error: {planned}")
    assert run("plan").stderr == planned
    assert run("plan", "cats").stderr == ""
    synced = run("sync")
    assert (synced.exit_code, synced.stderr.count(sentence)) == (0, 1)
