"""One instance, one ledger: which ledger orders for a prompt set in a Dagster instance.

Everything that orders, sends or withdraws asks here first. A set that is new to the instance is bound
silently; another ledger than the remembered one is refused, and so is an older copy of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from logging import Logger
from threading import Event, Thread

import dagster as dg

from seedance_dagster.defs.steps.memory import (
    KnownLedger,
    Memory,
    add_keys,
    delete_keys,
    remember_ledger,
    replace_ledger,
    set_key,
)
from seedance_dagster.ledger.errors import BindingError, LedgerBehindError, LedgerError
from seedance_dagster.ledger.ledger import Ledger

_EVERY_S = 2.0  # should the ledger be lost, nobody knows what was written after the last look
_MAX_CLOCK_DIFFERENCE = timedelta(minutes=5)
_BY_HAND = "`seedance-dagster sync --use-this-ledger`"
_RESTORE = "`seedance-dagster restore`, which brings it up to date from vendor, S3 and Dagster"


def check_ledger(instance: dg.DagsterInstance, ledger: Ledger, prompt_sets: Collection[str]) -> None:
    """Let a ledger order for some sets, if it may; sets that are new to the instance are its own from now on.

    Raises:
        BindingError: Another ledger orders for one of them, this one is behind, or the clocks differ;
            nothing was remembered.
        LedgerError: The ledger cannot be read.
    """
    memory, ledger_id = Memory.of(instance), ledger.identity.ledger_id
    _check_clock(ledger)
    _check_bound(memory, ledger, prompt_sets)
    _check_not_behind(memory, ledger)
    new = [name for name in prompt_sets if name not in memory.ledger_ids]
    if new:
        add_keys(instance, [set_key(name, ledger_id) for name in new])
        try:
            # Read back, as another ledger may have come first.
            _check_bound(Memory.of(instance), ledger, new)
        except BindingError:
            delete_keys(instance, (set_key(name, ledger_id) for name in new))
            raise
    remember_progress(instance, ledger)


def check_known(instance: dg.DagsterInstance, ledger: Ledger) -> None:
    """Check that the instance knows a ledger, if it knows any, and that it is not an older copy.

    Raises:
        BindingError: It is unknown, or an older copy.
        LedgerError: The ledger cannot be read.
    """
    memory = Memory.of(instance)
    if memory.ledgers and ledger.identity.ledger_id not in memory.ledgers:
        raise BindingError(_another_ledger("prompt sets", memory, list(memory.ledgers), ledger))
    _check_not_behind(memory, ledger)


def remember_progress(instance: dg.DagsterInstance, ledger: Ledger) -> None:
    """Remember how far a ledger has come, so that an older copy of it is recognized.

    Raises:
        BindingError: It is an older copy already, and the remembered progress stays.
        LedgerError: The ledger cannot be read.
    """
    known, memory = _as_it_is(ledger), Memory.of(instance)
    if memory.ledgers.get(known.ledger_id) != known:
        _check_not_behind(memory, ledger)  # a copy that overtook what it lost would hide that forever
        remember_ledger(instance, known)


def mark_caught_up(instance: dg.DagsterInstance, ledger: Ledger) -> None:
    """Remember a restored ledger as it is now, although it was behind; raise `LedgerError`."""
    replace_ledger(instance, _as_it_is(ledger))


def rebind(instance: dg.DagsterInstance, ledger: Ledger, prompt_sets: Iterable[str]) -> None:
    """Let a ledger order for some sets instead of any other, as it is now; raise `LedgerError`."""
    names, ledger_id, memory = list(prompt_sets), ledger.identity.ledger_id, Memory.of(instance)
    mark_caught_up(instance, ledger)
    for name in names:
        add_keys(instance, [set_key(name, ledger_id)])
        others = [other for other in memory.ledger_ids.get(name, []) if other != ledger_id]
        delete_keys(instance, (set_key(name, other) for other in others))


def _as_it_is(ledger: Ledger) -> KnownLedger:
    return KnownLedger(ledger.identity.ledger_id, ledger.journal.position(), ledger.label)


def _check_bound(memory: Memory, ledger: Ledger, prompt_sets: Collection[str]) -> None:
    own_id = ledger.identity.ledger_id
    by_others = {
        name: others
        for name in prompt_sets
        if (others := [other for other in memory.ledger_ids.get(name, []) if other != own_id])
    }
    if by_others:
        ids = dict.fromkeys(ledger_id for others in by_others.values() for ledger_id in others)
        raise BindingError(_another_ledger(", ".join(sorted(by_others)), memory, list(ids), ledger))


def _check_clock(ledger: Ledger) -> None:
    difference = ledger.clock_difference()
    if abs(difference) > _MAX_CLOCK_DIFFERENCE:
        word = "ahead of" if difference > timedelta(0) else "behind"
        raise BindingError(
            f"this machine's clock is {abs(difference).total_seconds() / 60:.0f} minutes {word} that of the "
            f"ledger's database, {ledger.label}: orders would count in the budget of another day. Set both "
            "by a time service (NTP). Nothing was ordered or sent"
        )


def _check_not_behind(memory: Memory, ledger: Ledger) -> None:
    known = memory.ledgers.get(ledger.identity.ledger_id)
    if known is None or known.position is None or ledger.journal.contains(known.position):
        return
    entry, position = known.position.entry_id, ledger.journal.position()
    if position is None:
        difference = "here it has no entry"
    elif position.entry_id < entry:
        difference = f"here it ends at entry {position.entry_id}"
    else:
        difference = "here that entry says something else"
    raise BindingError(
        f"the ledger {_describe(ledger.label, known.ledger_id)} is an older copy of itself, such as a "
        f"restored backup: this Dagster instance remembers its journal up to entry {entry}, and "
        f"{difference}. It does not know what was ordered and paid for since, so nothing was ordered or "
        f"sent. Run {_RESTORE}. To use it as it is, and perhaps pay for that again, run {_BY_HAND}"
    )


def _another_ledger(sets: str, memory: Memory, ids: Collection[str], ledger: Ledger) -> str:
    others = " and ".join(
        _describe(memory.ledgers[ledger_id].label if ledger_id in memory.ledgers else "", ledger_id)
        for ledger_id in ids
    )
    return (
        f"{sets}: this Dagster instance orders from the ledger {others}. The ledger here is "
        f"{_describe(ledger.label, ledger.identity.ledger_id)}, which does not know what the other ordered "
        "and paid for, so nothing was ordered or sent. Set SEEDANCE_LEDGER_URL to the other ledger. If that "
        f"is lost, run {_RESTORE}. To use this one as it is, and perhaps pay for everything again, run "
        f"{_BY_HAND}"
    )


def _describe(label: str, ledger_id: str) -> str:
    return f"{label} (id {ledger_id})" if label else f"with the id {ledger_id}"


def try_to_remember(
    instance: dg.DagsterInstance, ledger: Ledger, log: Logger, *, logged: str | None = None
) -> str | None:
    """Try to remember how far a ledger has come; if that fails, an older copy may go unnoticed later.

    Returns:
        Why it failed, which is logged unless it is `logged` already; None if it did not.

    Raises:
        BindingError: It is an older copy.
    """
    try:
        remember_progress(instance, ledger)
    except BindingError:
        raise
    except Exception as error:  # noqa: BLE001  Dagster's storage may raise anything, and work goes on
        reason = str(error) if isinstance(error, LedgerError) else type(error).__name__
        if reason != logged:
            log.warning(f"how far the ledger has come could not be remembered: {reason}")
        return reason
    return None


@contextmanager
def progress_remembered(instance: dg.DagsterInstance, ledger: Ledger, log: Logger) -> Iterator[None]:
    """Remember how far a ledger has come every two seconds while the block runs, and at its end.

    A thread does so, so that no POST waits for it.

    Raises:
        BindingError: An older copy took the ledger's place.
    """
    done = Event()

    def keep() -> None:
        reason = None
        with suppress(BindingError):  # raised at the end
            while not done.wait(_EVERY_S):
                reason = try_to_remember(instance, ledger, log, logged=reason)

    thread = Thread(target=keep, name="seedance-ledger-progress", daemon=True)
    thread.start()
    try:
        yield
    except LedgerBehindError as error:
        # What the work saw in the last two seconds, too: runs and ticks compare with it.
        remember_ledger(instance, KnownLedger(ledger.identity.ledger_id, error.position, ledger.label))
        raise
    except BaseException:
        with suppress(BindingError):  # the error of the work comes first
            try_to_remember(instance, ledger, log)
        raise
    else:
        try_to_remember(instance, ledger, log)
    finally:
        done.set()
        thread.join()
