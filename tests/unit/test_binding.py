"""One Dagster instance, one ledger: which ledger may order for a prompt set."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest
from binding_support import copy, place
from factories import Clock, open_ledger

from seedance_dagster.defs.steps import binding, memory
from seedance_dagster.defs.steps.binding import (
    check_known,
    check_ledger,
    mark_caught_up,
    rebind,
    remember_progress,
)
from seedance_dagster.defs.steps.memory import MEMORY, Memory
from seedance_dagster.ledger.errors import BindingError
from seedance_dagster.ledger.ledger import Ledger


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that remembers nothing."""
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture
def other(tmp_path, clock: Clock) -> Iterator[Ledger]:
    """Another ledger, without orders."""
    with open_ledger(f"sqlite:///{tmp_path}/other.db", clock) as opened:
        yield opened


def test_a_new_instance_takes_an_existing_ledger(instance, ledger):
    """An instance that remembers nothing takes an existing ledger without a question."""
    place(ledger, "cat", "dog")
    check_ledger(instance, ledger, ["spots"])
    check_ledger(instance, ledger, ["spots", "more"])
    known = Memory.of(instance)
    assert known.ledger_ids == {name: [ledger.identity.ledger_id] for name in ("spots", "more")}
    assert known.ledgers[ledger.identity.ledger_id].position == ledger.journal.position()


def test_another_ledger_is_refused_for_a_bound_set(instance, ledger, other):
    """Both ids and databases are named, and what to do; other sets may have it (case m36)."""
    check_ledger(instance, ledger, ["spots"])
    with pytest.raises(BindingError) as caught:
        check_ledger(instance, other, ["spots", "new"])
    words = str(caught.value)
    for part in (ledger.label, ledger.identity.ledger_id, other.label, other.identity.ledger_id):
        assert part in words
    assert words.startswith("spots: this Dagster instance orders from the ledger")
    assert "Set SEEDANCE_LEDGER_URL" in words
    assert "seedance-dagster restore" in words
    assert "sync --use-this-ledger" in words
    check_ledger(instance, other, ["new"])
    assert Memory.of(instance).ledger_ids["spots"] == [ledger.identity.ledger_id]


def test_a_ledger_whose_file_is_gone_is_refused(instance, tmp_path, clock):
    """A new empty file in its place is another ledger (case m36)."""
    url = f"sqlite:///{tmp_path}/lost.db"
    with open_ledger(url, clock) as lost:
        place(lost, "cat")
        check_ledger(instance, lost, ["spots"])
    for file in tmp_path.glob("lost.db*"):
        file.unlink()
    with (
        open_ledger(url, clock) as empty,
        pytest.raises(BindingError, match="does not know what the other ordered"),
    ):
        check_ledger(instance, empty, ["spots"])


def test_an_older_copy_is_refused_until_it_is_restored(instance, ledger, tmp_path, clock):
    """A backup does not know what was sent since it was made (case m15)."""
    place(ledger, "cat")
    backup = copy(ledger, f"{tmp_path}/backup.db")
    check_ledger(instance, ledger, ["spots"])
    place(ledger, "dog")
    remember_progress(instance, ledger)
    with open_ledger(backup, clock) as restored:
        with pytest.raises(
            BindingError, match=r"entry 2, and here it ends at entry 1.*seedance-dagster restore"
        ):
            check_ledger(instance, restored, ["spots"])
        with pytest.raises(BindingError, match="older copy of itself"):
            check_known(instance, restored)
        mark_caught_up(instance, restored)
        check_ledger(instance, restored, ["spots"])
        clock.forward(seconds=1)
        place(restored, "fox")
        check_ledger(instance, restored, ["spots"])
    # What the lost one had is another history now.
    with pytest.raises(BindingError, match="here that entry says something else"):
        check_ledger(instance, ledger, ["spots"])


def test_a_copy_that_went_on_by_itself_is_refused(instance, ledger, tmp_path, clock):
    """A backup that went on is refused even with as many entries as the lost ledger (case m15)."""
    place(ledger, "cat")
    backup = copy(ledger, f"{tmp_path}/backup.db")
    place(ledger, "dog")
    check_ledger(instance, ledger, ["spots"])
    clock.forward(seconds=1)
    with open_ledger(backup, clock) as restored:
        place(restored, "fox", "owl")
        with pytest.raises(BindingError, match="here that entry says something else"):
            check_ledger(instance, restored, ["spots"])


def test_a_ledger_that_lost_all_rows_is_behind(instance, ledger, tmp_path, clock):
    """A backup of the first day has the id and no order."""
    backup = copy(ledger, f"{tmp_path}/backup.db")
    place(ledger, "cat")
    check_ledger(instance, ledger, ["spots"])
    with open_ledger(backup, clock) as empty, pytest.raises(BindingError, match="here it has no entry"):
        check_ledger(instance, empty, ["spots"])


def test_a_ledger_may_be_moved(instance, ledger, tmp_path, clock):
    """A ledger may be moved: id and journal count, not the place, and the newest place is remembered."""
    place(ledger, "cat")
    check_ledger(instance, ledger, ["spots"])
    with open_ledger(copy(ledger, f"{tmp_path}/moved.db"), clock) as moved:
        check_ledger(instance, moved, ["spots"])
        assert Memory.of(instance).ledgers[moved.identity.ledger_id].label == moved.label
    assert sum(key.startswith("ledger:") for key in instance.get_dynamic_partitions(MEMORY)) == 1


def test_a_ledger_is_rebound_by_hand(instance, ledger, other):
    """After rebinding by hand, the first ledger is the one that is refused."""
    check_ledger(instance, ledger, ["spots", "more"])
    rebind(instance, other, ["spots"])
    check_ledger(instance, other, ["spots"])
    with pytest.raises(BindingError, match=r"^spots: "):
        check_ledger(instance, ledger, ["spots", "more"])
    check_ledger(instance, ledger, ["more"])


def test_an_older_copy_may_be_used_by_hand(instance, ledger, tmp_path, clock):
    """A person may rebind an older copy, which forgets the remembered progress."""
    backup = copy(ledger, f"{tmp_path}/backup.db")
    place(ledger, "cat")
    check_ledger(instance, ledger, ["spots"])
    with open_ledger(backup, clock) as older:
        rebind(instance, older, ["spots"])
        check_ledger(instance, older, ["spots"])


def test_commands_on_a_ledger_that_the_instance_does_not_know_are_refused(instance, ledger, other):
    """Commands on an unknown ledger are refused, unless the instance knows none at all."""
    check_known(instance, other)
    check_ledger(instance, ledger, ["spots"])
    check_known(instance, ledger)
    with pytest.raises(BindingError, match="prompt sets: this Dagster instance orders from the ledger"):
        check_known(instance, other)


@pytest.mark.parametrize("turn", [0, 1])
def test_two_ledgers_that_come_first_at_once_are_never_both_let_in(
    instance, ledger, other, monkeypatch, turn
):
    """Of two ledgers at once at most one is accepted, and a refused one leaves no trace."""
    add = memory.add_keys

    def add_behind_the_other(instance, keys):
        add(instance, [memory.set_key("spots", other.identity.ledger_id)])
        add(instance, keys)

    monkeypatch.setattr(binding, "add_keys", add_behind_the_other)
    with pytest.raises(BindingError):
        check_ledger(instance, ledger, ["spots"])
    assert Memory.of(instance).ledger_ids["spots"] == [other.identity.ledger_id]


@pytest.mark.parametrize(("minutes", "words"), [(61, "61 minutes ahead of"), (-61, "61 minutes behind")])
def test_clocks_an_hour_apart_order_nothing(instance, ledger, monkeypatch, minutes, words):
    """With clocks an hour apart nothing is ordered; the message names both clocks and what to do."""
    monkeypatch.setattr(Ledger, "clock_difference", lambda _: timedelta(minutes=minutes))
    with pytest.raises(BindingError, match=f"this machine's clock is {words} that of the ledger's database"):
        check_ledger(instance, ledger, ["spots"])
    assert Memory.of(instance).ledger_ids == {}


@pytest.mark.parametrize("key", ["", "set", "ledger:x", "ledger:x:y:z:u", "a:b:c:d:e:f"])
def test_keys_of_others_are_ignored(instance, ledger, key):
    """Keys that other programs or people added are ignored."""
    instance.add_dynamic_partitions(MEMORY, [key])
    check_ledger(instance, ledger, ["spots"])


@pytest.mark.each_database
def test_a_position_is_the_same_on_each_database(ledger):
    """A position survives reopening on each database, and an empty ledger has none."""
    assert ledger.journal.position() is None
    place(ledger, "cat")
    position = ledger.journal.position()
    assert position.entry_id == 1
    assert ledger.journal.contains(position)
    place(ledger, "dog")
    assert ledger.journal.contains(position)
    assert ledger.journal.position() > position
