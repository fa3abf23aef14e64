"""The account's balance as evidence, noted only when the ledger accounts for all missing points."""

from __future__ import annotations

from harness import stepped_engine

from seedance_dagster.ledger.order import State


def test_a_balance_with_an_unseen_refund_is_not_noted(tmp_path, clock):
    """Points that were refunded before the balance was read, and observed later, explain it."""
    with stepped_engine(tmp_path, clock) as engine:
        engine.place("a dog [fault:vendor-trouble]")
        engine.submit()
        clock.forward(seconds=3600)
        engine.read_account()  # the vendor gave the dog's points back, the ledger does not know it yet
        engine.control("outage", seconds=1, scope="account")
        engine.lose("a cat", fault="500-before")
        clock.forward(seconds=1)
        engine.poll()
        engine.reconcile()
        clock.forward(seconds=600)
        engine.reconcile()
        assert engine.ledger.queries.find(states={State.UNCERTAIN}) == []


def test_a_lost_task_is_noticed_while_others_run(tmp_path, clock):
    """While other tasks run, the last balance of a quiet account still contradicts an absence."""
    with stepped_engine(tmp_path, clock, history_lag_seconds=900, render_seconds=10_000) as engine:
        engine.place("a dog")
        engine.submit()
        clock.forward(seconds=1000)
        engine.read_account()
        engine.lose("a cat")
        engine.reconcile()
        clock.forward(seconds=600)
        engine.reconcile()
        [order] = engine.ledger.queries.find(states={State.UNCERTAIN})
        assert order.error_message == "0.4 USD left the account for no task that is known"
