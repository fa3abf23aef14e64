"""`seedance-dagster reconcile` from the outside: what it does, what it refuses, with which status it ends."""

from __future__ import annotations

import json

import pytest
from bench_support import BASE_URL, bench
from click.testing import CliRunner, Result
from factories import make_order

from seedance_dagster.cli.commands.reconcile import _show
from seedance_dagster.cli.root import root
from seedance_dagster.engine.reconcile.reconcile import ReconcileResult
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State


@pytest.fixture
def it(tmp_path, clock, monkeypatch):
    """A bench whose vendor and ledger the command line finds in its environment."""
    home = tmp_path / "home" / "seedance"
    home.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    environ = {
        "DAGSTER_HOME": str(tmp_path / "home"),
        "GOAPI_API_KEY": "emulator-key",
        "GOAPI_BASE_URL": BASE_URL,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    monkeypatch.setattr("os.environ", environ)
    with bench(home, clock) as made:
        monkeypatch.setattr("seedance_dagster.api.client.default_transport", lambda **_: made.transport)
        opened = Ledger.open
        monkeypatch.setattr(Ledger, "open", lambda url: opened(url, clock=clock))
        monkeypatch.setitem(Services.__init__.__kwdefaults__, "clock", clock)
        yield made


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(root, ["reconcile", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def told(*arguments: str) -> tuple[int, dict[str, list[str]]]:
    """Status, and partitions by what became of them."""
    done = run(*arguments, "--json")
    answer = json.loads(done.stdout)
    assert list(answer) == ["adopted", "freed", "uncertain"]
    return done.exit_code, {name: [each["partition"] for each in found] for name, found in answer.items()}


def snapshot(it):
    orders = it.ledger.queries.find()
    return orders, [it.ledger.queries.journal(order.order_id) for order in orders]


def test_nothing_uncertain_is_no_trouble(it):
    """It says so and ends with 0."""
    done = run()
    assert (done.exit_code, done.stdout) == (0, "No order is uncertain\n")
    assert told() == (0, {"adopted": [], "freed": [], "uncertain": []})


def test_it_settles_by_the_history_at_once(it, clock):
    """What was made is adopted; what was not stays uncertain with status 1, until the second reading."""
    it.lose("a cat")
    it.lose("a dog", fault="500-before")
    assert told() == (1, {"adopted": ["p0"], "freed": [], "uncertain": ["p1"]})
    clock.forward(seconds=10)
    assert told() == (1, {"adopted": [], "freed": [], "uncertain": ["p1"]})
    clock.forward(seconds=590)
    assert told() == (0, {"adopted": [], "freed": ["p1"], "uncertain": []})


def test_people_see_what_became_of_each_order(it, clock):
    """A table with order, prompt, outcome, task and reason."""
    it.lose("a cat")
    it.lose("a dog", fault="500-before")
    done = run()
    assert done.exit_code == 1
    [task_id] = it.vendor.tasks
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert f"1 spots/p0 adopted {task_id} its task was found, its video will be collected" in lines
    assert any(line.startswith("2 spots/p1 uncertain a POST was answered with HTTP 500") for line in lines)


def test_an_unreadable_history_is_told(it):
    """The reason stands beside the order, the status is 1."""
    it.lose("a cat")
    it.tell("outage", seconds=60, scope="history")
    done = run("--json")
    assert done.exit_code == 1
    [order] = json.loads(done.stdout)["uncertain"]
    assert order["reason"].startswith("the vendor's history cannot be read: ")


def test_claims_of_killed_workers_are_taken_up(it, clock):
    """Also where no sensor runs, an order between claim and answer is settled."""
    it.accept("a cat")
    it.ledger.leases.acquire("dead", "dead", seconds=60)
    it.ledger.claims.take("dead", limit=1, max_in_flight=None)
    it.stranger("a cat")
    clock.forward(seconds=61)
    assert told() == (0, {"adopted": ["p0"], "freed": [], "uncertain": []})


@pytest.mark.parametrize("name", ["1", "spots/p0"])
def test_an_order_is_adopted_by_hand(it, name):
    """By its number or by set and partition; the journal names the operator."""
    it.lose("a cat", fault="500-before")
    task_id = it.stranger("a cat")
    assert told(name, "--adopt", task_id) == (0, {"adopted": ["p0"], "freed": [], "uncertain": []})
    last = it.ledger.queries.journal(1)[-1]
    assert last.actor.startswith("operator")
    assert last.detail == {"task_id": task_id, "how": "adopted by hand"}


@pytest.mark.parametrize("name", ["1", "spots/p0"])
def test_an_order_is_released_by_hand(it, name):
    """It goes back to the queue; the journal names the operator."""
    it.lose("a cat", fault="500-before")
    assert told(name, "--release") == (0, {"adopted": [], "freed": ["p0"], "uncertain": []})
    last = it.ledger.queries.journal(1)[-1]
    assert last.actor.startswith("operator")
    assert last.detail == {"reason": "released by hand: no task was made"}


def test_the_status_is_1_while_another_order_is_uncertain(it):
    """Settling one by hand leaves the others, and says so."""
    it.lose("a cat", "a dog", fault="500-before")
    assert told("1", "--release") == (1, {"adopted": [], "freed": ["p0"], "uncertain": ["p1"]})
    assert "spots/p1" in run("2", "--release").stdout


def test_the_newest_uncertain_order_of_a_partition_is_meant(it, clock):
    """An edited prompt may have two; a number names the other."""
    from dataclasses import replace

    from seedance_dagster.ledger.order import NewOrder
    from seedance_dagster.ledger.orders import OrderRequest

    [old] = it.lose("a cat", fault="500-before")
    fields = {name: getattr(old, name) for name in NewOrder.__dataclass_fields__}
    edited = replace(NewOrder(**fields), fingerprint="edited")
    it.ledger.orders.place([edited], OrderRequest(idempotency_key="c", run_id="r"))
    it.tell("faults", **{"500-before": 1.0})
    it.submit()
    assert told("spots/p0", "--release") == (1, {"adopted": [], "freed": ["p0"], "uncertain": ["p0"]})
    assert [order.state for order in it.ledger.queries.find()] == [State.UNCERTAIN, State.QUEUED]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--adopt", "x"), "name one ORDER with either --adopt TASK_ID or --release"),
        (("--release",), "name one ORDER with either --adopt TASK_ID or --release"),
        (("1", "--adopt", "x", "--release"), "name one ORDER with either --adopt TASK_ID or --release"),
        (("1",), "say what is to become of the order: --adopt TASK_ID or --release"),
        (("1", "--adopt", " "), "--adopt needs the vendor's task id"),
        (("1", "2", "--release"), "unexpected extra argument"),
        (("99", "--release"), "there is no uncertain order 99; uncertain are: 1 (spots/p0)"),
        (("99999999999999999999", "--release"), "there is no uncertain order 99999999999999999999"),
        (("spots/none", "--release"), "there is no uncertain order spots/none; uncertain are: 1 (spots/p0)"),
        (("none/p0", "--adopt", "x"), "there is no uncertain order none/p0"),
        (("-1", "--release"), "No such option"),
        (("", "--release"), "there is no uncertain order ; uncertain are"),
        (("1", "--adopt", "none-such"), "the vendor knows no task none-such"),
        (("1", "--adopt", "../account/info"), "the vendor knows no task ../account/info"),
    ],
)
def test_bad_input_changes_nothing(it, arguments, message):
    """A message in words, a status other than 0, and everything as it was."""
    it.lose("a cat", fault="500-before")
    before = snapshot(it)
    done = run(*arguments)
    assert done.exit_code > 0
    assert message in done.output
    assert snapshot(it) == before


def test_refusals_name_what_is_wrong(it):
    """A task of another order, of another prompt, and an order that is not uncertain."""
    it.accept("a cat")
    [owner] = it.submit()
    it.lose("a dog", fault="500-before")
    other = it.stranger("a fish")
    before = snapshot(it)
    for arguments, message in (
        (("2", "--adopt", owner.task_id), f"task {owner.task_id} belongs to order 1 (spots/p0) already"),
        (("2", "--adopt", other), "renders another request than order 2 (spots/p1): it differs in prompt"),
        (("1", "--release"), "order 1 (spots/p0) is submitted; only uncertain orders are settled"),
        (("1", "--adopt", other), "order 1 (spots/p0) is submitted; only uncertain orders are settled"),
    ):
        done = run(*arguments)
        assert (done.exit_code, message in done.output) == (1, True), done.output
    assert snapshot(it) == before


def test_a_missing_key_is_told(it, monkeypatch):
    """Nobody can be asked without a key."""
    it.lose("a cat")
    monkeypatch.delenv("GOAPI_API_KEY")
    done = run()
    assert done.exit_code == 1
    assert "no API key: set GOAPI_API_KEY" in done.output


def test_a_vendor_s_words_cannot_paint_the_terminal(capsys):
    """Brackets in a reason are shown as they are."""
    needs_verification = make_order(error_message="upstream [/b] broke", state=State.UNCERTAIN)
    _show(ReconcileResult(uncertain=(needs_verification,)))
    assert "[/b]" in capsys.readouterr().out
