"""The `spend` command: its output and exit status."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from factories import open_ledger
from order_factory import OrderFactory
from trace_support import traced_orders

from seedance_dagster.cli.root import root
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.verdict import Judgement, Verdict


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock) -> Iterator[OrderFactory]:
    """Orders in the ledger of DAGSTER_HOME."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", {"DAGSTER_HOME": str(tmp_path)})
    with open_ledger(tmp_path / "seedance", clock) as ledger:
        yield traced_orders(ledger, clock)


@pytest.fixture
def busy(orders: OrderFactory) -> OrderFactory:
    """A cheap day and an expensive one, a penalty, and an order in flight."""
    orders.make(State.STORED, tags={"campaign": "spring"})
    orders.make(State.REJECTED, tags={"campaign": "[b]autumn[/b]"})
    orders.clock.forward(days=1)
    orders.make(State.STORED, "dog", charged=12_000_000, tags={}, run_id="run-2")
    orders.make(State.SUBMITTED, "elk", prompt_set="other", tags={})
    return orders


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["spend", *arguments])


def cells(done: Result) -> list[list[str]]:
    """Return the table's lines, without the bars."""
    assert done.exit_code == 0, done.output
    return [line.replace("█", "").split() for line in done.stdout.splitlines() if line.startswith("  ")]


def test_days_are_a_table_with_bars_and_a_total(busy: OrderFactory) -> None:
    """Days are in order; the most expensive has the longest bar."""
    done = run()
    assert [line for line in cells(done) if line] == [
        ["Day", "Orders", "Videos", "Points", "USD", "Penalties", "Reserved"],
        ["2026-04-06", "2", "1", "4,050,000", "0.405", "0.005", "0.00"],
        ["2026-04-07", "2", "1", "12,000,000", "1.20", "0.00", "0.40"],
        ["Total", "4", "2", "16,050,000", "1.605", "0.005", "0.40"],
    ]
    bars = [line.count("█") for line in done.stdout.splitlines() if "2026-04" in line]
    assert bars == [8, 24]
    assert "did not report" not in done.stdout


def test_verdicts_are_counted_beside_the_charges(busy: OrderFactory) -> None:
    """Verdicts are counted with their shares, beside the cost per accepted video."""
    busy.ledger.verdicts.give("spots", {"cat": Judgement(Verdict.ACCEPTED)}, reviewer="ann")
    [header, first, *_] = [line for line in cells(run()) if line]
    assert header[-4:] == ["Accepted", "Discarded", "Rejected", "USD/accepted"]
    assert first[-7:] == ["1", "(100%)", "0", "(0%)", "1", "(50%)", "0.405"]
    total = json.loads(run("--json").stdout)["total"]
    assert (total["accepted_share"], total["usd_per_accepted"]) == (0.5, "1.605")


def test_other_groups_are_sorted_by_charge(busy: OrderFactory) -> None:
    """The highest charge is first; orders without the tag have a group; names are not markup."""
    assert [line[0] for line in cells(run("--by", "run"))[2:4]] == ["run-2", "run-1"]
    groups = [line[0] for line in cells(run("--by", "tag", "--tag", "campaign")) if line]
    assert groups == ["Tag", "(none)", "spring", "[b]autumn[/b]", "Total"]


def test_an_unreported_charge_is_shown_separately(orders: OrderFactory) -> None:
    """An unreported charge is shown apart, neither as a charge nor as zero."""
    orders.make(State.SUCCEEDED, charged=None)
    assert "0.40 USD more are held for finished tasks whose charge the vendor did not report" in run().stdout


def test_json_has_every_sum_in_points_and_usd(busy: OrderFactory) -> None:
    """It has the arguments, and rows that add up to the total."""
    done = run("--by", "tag", "--tag", "campaign", "--since", "2026-04-06", "spots", "--json")
    document = json.loads(done.stdout)
    scope = {"by": "tag", "tag": "campaign", "since": "2026-04-06", "prompt_set": "spots"}
    assert {name: document[name] for name in scope} == scope
    assert [row["key"] for row in document["rows"]] == [None, "spring", "[b]autumn[/b]"]
    for name in ("orders", "videos", "charged_points", "penalties_points", "reserved_points"):
        assert sum(row[name] for row in document["rows"]) == document["total"][name]
    assert (document["total"]["charged_usd"], document["total"]["penalties_usd"]) == ("1.605", "0.005")


def test_csv_has_the_same_rows_without_a_total(busy: OrderFactory) -> None:
    """It has a header and one line for each group, so that a spreadsheet can add them up."""
    rows = list(csv.DictReader(io.StringIO(run("--by", "tag", "--tag", "campaign", "--csv").stdout)))
    assert [row["tag"] for row in rows] == ["(none)", "spring", "[b]autumn[/b]"]
    assert [row["charged_points"] for row in rows] == ["12000000", "4000000", "50000"]
    assert [row["reserved_usd"] for row in rows] == ["0.4", "0", "0"]


def test_a_period_without_orders_is_not_an_error(busy: OrderFactory) -> None:
    """A period without orders gives a message in each format, and no error."""
    for form, output in ((), "Nothing was ordered in this period\n"), (("--csv",), "day,orders,videos,"):
        done = run("--since", "1h", *form)
        assert done.exit_code == 0
        assert done.stdout.startswith(output)
    assert json.loads(run("--since", "1h", "--json").stdout)["total"]["charged_points"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("--by", "week"),
            "'week' is not one of 'day', 'month', 'set', 'model', 'resolution', 'template', 'tag', 'run'",
        ),
        (("--by", "tag"), "--by tag --tag campaign"),
        (("--tag", "campaign"), "--by tag --tag campaign"),
        (
            ("--since", "yesterday"),
            "'yesterday' is not a time; write 2026-04-06, 2026-04-06T18:00, 7d or 24h",
        ),
        (("--since", "2026-13-01"), "'2026-13-01' is not a time"),
        (("--since", "2999-01-01"), "'2999-01-01' is in the future: it is "),
        (("mice",), "nothing was ever ordered for prompt set mice; known sets: other, spots"),
        (("--json", "--csv"), "--json and --csv exclude each other"),
    ],
)
def test_bad_input_gives_a_message(busy: OrderFactory, arguments: tuple[str, ...], words: str) -> None:
    """Bad input gives status 2 and a message with what is wrong and what is allowed."""
    done = run(*arguments)
    assert done.exit_code == 2
    assert words in done.stderr
