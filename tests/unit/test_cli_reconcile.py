"""The `reconcile` command: what it does, what it declines, and its exit status."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner, Result
from factories import make_order
from harness import BASE_URL
from stepped_engine import stepped_engine

from seedance_dagster.cli.commands.reconcile import _show
from seedance_dagster.cli.root import root
from seedance_dagster.engine.services import Services
from seedance_dagster.health import stuck_reason
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State


@pytest.fixture
def engine(tmp_path, clock, monkeypatch):
    """An engine whose vendor and ledger are in the environment of the command."""
    home = tmp_path / "home" / "seedance"
    home.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    environ = {
        "SEEDANCE_LEDGER_URL": f"sqlite:///{home}/ledger.db",  # opening a Dagster instance takes seconds
        "GOAPI_API_KEY": "emulator-key",
        "GOAPI_BASE_URL": BASE_URL,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    monkeypatch.setattr("os.environ", environ)
    with stepped_engine(home, clock) as made:
        monkeypatch.setattr("seedance_dagster.api.client.default_transport", lambda *_, **__: made.transport)
        opened = Ledger.open
        monkeypatch.setattr(Ledger, "open", lambda url: opened(url, clock=clock))
        monkeypatch.setitem(Services.__init__.__kwdefaults__, "clock", clock)
        yield made


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(root, ["reconcile", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def reconcile(*arguments: str) -> tuple[int, dict[str, list[str]]]:
    """Run the command; return its exit status and the partitions by outcome."""
    done = run(*arguments, "--json")
    document = json.loads(done.stdout)
    assert list(document) == ["adopted", "requeued", "ended", "uncertain"]
    return done.exit_code, {
        outcome: [order["partition"] for order in orders]
        for outcome, orders in document.items()
        if orders or outcome != "ended"
    }


def snapshot(engine):
    orders = engine.ledger.queries.find()
    return orders, [engine.ledger.queries.journal(order.order_id) for order in orders]


def test_without_uncertain_orders_nothing_happens(engine):
    """Without uncertain orders the command says so and exits with 0."""
    done = run()
    assert (done.exit_code, done.stdout) == (0, "No order is uncertain\n")
    assert reconcile() == (0, {"adopted": [], "requeued": [], "uncertain": []})


def test_orders_are_resolved_from_the_history_at_once(engine, clock):
    """A task is adopted; an order without one stays uncertain, with status 1, until the second scan."""
    engine.know()
    engine.lose("a cat")
    engine.lose("a dog", fault="500-before")
    clock.forward(seconds=5)
    engine.know()
    assert reconcile() == (1, {"adopted": ["p0"], "requeued": [], "uncertain": ["p1"]})
    clock.forward(seconds=10)
    assert reconcile() == (1, {"adopted": [], "requeued": [], "uncertain": ["p1"]})
    clock.forward(seconds=590)
    assert reconcile() == (0, {"adopted": [], "requeued": ["p1"], "uncertain": []})


def test_the_table_shows_the_result_for_each_order(engine, clock):
    """The table has order, prompt, result, task and reason."""
    engine.lose("a cat")
    engine.lose("a dog", fault="500-before")
    done = run()
    assert done.exit_code == 1
    [task_id] = engine.vendor.tasks
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert f"1 spots/p0 adopted {task_id} its task was found; its video will be fetched" in lines
    assert any(line.startswith("2 spots/p1 uncertain the history lists no task from") for line in lines)


def test_a_choice_is_shown_with_its_tasks(engine, clock):
    """A person sees which tasks may be the order's, in the command and in the status."""
    engine.lose("a cat")
    engine.create_out_of_band("a cat")
    document = json.loads(run("--json").stdout)
    [order] = document["uncertain"]
    assert all(task_id in order["reason"] for task_id in engine.vendor.tasks)
    assert f"run `reconcile {order['order_id']}` with --adopt TASK_ID" in order["reason"]
    [stuck] = engine.ledger.queries.find()
    reason = stuck_reason(stuck, now=clock(), stale_after=timedelta(hours=12))
    assert reason is not None
    assert order["reason"] in reason


def test_an_unreadable_history_is_reported(engine):
    """The order has the reason, and the exit status is 1."""
    engine.lose("a cat")
    engine.control("outage", seconds=60, scope="history")
    done = run("--json")
    assert done.exit_code == 1
    [order] = json.loads(done.stdout)["uncertain"]
    assert order["reason"].startswith("the vendor's history cannot be read: ")


def test_claims_of_killed_workers_are_resolved(engine, clock):
    """An order whose worker was killed before the reply is resolved, also where no sensor runs."""
    engine.place("a cat")
    [claimed] = engine.ledger.claims.take("dead", limit=1, max_in_flight=None, lease_s=60)
    engine.ledger.claims.mark_sent(claimed, account=engine.account_name)
    engine.create_out_of_band("a cat")
    clock.forward(seconds=61)
    assert reconcile() == (0, {"adopted": ["p0"], "requeued": [], "uncertain": []})


@pytest.mark.parametrize("name", ["1", "spots/p0"])
def test_an_order_is_adopted_manually(engine, name):
    """A person adopts a task for an order by number or partition; the journal names the operator."""
    engine.lose("a cat", fault="500-before")
    task_id = engine.create_out_of_band("a cat")
    assert reconcile(name, "--adopt", task_id) == (0, {"adopted": ["p0"], "requeued": [], "uncertain": []})
    last = engine.ledger.queries.journal(1)[-1]
    assert last.actor.startswith("operator")
    assert last.detail == {"task_id": task_id, "how": "adopted by hand"}


@pytest.mark.parametrize("name", ["1", "spots/p0"])
def test_an_order_is_requeued_manually(engine, name):
    """A manually requeued order is back in the queue, and the journal names the operator."""
    engine.lose("a cat", fault="500-before")
    assert reconcile(name, "--requeue") == (0, {"adopted": [], "requeued": ["p0"], "uncertain": []})
    last = engine.ledger.queries.journal(1)[-1]
    assert last.actor.startswith("operator")
    assert last.detail == {"reason": "requeued by hand: no task was made"}


def test_an_order_that_stays_uncertain_is_ended_by_hand(engine):
    """An order that is ended by hand costs its hold, or the stated charge; the journal names the operator."""
    [cat, dog] = engine.lose("a cat", "a dog", fault="500-before")
    assert reconcile("spots/p0", "--end") == (
        1,
        {"adopted": [], "requeued": [], "ended": ["p0"], "uncertain": ["p1"]},
    )
    assert "0.25 USD count as spent; to pay again, set resubmit_rejected" in " ".join(
        run("2", "--end", "--charged", "0.25").stdout.split()
    )
    ended = engine.read(cat, dog)
    assert [order.state for order in ended] == [State.FAILED, State.FAILED]
    assert [order.points_charged for order in ended] == [cat.estimated_points, 2_500_000]
    assert ended[0].error_message.startswith("ended by hand as 0.40 USD, it was uncertain: a POST")
    assert engine.ledger.queries.journal(1)[-1].actor.startswith("operator")


def test_the_exit_status_is_1_while_another_order_is_uncertain(engine):
    """Resolving one order leaves the others, which are shown."""
    engine.lose("a cat", "a dog", fault="500-before")
    assert reconcile("1", "--requeue") == (1, {"adopted": [], "requeued": ["p0"], "uncertain": ["p1"]})
    assert "spots/p1" in run("2", "--requeue").stdout


def test_a_partition_names_its_newest_uncertain_order(engine, clock):
    """An edited prompt may have two; a number names the older one."""
    from dataclasses import replace

    from seedance_dagster.ledger.order import NewOrder
    from seedance_dagster.ledger.orders import OrderRequest

    [old] = engine.lose("a cat", fault="500-before")
    fields = {name: getattr(old, name) for name in NewOrder.__dataclass_fields__}
    edited = replace(NewOrder(**fields), fingerprint="edited")
    engine.ledger.orders.place([edited], OrderRequest(idempotency_key="c", run_id="r"))
    engine.control("faults", **{"500-before": 1.0})
    engine.submit()
    assert reconcile("spots/p0", "--requeue") == (1, {"adopted": [], "requeued": ["p0"], "uncertain": ["p0"]})
    assert [order.state for order in engine.ledger.queries.find()] == [State.UNCERTAIN, State.QUEUED]


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--adopt", "x"), "name one ORDER, with one of --adopt TASK_ID, --requeue or --end"),
        (("--requeue",), "name one ORDER, with one of --adopt TASK_ID, --requeue or --end"),
        (
            ("1", "--adopt", "x", "--requeue"),
            "name one ORDER, with one of --adopt TASK_ID, --requeue or --end",
        ),
        (("1",), "say how to resolve the order: --adopt TASK_ID, --requeue or --end"),
        (("--end",), "name one ORDER, with one of"),
        (("1", "--end", "--requeue"), "name one ORDER, with one of"),
        (("1", "--end", "--charged", "much"), "--charged: 'much' is not an amount in USD"),
        (("1", "--end", "--charged", "-1"), "--charged: an order cannot cost less than 0 USD"),
        (("1", "--requeue", "--charged", "1"), "--charged USD goes with --end"),
        (("99", "--end"), "there is no order 99 that could be ended"),
        (("spots/none", "--end"), "there is no order spots/none that could be ended"),
        (("1", "--adopt", " "), "--adopt needs a task id of the vendor's"),
        (("1", "2", "--requeue"), "unexpected extra argument"),
        (("99", "--requeue"), "there is no uncertain order 99; uncertain orders: 1 (spots/p0)"),
        (("99999999999999999999", "--requeue"), "there is no uncertain order 99999999999999999999"),
        (
            ("spots/none", "--requeue"),
            "there is no uncertain order spots/none; uncertain orders: 1 (spots/p0)",
        ),
        (("none/p0", "--adopt", "x"), "there is no uncertain order none/p0"),
        (("-1", "--requeue"), "No such option"),
        (("", "--requeue"), "there is no uncertain order ; uncertain orders"),
        (("1", "--adopt", "none-such"), "the vendor knows no task none-such"),
        (("1", "--adopt", "../account/info"), "the vendor knows no task ../account/info"),
    ],
)
def test_bad_input_changes_nothing(engine, arguments, message):
    """Bad input gives a message and a status other than 0, and changes nothing."""
    engine.lose("a cat", fault="500-before")
    before = snapshot(engine)
    done = run(*arguments)
    assert done.exit_code > 0
    assert message in done.output
    assert snapshot(engine) == before


def test_a_declined_resolution_names_the_reason(engine):
    """A task of another order or prompt, and an order that is not uncertain, are declined with the reason."""
    engine.place("a cat")
    [owner] = engine.submit()
    engine.lose("a dog", fault="500-before")
    other = engine.create_out_of_band("a fish")
    before = snapshot(engine)
    for arguments, message in (
        (("2", "--adopt", owner.task_id), f"task {owner.task_id} belongs to order 1 (spots/p0) already"),
        (("2", "--adopt", other), "renders another request than order 2 (spots/p1): it differs in prompt"),
        (("1", "--requeue"), "order 1 (spots/p0) is submitted; only uncertain orders can be resolved"),
        (("1", "--adopt", other), "order 1 (spots/p0) is submitted; only uncertain orders can be resolved"),
    ):
        done = run(*arguments)
        assert (done.exit_code, message in done.output) == (1, True), done.output
    assert snapshot(engine) == before


def test_a_missing_api_key_is_reported(engine, monkeypatch):
    """The history cannot be read without a key."""
    engine.lose("a cat")
    monkeypatch.delenv("GOAPI_API_KEY")
    done = run()
    assert done.exit_code == 1
    assert "no API key: set GOAPI_API_KEY" in done.output


def test_the_vendors_words_cannot_style_the_terminal(capsys):
    """Brackets in a reason are shown as they are."""
    order = make_order(error_message="upstream [/b] broke", state=State.UNCERTAIN)
    _show({"uncertain": [order]})
    assert "[/b]" in capsys.readouterr().out
