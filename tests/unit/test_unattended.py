"""Orders that nobody looks at: their limits, and what a budget postpones."""

from __future__ import annotations

from dataclasses import replace

import pytest
from factories import make_prompt_set, read_prompts

from seedance_dagster.engine.ordering.quote import quote
from seedance_dagster.engine.ordering.unattended import has_room, no_limit_reason, within_limits
from seedance_dagster.engine.policy import Policy
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.money import Window

A_VIDEO = 4_000_000
SPOTS = make_prompt_set("one", "two", "three", "one")  # the last one repeats the first
REQUEST = OrderRequest(idempotency_key="k", run_id="r")


def day(videos: float) -> Budget:
    return Budget(window=Window.DAY, points=int(videos * A_VIDEO))


@pytest.fixture
def services(ledger, clock):
    """The engine's surroundings, whose ledger knows the set."""
    ledger.partitions.update("spots", SPOTS.partitions)
    return Services(ledger=ledger, open_client=lambda: None, store=None, clock=clock)


def split(services, *budgets: Budget, keys=("p0", "p1", "p2"), **request: object):
    wanted = replace(REQUEST, **request)
    quotes = quote(services, [SPOTS.partitions[key] for key in keys], wanted, prompt_set="spots")
    affordable = within_limits(services, quotes, wanted, budgets=budgets)
    return [quoted.partition.key for quoted in affordable.quotes], affordable.declined


@pytest.mark.parametrize(
    ("videos", "points", "fits", "postponed"),
    [
        (3, None, ["p0", "p1", "p2"], {"p0", "p1", "p2"}),  # until they are placed
        (1.5, None, ["p0"], {"p0", "p1", "p2"}),
        (0.5, None, [], {"p0", "p1", "p2"}),
        (3, A_VIDEO, ["p0"], set()),  # the run's own limit postpones nothing
        (1, 2 * A_VIDEO, ["p0"], {"p0", "p1", "p2"}),
        (1, A_VIDEO, ["p0"], {"p0", "p1", "p2"}),
    ],
)
def test_the_first_ones_that_fit_are_ordered(services, ledger, videos, points, fits, postponed):
    """A budget postpones the others, a run's own limit leaves them out for good."""
    keys, declined = split(services, day(videos), max_points=points)
    assert keys == fits
    assert list(declined) == [key for key in ("p0", "p1", "p2") if key not in fits]
    assert ledger.partitions.postponed("spots") == postponed
    words = "not ordered: it does not fit the 0.40 USD" if not postponed else "postponed: budget of"
    assert all(reason.startswith(words) for reason in declined.values())


def test_a_repeated_request_is_left_out_together_with_the_first(services, ledger):
    """A repeated request is left out with the first one, or it would be ordered in its place."""
    keys, declined = split(services, day(0.5), keys=("p0", "p3"))
    assert (keys, list(declined)) == ([], ["p0", "p3"])
    assert ledger.partitions.postponed("spots") == {"p0", "p3"}


def test_what_is_placed_by_anybody_is_postponed_no_longer(services, ledger):
    """The transaction that places an order ends the wait of its partition, and of no other."""
    split(services, day(0.5))
    wanted = [SPOTS.partitions["p1"]]
    ledger.orders.place(
        [quoted.order for quoted in quote(services, wanted, REQUEST, prompt_set="spots")], REQUEST
    )
    assert ledger.partitions.postponed("spots") == {"p0", "p2"}
    # Existing orders cost nothing, so no limit holds them back.
    assert split(services, day(0.5), keys=("p1",)) == (["p1"], {})


def test_an_edit_or_a_removal_ends_the_wait(services, ledger):
    """Who asked for a request did not ask for another one."""
    split(services, day(0.5))
    asked = {key: SPOTS.partitions[key] for key in ("p0", "p1")}
    ledger.partitions.update("spots", asked | {"p1": PartitionRequest("another")})
    assert ledger.partitions.postponed("spots") == {"p0"}
    ledger.partitions.update("spots", SPOTS.partitions)
    assert ledger.partitions.postponed("spots") == {"p0"}


def test_the_wait_lasts_until_the_next_day(services, ledger, clock):
    """It is counted from the last time that there was no room, by UTC days."""
    read_prompts(ledger, "other", {"a": "1"})
    ledger.partitions.postpone("spots", ["p0"])
    assert ledger.partitions.sets_with_postponed(before=clock()) == set()
    clock.forward(days=1)
    assert ledger.partitions.sets_with_postponed(before=clock()) == {"spots"}
    ledger.partitions.postpone("spots", ["p0"])
    assert ledger.partitions.sets_with_postponed(before=clock()) == set()


def test_there_is_room_while_every_budget_has_money_left(services, ledger):
    """One budget without money is enough; without any limit there is none."""
    assert not has_room(services, SPOTS, None)
    assert has_room(services, SPOTS, A_VIDEO)
    assert has_room(services, replace(SPOTS, budgets={"day": A_VIDEO}), None)
    limited = replace(services, policy=Policy(budgets=(day(1),)))
    quotes = quote(services, [SPOTS.partitions["p0"]], REQUEST, prompt_set="spots")
    ledger.orders.place([quotes[0].order], REQUEST, limited.policy.budgets)
    assert not has_room(limited, replace(SPOTS, budgets={"total": 9 * A_VIDEO}), None)


def test_every_set_needs_a_limit_of_its_own_or_one_for_all(services):
    """The sets without one are named."""
    with_budget = replace(SPOTS, name="rich", budgets={"month": 1})
    reason = no_limit_reason(services, [SPOTS, with_budget], None)
    assert reason is not None
    assert reason.startswith("spots: nothing limits what it may spend: set SEEDANCE_PENDING_USD_PER_RUN")
    assert no_limit_reason(services, [SPOTS], 1) is None
    assert no_limit_reason(services, [with_budget], None) is None
