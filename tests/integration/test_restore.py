"""The restore drill: an older backup, or no ledger at all, and nothing is paid again."""

from __future__ import annotations

import shutil

import pytest
from code_location import QUIET, running_location
from harness import read_books
from made_once import open_instance
from restore_support import back_up, command, lose_ledger, objects, restore

from seedance_dagster.defs.steps.binding import check_ledger
from seedance_dagster.ledger.errors import BindingError
from seedance_dagster.ledger.ledger import Identity

pytestmark = [pytest.mark.integration, pytest.mark.further, QUIET]

ORDERED = ("prompts", "tasks")
BEFORE = {"stored": "a stored one", "flying": "one in flight", "queued": "a queued one"}
SINCE = {"new": "a new one", "rejected": "bad [fault:moderation]", "late": "a late one"}
EVERYTHING = BEFORE | SINCE


@pytest.fixture(scope="module")
def drill(s3_server, tmp_path_factory):
    """A code location, its backup of an hour ago, and what was ordered and stored since."""
    folder = tmp_path_factory.mktemp("restore")
    with running_location(folder, s3_server, EVERYTHING, on_disk=True) as location:
        location.control("settings", render_seconds=3600)
        assert location.run("flying", assets=ORDERED).success
        assert location.advance().success
        location.control("settings", render_seconds=0)
        assert location.run("stored").success
        assert location.run("queued", assets=ORDERED).success
        backup = back_up(location)
        assert set(location.run("queued", "rejected").missing) == {"rejected"}
        location.control("settings", render_seconds=3600)
        assert location.run("late", assets=ORDERED).success
        assert location.advance().success
        with location.ledger() as ledger:
            check_ledger(location.instance, ledger, ["spots"])
        yield location, backup


def tasks(location):
    """Return the vendor's own list of the tasks that were made."""
    return [task["task_id"] for task in read_books(location.emulator.url)["tasks"]]


def refusal(location):
    """Return the reason why the ledger may not order for the set, or an empty text."""
    with location.ledger() as ledger:
        try:
            check_ledger(location.instance, ledger, ["spots"])
        except BindingError as error:
            return str(error)
    return ""


def known(location):
    """Return the state, the task and the points in budgets of each order."""
    with location.ledger() as ledger:
        return {
            order.partition: (order.state, order.attempt, order.task_id, order.charge_or_hold)
            for order in ledger.queries.find()
        }


def assert_restored(location, document, before):
    """Check that everything is known again and the ledger may order; order what exists already."""
    assert (document["not_restored"], document["exit_code"]) == ([], 0)
    assert known(location) == before
    assert refusal(location) == ""
    location.run("stored", "late", assets=ORDERED)


@pytest.mark.long
def test_a_backup_is_brought_up_to_date(drill, s3_server, monkeypatch):
    """Orders since the backup are restored as they are, and a run of all prompts pays for nothing (m15)."""
    location, backup = drill
    paid, stored = tasks(location), objects(location)
    before = known(location)
    lose_ledger(location, backup)
    assert known(location) != before
    assert "is an older copy of itself" in refusal(location)
    plan = restore(location, s3_server, monkeypatch)
    assert (plan["exit_code"], plan["behind"], plan["new_ledger"]) == (1, True, False)
    shown = command(location, s3_server, monkeypatch, "restore").stdout
    assert "Nothing was written: run it again with --apply" in shown
    assert "spots/late" in shown
    assert_restored(location, restore(location, s3_server, monkeypatch, "--apply"), before)
    assert (tasks(location), objects(location)) == (paid, stored)


@pytest.mark.long
def test_a_lost_ledger_is_restored(drill, s3_server, monkeypatch):
    """A new ledger gets the id of the lost one and all its orders except unsent ones (m36)."""
    location, _ = drill
    paid, stored = tasks(location), objects(location)
    with location.ledger() as ledger:
        identity = ledger.identity
    before = known(location)
    lose_ledger(location)
    assert "If that is lost, run `seedance-dagster restore`" in refusal(location)
    plan = restore(location, s3_server, monkeypatch)
    assert (plan["new_ledger"], plan["ledger_id"]) == (True, identity.ledger_id)
    assert_restored(location, restore(location, s3_server, monkeypatch, "--apply"), before)
    with location.ledger() as ledger:
        assert ledger.identity == identity
    assert (tasks(location), objects(location)) == (paid, stored)


def test_a_lost_home_is_restored_after_its_first_tick(drill, s3_server, monkeypatch):
    """A new instance that met the new ledger empty lets the lost one take its place (m36)."""
    location, _ = drill
    paid, before = tasks(location), known(location)
    shutil.move(location.folder / "home", location.folder / "lost")
    lose_ledger(location)
    (location.folder / "home").mkdir()
    with monkeypatch.context() as patch, open_instance(location.folder / "home") as new:
        patch.setattr(location, "instance", new)
        assert location.skipped() == "there are no open orders"
        assert "belongs to another ledger" in location.run("stored").message
        plan = restore(location, s3_server, monkeypatch)
        assert plan["new_ledger"]
        with location.ledger() as ledger:
            ledger.take_identity(Identity(plan["ledger_id"], ledger.identity.created_at))  # and killed
        assert "is lost, run `seedance-dagster restore`" in refusal(location)
        assert restore(location, s3_server, monkeypatch, "--apply")["exit_code"] == 0
        assert refusal(location) == ""
        assert location.run("stored").success
        stored = {key: facts for key, facts in before.items() if key == "stored"}
        assert stored.items() <= known(location).items()
    assert tasks(location) == paid


def test_prompt_sets_with_errors_restore_nothing(drill, s3_server, monkeypatch):
    """Tasks cannot be assigned without the prompts: the errors are shown, and nothing is written."""
    location, _ = drill
    broken = location.folder / "prompts" / "broken.yaml"
    broken.write_text("name: broken\nprompts: [{id: a}]\n")
    try:
        done = command(location, s3_server, monkeypatch, "restore", "--apply")
    finally:
        broken.unlink()
    assert done.exit_code == 1
    assert "prompt sets have errors" in done.output
    assert "broken.yaml" in done.output


def test_a_prefix_of_another_ledger_is_refused(drill, s3_server, monkeypatch):
    """If the instance remembers another ledger than the prefix's owner, nothing is restored (m14)."""
    location, _ = drill
    lose_ledger(location)
    done = command(location, s3_server, monkeypatch, "restore", "--apply", prefix="another")
    assert done.exit_code == 1
    assert "this Dagster instance remembers that the ledger with the id" in done.output
    assert "set SEEDANCE_S3_BUCKET and SEEDANCE_S3_PREFIX" in done.output
