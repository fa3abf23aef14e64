"""The account's balance as evidence, noted only when the ledger accounts for all missing points."""

from __future__ import annotations

from seedance_dagster.engine.account import BALANCE
from seedance_dagster.ledger.order import State


def test_a_balance_with_an_unseen_refund_is_not_noted(start_engine, clock):
    """A balance is not noted while a refund in it is unseen, since its points would later seem missing."""
    engine = start_engine()
    name = f"{BALANCE} of account {engine.account_name}"
    engine.place("a dog [fault:vendor-trouble]")
    engine.submit()
    before = engine.ledger.observations.recall(name)[name]
    clock.forward(seconds=3600)
    engine.read_account()  # the vendor gave the dog's points back, the ledger does not know it yet
    assert engine.ledger.observations.recall(name) == {name: before}
    engine.poll()
    engine.read_account()
    assert engine.ledger.observations.recall(name)[name].at == clock()


def test_a_lost_task_is_noticed_while_others_run(start_known, clock):
    """While other tasks run, the last balance of a quiet account still contradicts an absence."""
    engine = start_known(render_seconds=10_000)
    engine.place("a dog")
    engine.submit()
    clock.forward(seconds=1000)
    engine.read_account()
    engine.lose("a cat", fault="500-before")
    engine.control("settings", points=engine.vendor.account.points - 4_000_000)
    engine.reconcile_twice()
    assert engine.states() == [State.SUBMITTED, State.UNCERTAIN]
    assert engine.doubts() == ["0.40 USD left the account for no task that is known"]
