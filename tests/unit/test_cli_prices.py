"""The command `prices`, and a price file that every command reads."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from factories import open_ledger
from order_factory import OrderFactory

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.cli.commands import prices
from seedance_dagster.cli.root import root
from seedance_dagster.ledger.order import State
from seedance_dagster.prompts.price_file import load_catalog

TODAY = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project on a certain day, without any settings of this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", {"AWS_DEFAULT_REGION": "us-east-1"})
    monkeypatch.setattr(prices, "utc_now", lambda: TODAY)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["prices", *arguments])


def with_prices(folder: Path, content: str) -> None:
    import os

    (folder / "own.yaml").write_text(content)
    os.environ["SEEDANCE_PRICES"] = "own.yaml"


@pytest.fixture
def ledger(folder, clock):
    """A ledger that the command reads too."""
    import os

    clock.now = datetime(2026, 11, 20, 9, 30, 15, tzinfo=UTC)
    os.environ["SEEDANCE_LEDGER_URL"] = f"sqlite:///{folder}/ledger.db"
    with open_ledger(folder, clock) as opened:
        yield opened


def stored(ledger, clock, count, factor, **request):
    """Store videos that were charged a multiple of their estimates."""
    orders = OrderFactory(ledger, clock)
    fields = {"task_type": "seedance-2-fast", "prompt": "a cat", "mode": Mode.TEXT_TO_VIDEO, "duration": 5}
    sent = GenerationRequest(**fields | request)
    estimate = Catalog.load().estimate(sent, at=clock())
    for number in range(count):
        orders.make(
            State.STORED,
            f"{sent.task_type}-{sent.resolution}-{factor}-{number}",
            request=sent.model_dump(mode="json"),
            estimated_points=estimate.points,
            reserved_points=estimate.reserved_points,
            price_table=estimate.table,
            charged=round(estimate.points * factor),
        )


def test_each_price_says_what_is_reserved_and_where_it_is_from(folder):
    """The table has every type and resolution; before the first order no ledger is needed or made."""
    done = run()
    assert done.exit_code == 0, done.output
    lines = {tuple(line.split()[:4]): line for line in done.stdout.splitlines()}
    promotion = lines["seedance-2-fast", "480p", "0.048", "0.08"]
    assert promotion.rstrip().endswith("goapi-2026-11 (PiAPI 2026-10): promotion since 2026-09-07 06:00 UTC")
    assert lines["seedance-2", "1080p", "0.50", "0.50"].rstrip().endswith("(PiAPI 2026-10): list price")
    rows = json.loads(run("--json").stdout)
    assert len(rows["prices"]) == sum(
        len(Catalog.load().resolutions(name)) for name in Catalog.load().task_types
    )
    assert rows["outdated"] == []
    assert list(folder.iterdir()) == []


def test_one_type_can_be_shown(folder):
    """Only that type's prices are listed, and another name is answered with those that are known."""
    rows = json.loads(run("seedance-2.5", "--json").stdout)["prices"]
    assert [(row["resolution"], row["usd_per_second"]) for row in rows] == [
        ("480p", "0.15"),
        ("720p", "0.35"),
        ("1080p", "0.80"),
    ]
    done = run("seedance-9")
    assert done.exit_code == 2
    assert "seedance-9 has no price; known types: seedance-2, " in done.output


def test_own_rows_are_shown_with_file_and_row(folder):
    """A row of the team's file is the price of today while it applies."""
    row = "type: seedance-2-fast, resolution: 480p, usd_per_second: 0.04, promotion: true"
    with_prices(folder, f"prices:\n  - {{{row}, valid_until: 2026-12-24}}\n")
    output = run("seedance-2-fast").stdout
    assert "own.yaml, row 1 (SEEDANCE_PRICES): promotion until 2026-12-24 00:00 UTC" in output
    [price, _] = json.loads(run("seedance-2-fast", "--json").stdout)["prices"]
    assert (price["usd_per_second"], price["reserved_usd_per_second"]) == ("0.04", "0.08")


@pytest.mark.parametrize("command", [("prices",), ("plan",), ("plan", "--json")])
def test_a_bad_file_is_said_and_prices_nothing(folder, command):
    """Every problem is printed with file, row and field; nothing is planned at an uncertain price."""
    (folder / "prompt_sets").mkdir()
    (folder / "prompt_sets" / "cats.yaml").write_text("name: cats\nprompts: [{prompt: a cat}]\n")
    with_prices(folder, "prices: [{type: seedance-2, resolution: 8k, usd_per_second: -1}]\n")
    done = CliRunner().invoke(root, command)
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert "the file that SEEDANCE_PRICES names cannot be used" in done.stderr
    assert "own.yaml, row 1 (seedance-2): resolution is '8k'; allowed are 480p, 720p, 1080p" in done.stderr
    assert "own.yaml, row 1 (seedance-2): usd_per_second is -1; allowed are numbers above 0" in done.stderr


@pytest.mark.parametrize(
    ("factor", "rate", "promotion"),
    [(0.75, 0.036, True), (1.25, 0.06, True), (1 / 0.6, 0.08, False), (2, 0.096, False)],
)
def test_charges_that_differ_give_the_row_to_add(ledger, clock, folder, factor, rate, promotion):
    """The row estimates what was charged; one below the list price is a promotion, so that stays reserved."""
    stored(ledger, clock, 3, factor)
    stored(ledger, clock, 3, 1, resolution="720p")
    done = run()
    assert done.exit_code == 1
    assert "seedance-2-fast at 480p: 3 of the newest 3 videos did not cost what was estimated" in done.stdout
    [line] = [line for line in done.stdout.splitlines() if line.startswith("  - {")]
    [outdated] = json.loads(run("--json").stdout)["outdated"]
    expected = {
        "type": "seedance-2-fast",
        "resolution": "480p",
        "usd_per_second": rate,
        "valid_from": "2026-11-20T09:30Z",
    } | ({"promotion": True} if promotion else {})
    assert outdated["row"] == expected
    (folder / "added.yaml").write_text(f"prices:\n{line}\n")
    added = load_catalog(str(folder / "added.yaml")).prices.price("seedance-2-fast", "480p", at=TODAY)
    assert float(added.current.usd_per_second) == rate
    assert float(added.reserved.usd_per_second) == max(rate, 0.08)
    assert yaml.safe_load(line)[0]["type"] == "seedance-2-fast"


def test_other_types_do_not_warn(ledger, clock):
    """Asked for one type, the charges of others do not matter; a few odd charges are no drift."""
    stored(ledger, clock, 3, 2)
    assert run("seedance-2").exit_code == 0
    assert run("seedance-2-fast").exit_code == 1
    stored(ledger, clock, 20, 1)
    assert run().exit_code == 0
