"""The order in which prompts without a video are taken: those that the vendor refused come last."""

from __future__ import annotations

from factories import make_prompt_set

from seedance_dagster.engine.ordering.pending import read_pending
from seedance_dagster.engine.ordering.quote import quote
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest

SPOTS = make_prompt_set("one", "two", "three")


def refuse(services: Services, key: str) -> None:
    """Order a prompt, which the vendor refuses as invalid."""
    request = OrderRequest(idempotency_key=f"{key} {services.clock()}", run_id="r")
    [priced] = quote(services, [SPOTS.partitions[key]], request, prompt_set="spots")
    [(order, _)] = services.ledger.orders.place([priced.order], request)
    [claimed] = services.ledger.claims.take("w", limit=1, max_in_flight=None, only=[order.order_id])
    services.ledger.tasks.ended(
        claimed, State.FAILED, actor="w", error_class="invalid", reason="no such ratio", task={}
    )


def test_a_prompt_that_is_refused_as_invalid_does_not_use_up_the_limit_every_day(ledger, clock):
    """A prompt refused as invalid waits a day, then two, and comes after those never refused."""
    services = Services(ledger=ledger, open_client=lambda: None, store=None, clock=clock)
    request = OrderRequest(idempotency_key="", run_id="", max_points=4_000_000)  # for one video

    def affordable() -> list[str]:
        return [priced.partition.key for priced in read_pending(services, SPOTS, request).affordable]

    assert affordable() == ["p0"]
    refuse(services, "p0")
    assert affordable() == ["p1"]
    assert read_pending(services, SPOTS, request).postponed == {
        "p0": "the vendor refused it as invalid once; tried again from 2026-04-07 14:00 UTC"
    }
    clock.forward(days=1)
    assert affordable() == ["p1"]
    for key in ("p1", "p2"):
        refuse(services, key)
    assert affordable() == ["p0"]
    refuse(services, "p0")
    clock.forward(days=1)
    assert affordable() == ["p1"]
    assert read_pending(services, SPOTS, request).postponed.keys() == {"p0"}
