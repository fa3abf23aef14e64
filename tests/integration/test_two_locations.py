"""Two code locations, or two ledgers, in one Dagster instance: the second is refused and orders nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from code_location import QUIET, RANGE_END, RANGE_START, CodeLocation, running_location
from factories import open_ledger

from seedance_dagster import LedgerResource, build_seedance_definitions
from seedance_dagster.ledger.base import utc_now
from seedance_dagster.ledger.order import State

pytestmark = [pytest.mark.integration, QUIET]


@pytest.fixture(scope="module")
def location(s3_server, tmp_path_factory):
    """The code location that was first: its set `spots` is bound."""
    with running_location(tmp_path_factory.mktemp("first"), s3_server, {"one": "one"}) as location:
        yield location


@pytest.fixture(scope="module")
def second(location, tmp_path_factory) -> CodeLocation:
    """Another project with a set of that name, on the same instance and ledger."""
    folder = tmp_path_factory.mktemp("second")
    (folder / "prompts").mkdir()
    other = replace(location, folder=folder)
    other.write({"two": "two"})
    other.reload()
    return other


def copy(ledger: Path, to: Path) -> None:
    """Make a backup as SQLite does."""
    with closing(sqlite3.connect(ledger)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


@pytest.mark.further
def test_a_second_set_of_a_name_is_refused(location, second):
    """Tick and run name the conflict, order nothing, and leave the other's partitions (case d5)."""
    reason = second.skipped()
    assert f"spots: in this Dagster instance this prompt set is read from {location.folder}/prompts" in reason
    assert "key_prefix" in reason
    assert location.skipped() == "there are no open orders"
    assert location.partitions() == ["one"]
    result = second.run("one")
    assert "spots: in this Dagster instance this prompt set is read from" in result.message
    assert result.message.endswith("Nothing was ordered")
    pending = second.defs.resolve_job_def("seedance_order_pending")
    run = pending.execute_in_process(
        instance=second.instance,
        run_config={"ops": {"order": {"config": {"max_cost_usd": 5.0}}}},
        raise_on_error=False,
    )
    assert not run.success
    assert location.books()["posts"] == 0


@pytest.mark.long
def test_a_key_prefix_lets_both_work(location, second):
    """Asset keys, partitions, ledger and S3 have the prefix, and the first set is not touched (case d5)."""
    second.defs = build_seedance_definitions(
        second.folder / "prompts", key_prefix="team_b", **second.resources
    )
    assert second.skipped() == "there are no open orders"
    assert (second.partitions(), second.partitions("team_b.spots")) == (["one"], ["two"])
    job = second.defs.resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey(["team_b", "spots", asset]) for asset in ("prompts", "tasks", "videos", "index")]
    run = job.execute_in_process(
        instance=second.instance,
        asset_selection=keys[:3],
        tags={RANGE_START: "two", RANGE_END: "two"},
        raise_on_error=False,
    )
    assert run.success
    [video] = second.instance.fetch_materializations(keys[2], limit=10).records
    assert "/team_b.spots/two/" in str(video.asset_materialization.metadata["dagster/uri"].value)
    [order] = second.orders("two", "team_b.spots")
    assert order.state is State.STORED
    assert location.partitions() == ["one"]
    assert location.books()["posts"] == 1


def test_another_ledger_orders_nothing(location):
    """Tick, run, advance and checks are refused with both ledgers named (case m36)."""
    posts = location.books()["posts"]
    with location.using(ledger=LedgerResource(url=f"sqlite:///{location.folder}/new.db")):
        for words in (location.skipped(), location.run("one").message):
            assert f"sqlite:///{location.folder}/ledger.db (id " in words
            assert f"sqlite:///{location.folder}/new.db (id " in words
            assert "sync --use-this-ledger" in words
    with open_ledger(f"sqlite:///{location.folder}/new.db", utc_now) as new:
        assert new.workload.counts() == {}
    assert location.books()["posts"] == posts
    assert location.run("one").success


def test_an_older_copy_sends_nothing(location, tmp_path):
    """A backup with a queued order is not advanced, though the order was sent since (case m15)."""
    location.write({"one": "one", "three": "three"})
    location.tick()
    assert location.run("three", assets=("tasks",)).success
    backup = tmp_path / "backup.db"
    with location.ledger() as ledger:
        assert [order.state for order in ledger.queries.find(states={State.QUEUED})] == [State.QUEUED]
    copy(location.folder / "ledger.db", backup)
    assert location.advance().success
    posts = location.books()["posts"]
    with location.using(ledger=LedgerResource(url=f"sqlite:///{backup}")):
        for words in (location.skipped(), location.advance().message, location.run("three").message):
            assert "is an older copy of itself" in words
            assert "seedance-dagster restore" in words
    assert location.books()["posts"] == posts
