"""Hundreds of tasks on a virtual clock: the gain from a good history, and the cost of a bad one."""

from __future__ import annotations

from functools import cache

import pytest
from odd_histories import filtering, honest, late, lying, stopping
from simulated_polls import Simulation

from seedance_dagster.engine.polling.reliability import Belief

SLOTS, RATE, MEAN_S = 600, 0.6, 4000.0
WARM_UP_S, MEASURED_S = 2000.0, 3000.0
HISTORIES = {
    "none": None,
    "honest": honest,
    "a little late": late(60),
    "late": late(900),
    "partial": filtering(0.3),
    "lying": lying(0.3),
    "lying a little": lying(0.05),
    "all wrong": lying(1.0),
    "stopping": stopping(WARM_UP_S),
}


@cache
def simulated(name: str, *, planned: bool = True) -> Simulation:
    """Return a simulation that has run."""
    simulation = Simulation(SLOTS, rate=RATE, mean_s=MEAN_S, history=HISTORIES[name], planned=planned)
    simulation.run(warm_up_s=WARM_UP_S, measured_s=MEASURED_S)
    return simulation


@pytest.mark.further
def test_a_good_history_shows_ends_early_with_fewer_gets():
    """A good history cuts the lag to a quarter, with at most two thirds of the GETs."""
    guided, alone = simulated("honest"), simulated("none")
    assert guided.record.belief is Belief.PROVEN
    assert guided.figures.mean_lag < alone.figures.mean_lag / 4
    assert guided.figures.gets_a_task < alone.figures.gets_a_task * 2 / 3


def test_without_a_history_the_load_still_counts():
    """Polls of young tasks give way to those of tasks that may have ended."""
    assert simulated("none").figures.mean_lag < simulated("none", planned=False).figures.mean_lag


@pytest.mark.further
def test_a_history_that_is_a_little_late_or_partial_still_helps():
    """Tasks that it does not show are polled as without it."""
    alone = simulated("none").figures.mean_lag
    assert simulated("a little late").figures.mean_lag < alone / 2
    assert simulated("partial").figures.mean_lag < alone / 2


@pytest.mark.parametrize("name", ["late", "lying", "lying a little", "all wrong"])
def test_a_bad_history_is_refuted_and_costs_next_to_nothing(name):
    """With a bad history, lag and GETs are about those of polls without any."""
    bad, alone = simulated(name), simulated("none")
    assert bad.record.belief is Belief.REFUTED
    assert bad.figures.mean_lag < 1.25 * alone.figures.mean_lag
    assert bad.figures.requests["page"] < 0.1 * bad.figures.requests["get"]


def test_a_history_that_stops_after_it_was_proven_costs_little_for_long():
    """Including the time to notice it, the lag is at most twice that without a history."""
    assert simulated("stopping").figures.mean_lag < 2 * simulated("none").figures.mean_lag
    assert simulated("stopping").record.belief is Belief.REFUTED


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", HISTORIES)
def test_no_task_is_lost_and_the_rate_is_kept(name):
    """The end of each task is seen within two turns, and no more requests leave than allowed."""
    simulation = simulated(name)
    end = WARM_UP_S + MEASURED_S
    turn_s = simulation.load.turn_s
    unseen = [task for task in simulation.tasks if task.seen is None and task.ends < end - 2 * turn_s]
    assert unseen == []
    assert simulation.figures.lag_at(1) <= 2 * turn_s
    assert simulation.figures.requests.total() <= RATE * MEASURED_S + 1
