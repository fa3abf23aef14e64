"""An instance's memory of how far a ledger has come."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from threading import Barrier, Thread

import dagster as dg
import pytest
from binding_support import copy, place
from factories import open_ledger

from seedance_dagster.defs.steps import binding, memory
from seedance_dagster.defs.steps.binding import (
    check_known,
    check_ledger,
    progress_remembered,
    remember_progress,
)
from seedance_dagster.defs.steps.memory import MEMORY, Memory
from seedance_dagster.ledger.errors import BindingError, LedgerBehindError, LedgerUnavailableError
from seedance_dagster.ledger.position import Position


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that remembers nothing."""
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def test_progress_never_goes_back(instance, ledger):
    """A slow writer that remembers less comes last, and changes nothing."""
    place(ledger, "cat")
    slow = binding._as_it_is(ledger)
    place(ledger, "dog")
    remember_progress(instance, ledger)
    memory.remember_ledger(instance, slow)
    assert Memory.of(instance).ledgers[slow.ledger_id].position == ledger.journal.position()


def test_a_copy_that_overtook_what_it_lost_does_not_replace_its_memory(instance, ledger, tmp_path, clock):
    """A run that goes on after a failover writes higher entries, and the lost ones stay remembered."""
    place(ledger, "cat")
    backup = copy(ledger, f"{tmp_path}/backup.db")
    place(ledger, "dog")
    remember_progress(instance, ledger)
    clock.forward(seconds=1)
    with open_ledger(backup, clock) as behind:
        with (
            pytest.raises(BindingError, match="is an older copy of itself"),
            progress_remembered(instance, behind, logging.getLogger()),
        ):
            place(behind, "fox", "owl")
        assert Memory.of(instance).ledgers[ledger.identity.ledger_id].position == ledger.journal.position()


def test_what_a_run_saw_before_the_ledger_went_back_is_remembered(instance, ledger):
    """The next runs are refused too, although the progress of the last two seconds was not remembered yet."""
    place(ledger, "cat")
    lost = Position(7, "lost")
    with (
        pytest.raises(LedgerBehindError),
        progress_remembered(instance, ledger, logging.getLogger()),
    ):
        raise LedgerBehindError(ledger.label, lost)
    with pytest.raises(BindingError, match="up to entry 7, and here it ends at entry 1"):
        check_known(instance, ledger)


def test_many_may_remember_at_once(tmp_path, ledger):
    """Threads of several runs write the same keys: none fails, and one key is left at the end."""
    place(ledger, *(f"p{number}" for number in range(5)))
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        barrier, failures = Barrier(4), list[Exception]()

        def work() -> None:
            barrier.wait()
            try:
                for _ in range(5):
                    check_ledger(instance, ledger, ["spots"])
            except Exception as error:  # noqa: BLE001  whatever it is, the test shows it
                failures.append(error)

        threads = [Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(instance.get_dynamic_partitions(MEMORY)) == 2


def test_progress_is_remembered_while_work_goes_on(instance, ledger, monkeypatch):
    """A run that is killed has left its progress a moment ago, and one that ends leaves all of it."""
    monkeypatch.setattr(binding, "_EVERY_S", 0.01)
    remembered = []
    real = binding.remember_progress
    monkeypatch.setattr(
        binding, "remember_progress", lambda *arguments: (real(*arguments), remembered.append(1))
    )
    with progress_remembered(instance, ledger, logging.getLogger()):
        place(ledger, "cat")
        before = len(remembered)
        while len(remembered) < before + 2:
            pass
        assert Memory.of(instance).ledgers[ledger.identity.ledger_id].position == ledger.journal.position()
        place(ledger, "dog")
    assert Memory.of(instance).ledgers[ledger.identity.ledger_id].position == ledger.journal.position()


def test_trouble_with_memory_ends_no_work(instance, ledger, monkeypatch, caplog):
    """Orders are sent despite trouble with the memory, and the log says what is at risk."""

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(binding, "remember_progress", fail)
    with progress_remembered(instance, ledger, logging.getLogger("seedance_dagster")):
        place(ledger, "cat")
    assert "could not be remembered: OSError" in caplog.text


def test_trouble_that_lasts_is_logged_once(instance, ledger, monkeypatch, caplog):
    """A database that is away for minutes fills no log: each line is an event in Dagster's own storage."""
    monkeypatch.setattr(binding, "_EVERY_S", 0.01)
    failures = []

    def fail(*_: object) -> None:
        failures.append(1)
        raise LedgerUnavailableError("the ledger did not answer")

    monkeypatch.setattr(binding, "remember_progress", fail)
    with progress_remembered(instance, ledger, logging.getLogger("seedance_dagster")):
        while len(failures) < 5:
            pass
        logged = caplog.text.count("could not be remembered: the ledger did not answer")
    assert logged == 1
