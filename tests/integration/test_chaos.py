"""A few rounds of the fault suite; `make chaos ROUNDS=200` runs many."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.long]

TESTS = Path(__file__).parents[1]


def test_a_few_rounds():
    """Whatever boundary processes are killed at, everything is paid once and nothing is lost."""
    # In a process of its own: rounds fork, which a process with threads, as pytest has, may not.
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "--rounds", "3", "--seed", "959"],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
