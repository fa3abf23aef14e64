"""Moving a ledger to another database: everything comes along, its id too, and the old one is closed."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from factories import open_ledger, read_prompts, remove_row
from order_factory import OrderFactory

from seedance_dagster.cli.root import root
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.errors import LedgerError, LedgerUnavailableError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State
from seedance_dagster.money import Window

TOTAL = Budget(window=Window.TOTAL, points=10**12)


@pytest.fixture
def old(tmp_path, clock):
    """A ledger in SQLite with an order in every state."""
    with open_ledger(f"sqlite:///{tmp_path}/old.db", clock) as opened:
        factory = OrderFactory(opened, clock)
        for state in State:
            factory.make(state, state.value)
            factory.ledger.tasks.release("w")
        read_prompts(opened, "spots", {"queued": "f-queued"})
        opened.pauses.start("credits", until=clock(), message="low")
        yield opened


@pytest.mark.each_database
def test_everything_comes_along(old, ledger, ledger_url):
    """Orders, journals, money and id are the same in either database, and numbers continue (d1)."""
    before = (old.identity, old.queries.find(), old.journal.position(), old.budgets.usage([TOTAL]))
    journals = old.queries.journals(order.order_id for order in before[1])
    remove_row(old, before[1][-1].order_id)
    rows = old.moving.move_to(ledger.moving, label=ledger.label)
    assert rows["seedance_orders"] == len(State) - 1
    orders = ledger.queries.find()
    assert orders == before[1][:-1]
    assert ledger.queries.journals(order.order_id for order in before[1]) == journals
    with_id = Ledger.open(ledger_url)
    assert (with_id.identity, with_id.journal.position()) == (before[0], before[2])
    assert with_id.journal.contains(before[2])
    with_id.close()
    placed = OrderFactory(ledger, ledger.orders._clock).make(State.QUEUED, "another")
    assert placed.order_id == before[1][-1].order_id + 1


@pytest.mark.each_database
def test_a_ledger_moves_from_either_database(ledger_url, clock, tmp_path):
    """From PostgreSQL back to a file, everything comes along as well, and the old one is closed."""
    with open_ledger(ledger_url, clock) as ledger, open_ledger(f"sqlite:///{tmp_path}/new.db", clock) as new:
        orders = OrderFactory(ledger, clock)
        orders.make(State.STORED, "a")
        orders.make(State.QUEUED, "b")
        before = (ledger.identity, ledger.queries.find(), ledger.budgets.usage([TOTAL]))
        ledger.moving.move_to(new.moving, label=new.label)
        with pytest.raises(LedgerUnavailableError):
            ledger.claims.take("w", limit=1, max_in_flight=None)
    with open_ledger(f"sqlite:///{tmp_path}/new.db", clock) as new:
        assert (new.identity, new.queries.find(), new.budgets.usage([TOTAL])) == before


def test_the_old_one_is_closed(old, ledger, orders):
    """The old ledger cannot be opened, and a process that has it open can no longer send anything."""
    url = str(old._database._engine.url)
    old.moving.move_to(ledger.moving, label="postgresql://db/ledger")
    with pytest.raises(LedgerError, match="was moved to postgresql://db/ledger: set SEEDANCE_LEDGER_URL"):
        Ledger.open(url)
    with pytest.raises(LedgerUnavailableError):
        old.claims.take("w", limit=1, max_in_flight=None)


def test_a_ledger_with_orders_is_not_overwritten(old, ledger, orders):
    """A target with orders is refused, and both ledgers stay as they are (m14)."""
    orders.make(State.QUEUED)
    before = (old.queries.find(), ledger.queries.find())
    with pytest.raises(LedgerError, match="holds a ledger with orders: name an empty one"):
        old.moving.move_to(ledger.moving, label="x")
    assert (old.queries.find(), ledger.queries.find()) == before
    Ledger.open(str(old._database._engine.url)).close()


def test_a_copy_that_differs_moves_nothing(old, ledger):
    """The old ledger stays in use and the other one empty, if the copy is not the original."""
    with ledger._database.writing() as connection:
        connection.execute(
            sa.text(
                "CREATE TRIGGER damage AFTER INSERT ON seedance_pauses "
                "BEGIN UPDATE seedance_pauses SET message = 'another'; END"
            )
        )
    with pytest.raises(LedgerError, match=r"the copy of seedance_pauses differs .* nothing was moved"):
        old.moving.move_to(ledger.moving, label="x")
    assert ledger.queries.find() == []
    assert old.claims.take("w", limit=9, max_in_flight=None)


def test_the_command_moves_by_one_line(old, tmp_path, monkeypatch):
    """One command moves the ledger, says what to set, and refuses to do it again."""
    monkeypatch.setenv("SEEDANCE_LEDGER_URL", f"sqlite:///{tmp_path}/old.db")
    target = f"sqlite:///{tmp_path}/new.db"
    done = CliRunner().invoke(root, ["move-ledger", target], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert f"The ledger {old.identity.ledger_id} is at {target} now: set SEEDANCE_LEDGER_URL" in done.output
    again = CliRunner().invoke(root, ["move-ledger", f"sqlite:///{tmp_path}/third.db"])
    assert again.exit_code == 1
    assert f"was moved to {target}" in again.output


def test_the_command_refuses_its_own_place_and_a_busy_ledger(old, clock, tmp_path, monkeypatch):
    """A ledger is not moved onto itself, nor from under a worker."""
    url = f"sqlite:///{tmp_path}/old.db"
    monkeypatch.setenv("SEEDANCE_LEDGER_URL", url)
    same = CliRunner().invoke(root, ["move-ledger", url])
    assert same.exit_code == 2
    assert "the ledger is in that database already" in same.output
    clock.forward(seconds=3600)
    assert old.claims.take(
        "run 7", limit=1, max_in_flight=None, lease_s=10**9
    )  # the command has its own clock
    busy = CliRunner().invoke(root, ["move-ledger", f"sqlite:///{tmp_path}/new.db"])
    assert busy.exit_code == 1
    assert "run 7 works with the ledger" in busy.output
    assert not (tmp_path / "new.db").exists()


def test_the_command_refuses_its_own_place_by_another_name(old, tmp_path, monkeypatch):
    """A link to the ledger's folder, or a copy that an interrupted move left, is named at once."""
    monkeypatch.setenv("SEEDANCE_LEDGER_URL", f"sqlite:///{tmp_path}/old.db")
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    same = CliRunner().invoke(root, ["move-ledger", f"sqlite:///{tmp_path}/link/old.db"])
    assert same.exit_code == 1
    assert "is this ledger under another name, or a copy of it" in same.output
    assert old.claims.take("w", limit=9, max_in_flight=None)


def test_the_command_moves_no_empty_ledger_and_into_no_old_copy(old, tmp_path, monkeypatch):
    """A misspelled URL is an empty ledger, and the way back leads into a new database."""
    old_url, new_url = f"sqlite:///{tmp_path}/old.db", f"sqlite:///{tmp_path}/new.db"
    monkeypatch.setenv("SEEDANCE_LEDGER_URL", f"sqlite:///{tmp_path}/odl.db")
    empty = CliRunner().invoke(root, ["move-ledger", new_url])
    assert empty.exit_code == 1
    assert f"the ledger sqlite:///{tmp_path}/odl.db is empty, so there is nothing to move" in empty.output
    assert not (tmp_path / "new.db").exists()
    monkeypatch.setenv("SEEDANCE_LEDGER_URL", old_url)
    assert CliRunner().invoke(root, ["move-ledger", new_url]).exit_code == 0
    monkeypatch.setenv("SEEDANCE_LEDGER_URL", new_url)
    back = CliRunner().invoke(root, ["move-ledger", old_url])
    assert back.exit_code == 1
    assert f"{old_url} is the closed old copy of a ledger that was moved to {new_url}: name an" in back.output
    assert CliRunner().invoke(root, ["move-ledger", f"sqlite:///{tmp_path}/third.db"]).exit_code == 0
