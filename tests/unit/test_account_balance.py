"""The account's balance as evidence: noted only when the ledger knows of every point that it lacks."""

from __future__ import annotations

from bench_support import bench

from seedance_dagster.ledger.order import State


def test_a_balance_with_an_end_that_nobody_saw_is_not_noted(tmp_path, clock):
    """Points that came back before the balance was read, and were learned of later, miss nothing."""
    with bench(tmp_path, clock) as it:
        it.accept("a dog [fault:vendor-trouble]")
        it.submit()
        clock.forward(seconds=3600)
        it.learn()  # the vendor gave the dog's points back, the ledger does not know it yet
        it.tell("outage", seconds=1, scope="account")
        it.lose("a cat", fault="500-before")
        clock.forward(seconds=1)
        it.poll()
        it.reconcile()
        clock.forward(seconds=600)
        it.reconcile()
        assert it.ledger.queries.find(states={State.UNCERTAIN}) == []


def test_a_lost_task_is_missed_among_others_at_work(tmp_path, clock):
    """While others are at work the last quiet balance still speaks against an absence."""
    with bench(tmp_path, clock, history_lag_seconds=900, render_seconds=10_000) as it:
        it.accept("a dog")
        it.submit()
        clock.forward(seconds=1000)
        it.learn()
        it.lose("a cat")
        it.reconcile()
        clock.forward(seconds=600)
        it.reconcile()
        [order] = it.ledger.queries.find(states={State.UNCERTAIN})
        assert order.error_message == "0.4 USD left the account for no task that is known"
