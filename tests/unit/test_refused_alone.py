"""An order whose POST alone is always refused: the others are sent."""

from __future__ import annotations

from seedance_dagster.ledger.order import State


def test_one_order_whose_post_is_refused_for_ever_fails_alone(engine, clock):
    """After three tries it ends with the vendor's words; the others were sent meanwhile (v13)."""
    stuck, other = engine.place("a cat [fault:post-403]", "a dog")
    for _ in range(4):
        engine.submit()
        clock.forward(minutes=1)
    [failed, sent] = engine.read(stuck, other)
    assert (failed.state, sent.state) == (State.FAILED, State.SUBMITTED)
    assert "forbidden (HTTP 403, code 403), though the account answers" in failed.error_message
    assert engine.vendor.posts["a cat [fault:post-403]"] == 3


def test_a_prompt_that_a_gateway_turns_away_for_ever_holds_no_other_back(engine, clock):
    """Its words alone may be the reason: it waits longer each time, and the others are sent."""
    stuck, *others = engine.place("a cat [fault:page-403]", "a dog", "a bird")
    for _ in range(4):
        engine.submit()
        clock.forward(minutes=1, seconds=1)
    assert [order.state for order in engine.read(stuck, *others)] == [State.QUEUED, *[State.SUBMITTED] * 2]
