"""The throttle of submitting: peak hours, pauses, the plan's limit, and rejections."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from seedance_dagster.api.limits import Limits
from seedance_dagster.engine.policy import Policy
from seedance_dagster.engine.throttle import (
    CREDENTIALS,
    CREDITS,
    PLAN_LIMIT,
    Throttle,
    low_balance_message,
    pause_message,
    peak_ends,
    read_throttle,
    rejection_throttle,
)
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State

LIMITS = Limits.load()
TIERS = LIMITS.rejection_tiers
OFF_PEAK = Policy(off_peak_only=True)


@pytest.fixture
def throttle(ledger, clock):
    """Reads the throttle now, under a policy."""

    def read(policy: Policy | None = None, **rules: object) -> Throttle:
        return read_throttle(ledger, replace(policy or Policy(), **rules), LIMITS, now=clock())

    return read


@pytest.fixture
def reject(ledger, orders):
    """Lets moderation reject some prompts now, each at a penalty."""

    def make(number: int) -> None:
        done = len(ledger.queries.find())
        orders.make_many(State.REJECTED, *(f"p{done + n}" for n in range(number)))

    return make


@pytest.mark.parametrize(
    ("at", "open_"),
    [
        (time(0, 0), True),
        (time(8, 59, 59), True),
        (time(9, 0), False),
        (time(12, 0), False),
        (time(14, 59, 59), False),
        (time(15, 0), True),
        (time(23, 59), True),
    ],
)
def test_off_peak_only_waits_from_9_to_15_utc(throttle, clock, at, open_):
    """Orders placed in peak hours wait and are sent after; without the setting they are sent at once."""
    clock.now = datetime.combine(clock.now, at, tzinfo=UTC)
    wanted = Throttle(None) if open_ else Throttle(0, ("off-peak only: queued orders wait until 15:00 UTC",))
    assert throttle(OFF_PEAK) == wanted
    assert throttle() == Throttle(None)


def test_the_peak_s_end_is_given_in_utc():
    """The hours come from the vendor's limits."""
    noon = datetime(2026, 4, 6, 12, tzinfo=UTC)
    assert peak_ends(noon, LIMITS.peak_start_hour_utc, LIMITS.peak_end_hour_utc) == noon.replace(hour=15)
    assert peak_ends(noon, 13, 15) is None
    assert peak_ends(noon, 9, 24) == noon.replace(hour=0) + timedelta(days=1)


@pytest.mark.parametrize(
    ("kind", "needs_a_person"),
    [(CREDITS, True), (CREDENTIALS, True), ("plan limit", False), ("rate limit", False), ("network", False)],
)
def test_a_pause_stops_submitting_for_its_time(throttle, ledger, clock, kind, needs_a_person):
    """While it lasts nothing is sent, the reason is named, and only what a person must fix is a problem."""
    ledger.pauses.start(kind, until=clock() + timedelta(seconds=60), message="because")
    problems = ("because",) if needs_a_person else ()
    assert throttle() == Throttle(0, ("submitting pauses: because",), problems)
    clock.forward(seconds=59)
    assert throttle().slots == 0
    clock.forward(seconds=1)
    assert throttle() == Throttle(None)


def test_all_reasons_are_named_at_once(throttle, ledger, clock, reject):
    """Several pauses, the peak and the rejections are named side by side."""
    reject(3)
    clock.now = clock.now.replace(hour=10) + timedelta(days=1)
    reject(3)
    until = clock() + timedelta(minutes=1)
    ledger.pauses.start("rate limit", until=until, message="slow down")
    ledger.pauses.start(CREDITS, until=until, message="no money")
    state = throttle(OFF_PEAK, max_rejections_per_day=3)
    assert [reason.partition(":")[0] for reason in state.reasons] == [
        "submitting pauses",
        "submitting pauses",
        "off-peak only",
        "3 prompts were rejected today, the limit is 3",
    ]
    assert (state.slots, len(state.problems)) == (0, 2)


def test_of_two_pauses_of_a_kind_the_longer_counts(throttle, ledger, clock):
    """A worker that must wait for a second does not end another one's pause of a minute."""
    ledger.pauses.start("rate limit", until=clock() + timedelta(seconds=60), message="a minute")
    ledger.pauses.start("rate limit", until=clock() + timedelta(seconds=1), message="a second")
    assert throttle().reasons == ("submitting pauses: a minute",)
    ledger.pauses.start("rate limit", until=clock() + timedelta(seconds=90), message="longer")
    assert throttle().reasons == ("submitting pauses: longer",)


def test_a_pause_can_end_early(throttle, ledger, clock):
    """When the cause is gone, submitting goes on at once."""
    ledger.pauses.start(CREDITS, until=clock() + timedelta(seconds=60), message="no money")
    ledger.pauses.end("rate limit")
    assert throttle().slots == 0
    ledger.pauses.end(CREDITS)
    assert throttle() == Throttle(None)


@pytest.mark.parametrize(
    ("own", "plan", "slots"), [(None, None, None), (5, None, 5), (None, 3, 3), (5, 3, 3), (2, 3, 2)]
)
def test_the_smaller_of_plan_and_setting_counts(throttle, ledger, own, plan, slots):
    """The plan's limit is known once any process has read it; a setting can only lower it."""
    if plan is not None:
        ledger.observations.remember({PLAN_LIMIT: plan})
    assert throttle(max_in_flight=own) == Throttle(slots)


def test_what_one_process_learns_applies_to_all(throttle, tmp_path, clock):
    """Limits and pauses are in the ledger."""
    other = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=clock)
    other.observations.remember({PLAN_LIMIT: 7})
    assert throttle() == Throttle(7)
    other.observations.remember({PLAN_LIMIT: 9})
    assert throttle() == Throttle(9)
    other.pauses.start("rate limit", until=clock() + timedelta(seconds=5), message="slow down")
    assert throttle().slots == 0
    other.close()


def test_a_limit_that_is_no_longer_reported_expires(throttle, ledger, clock):
    """A raised plan is noticed within a day, also where the account reports no limit."""
    ledger.observations.remember({PLAN_LIMIT: 2})
    clock.forward(hours=23)
    assert throttle() == Throttle(2)
    clock.forward(hours=1)
    assert throttle() == Throttle(None)


@pytest.mark.parametrize(
    ("rejected", "slots"),
    [
        *((number, None) for number in (0, 9, 20, 49)),
        *((number, 20 - number) for number in (10, 15, 19)),
        *((number, 100 - number) for number in (50, 75, 99)),
        *((number, 200 - number) for number in (100, 150, 199)),
        (200, 0),
        (201, 0),
    ],
)
def test_submitting_slows_down_before_each_step_and_stops_at_the_limit(rejected, slots):
    """In the last half of the way to a step no more tasks are in flight than rejections are left to it."""
    assert rejection_throttle(rejected, tiers=TIERS, stop_at=200).slots == slots


@pytest.mark.parametrize("stop_at", [1, 5, 20, 21, 60, 100, 1000])
def test_successive_rejections_never_cross_a_step(stop_at):
    """From the middle on, all tasks in flight may be rejected, and the step is at most reached."""
    steps = [*(tier for tier in TIERS if tier < stop_at), stop_at]
    for step in steps:
        for rejected in range((step + 1) // 2, step):
            slots = rejection_throttle(rejected, tiers=TIERS, stop_at=stop_at).slots
            next_step = min(step for step in steps if step > rejected)
            assert slots is None or rejected + slots <= next_step
    assert rejection_throttle(stop_at, tiers=TIERS, stop_at=stop_at).slots == 0


@pytest.mark.parametrize(
    ("rejected", "reason"),
    [
        (12, "at most 8 tasks at once, since the vendor charges more for each from 20"),
        (70, "at most 30 tasks at once, since the limit is 100"),
    ],
)
def test_fewer_slots_have_a_reason(rejected, reason):
    """The reason names the next step, and whether it is the vendor's or the team's."""
    assert rejection_throttle(rejected, tiers=TIERS, stop_at=100).reasons == (
        f"{rejected} prompts were rejected today: {reason}",
    )


def test_a_stop_says_how_to_go_on(throttle, reject):
    """At the configured number nothing is sent; the message says where to look and what to set."""
    reject(3)
    state = throttle(max_rejections_per_day=3)
    assert state.problems == state.reasons
    [reason] = state.reasons
    assert reason == (
        "3 prompts were rejected today, the limit is 3: nothing is sent until 00:00 UTC, since the vendor's "
        "penalty grows with rejections. See the rejected prompts with `seedance-dagster status`; raise "
        "SEEDANCE_MAX_REJECTIONS_PER_DAY to go on"
    )
    assert throttle(max_rejections_per_day=4).slots == 1


def test_submitting_goes_on_the_next_utc_day(throttle, reject, clock):
    """Rejections count for the day on which the vendor rejected, to the second."""
    clock.now = datetime(2026, 4, 6, 23, 59, 59, tzinfo=UTC)
    reject(2)
    assert throttle(max_rejections_per_day=2).slots == 0
    clock.forward(seconds=1)
    assert throttle(max_rejections_per_day=2) == Throttle(None)
    reject(2)
    assert throttle(max_rejections_per_day=2).slots == 0


def test_only_rejections_count(throttle, orders):
    """Vendor trouble and invalid requests do not count."""
    orders.make(State.FAILED, "a", error_class="vendor")
    orders.make(State.FAILED, "b", error_class="invalid")
    assert throttle(max_rejections_per_day=1) == Throttle(None)


def test_rejections_count_beside_the_plan(throttle, ledger, reject):
    """The smallest of all limits applies."""
    ledger.observations.remember({PLAN_LIMIT: 5})
    reject(17)
    assert (throttle().slots, throttle(max_in_flight=2).slots) == (3, 2)


def test_out_of_credits_says_what_to_do():
    """The message says what is missing, after a refusal or by the balance, and what happens then."""
    end = "; buy credits; submitting then goes on automatically"
    assert pause_message(CREDITS, "the vendor refused") == f"out of credits: the vendor refused{end}"
    assert low_balance_message(1_000_000, 4_000_000) == (
        f"out of credits: 0.10 USD are left, the cheapest queued order is estimated at 0.40 USD{end}"
    )
    assert pause_message("rate limit", "429") == "rate limit: 429"
