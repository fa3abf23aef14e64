"""The rounds of chaos use every fault that the emulator knows."""

from __future__ import annotations

import random

from chaos import faults
from chaos.faults import draw_marker, draw_rates
from chaos.world import draw_settings

from seedance_dagster.emulator.fault_table import FAULTS, Stage
from seedance_dagster.emulator.faults import markers_of
from seedance_dagster.emulator.record import Outcome
from seedance_dagster.emulator.vendor_settings import EmulatorSettings


def test_every_fault_has_a_rate():
    """A fault that is added to the emulator is used in the rounds; webhooks are tested elsewhere."""
    assert set(faults._RATES) == {name for name, fault in FAULTS.items() if fault.stage is not Stage.WEBHOOK}


def test_every_marker_is_known():
    """The emulator knows every marker of the rounds."""
    for marker in faults._MARKERS:
        assert len(markers_of(f"x [fault:{marker}]")) == 1


def test_a_round_is_drawn_from_its_seed_alone():
    """The same seed gives the same faults, rates and settings."""
    for seed in range(20):
        drawn = [
            (draw_rates(rng), draw_marker(rng), draw_settings(rng, seed))
            for rng in (random.Random(seed), random.Random(seed))
        ]
        assert drawn[0] == drawn[1]
        assert all(0 < rate <= 1 for rate in drawn[0][0].values())
        EmulatorSettings.from_values(drawn[0][2])


def test_the_judge_knows_how_tasks_fail():
    """Each outcome of a task is a video, a rejection, or a failure of a class that the judge knows."""
    rejected = {Outcome.MODERATION, Outcome.MODERATION_EARLY, Outcome.COPYRIGHT, Outcome.REAL_PERSON}
    ends = {Outcome(name) for name in faults.ENDS_BY_OUTCOME}
    assert ends | rejected | {Outcome.COMPLETED, Outcome.AUDIO_TIMEOUT} == set(Outcome)
