"""A world whose ledger was lost."""

from __future__ import annotations

import pytest
from audit_world import World
from made_once import prepare_ledger
from restore_world import lose

from seedance_dagster.ledger.ledger import Ledger


@pytest.fixture
def kept(tmp_path, clock):
    """Two stored orders about which all sources agree."""
    prepare_ledger(f"sqlite:///{tmp_path}/ledger.db")
    world = World(Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=clock))
    clock.forward(hours=-3)
    world.add(1)
    world.add(2)
    clock.forward(hours=3)
    yield world
    world.ledger.close()


@pytest.fixture
def world(kept, tmp_path, clock):
    """The same with a new ledger, which knows nothing."""
    lose(kept, tmp_path, clock)
    return kept
