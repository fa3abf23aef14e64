"""The `archive` command: its output and its errors."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta

import pytest
from archive_support import part_keys
from click.testing import CliRunner, Result
from factories import Clock, open_ledger
from order_factory import OrderFactory
from stores import MemoryStore

from seedance_dagster.cli.root import root
from seedance_dagster.ledger.order import State
from seedance_dagster.settings import Settings


@pytest.fixture
def store(tmp_path, monkeypatch) -> MemoryStore:
    """The store of commands on a ledger with one order of 100 days ago, and one of today."""
    memory, clock = MemoryStore(), Clock(datetime.now(UTC) - timedelta(days=100))
    with open_ledger(f"sqlite:///{tmp_path}/ledger.db", clock) as ledger:
        orders = OrderFactory(ledger, clock)
        orders.make(State.STORED, "old", reported=True)
        clock.forward(days=100)
        orders.make(State.STORED, "new", reported=True)
    monkeypatch.chdir(tmp_path)  # `make dev` may have run in the checkout
    monkeypatch.setenv("SEEDANCE_LEDGER_URL", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setattr(Settings, "open_store", lambda _: memory)
    return memory


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["archive", *arguments])


def test_a_plan_comes_first(store):
    """Without --apply the command writes nothing, and says what it would archive."""
    done = run()
    assert done.exit_code == 0, done.output
    assert "1 order that ended before" in done.stdout
    assert (
        "5 entries of the journal, would be moved to s3://videos/seedance/.journal/*.parquet" in done.stdout
    )
    assert "Nothing was written: run it again with --apply" in done.stdout
    assert store.objects == {}


def test_it_archives_and_has_nothing_left(store):
    """With --apply the command says what it moved; a second time there is nothing to move."""
    done = run("--apply")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(
        "Moved 5 entries of the journal, in 1 file, to s3://videos/seedance/.journal/"
    )
    assert run().stdout.startswith("No order that ended before")
    assert run("--apply").stdout.startswith("Moved 0 entries of the journal, in 0 files")
    assert len(part_keys(store)) == 1


def test_json_has_stable_names(store):
    """The document has stable names for what was found and for the files written."""
    document = json.loads(run("--json", "--apply").stdout)
    names = ("before", "place", "applied", "orders", "entries", "first_at", "last_at", "files")
    assert tuple(document) == names
    assert (document["orders"], document["entries"], document["applied"]) == (1, 5, True)
    [file] = document["files"]
    assert {file["key"]} == part_keys(store)


@pytest.mark.parametrize("age", ["6d", "0d", "90", "24h", "-90d", "soon"])
def test_an_age_that_cannot_be_used(store, age):
    """For an invalid age the message says what is allowed."""
    done = run(f"--older-than={age}", "--apply")
    assert done.exit_code == 2
    assert f"{age!r} cannot be used; allowed are days from 7d, such as 90d" in done.output
    assert store.objects == {}


def test_without_a_bucket(store):
    """Without a bucket the message names the variable to set."""
    store.bucket = ""
    done = run("--apply")
    assert done.exit_code == 1
    assert "Error: no bucket: set SEEDANCE_S3_BUCKET" in done.output


def test_without_pyarrow(store, monkeypatch):
    """Without pyarrow the message names the extra to install, before anything is written."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    done = run("--apply")
    assert done.exit_code == 1
    assert "pip install 'seedance-dagster[parquet]'" in done.output
    assert store.objects == {}
