"""Differences planted one at a time: what an audit finds, what a repair does, what is found afterwards."""

from __future__ import annotations

from datetime import timedelta

import pytest
from audit_world import POSTER, agreeing_world
from factories import NOW
from planted import Planter
from plants import PLANTS


@pytest.fixture
def world(tmp_path, clock, monkeypatch):
    """Two orders, stored two hours ago, about which all sources agree."""

    async def check_link(url, *, limits):
        pass

    monkeypatch.setattr("seedance_dagster.audit.objects.check_link", check_link)
    monkeypatch.setattr("seedance_dagster.audit.objects.cut_poster", lambda _: POSTER)
    with agreeing_world(tmp_path, clock, stored_at=NOW - timedelta(hours=2)) as world:
        yield world


@pytest.mark.sampled(3)
@pytest.mark.parametrize("plant", [pytest.param(plant, id=name) for name, plant in PLANTS.items()])
def test_each_kind_of_damage_is_found_and_repaired_where_two_systems_agree(world, clock, plant):
    """A plant gives the findings of its row, each with evidence, and a repair leaves only the stated ones."""
    plant.plant(Planter(world, clock))
    before = dict(world.store.objects)
    findings = world.audit(deep=True).findings
    assert sorted(finding.kind.value for finding in findings) == sorted(plant.findings)
    assert all(finding.evidence for finding in findings)
    results = world.repair(deep=True)
    for kind, outcome in plant.findings.items():
        assert results[kind].message.startswith(outcome), (kind, results[kind].message)
    copies = {key: body for key, body in world.store.objects.items() if ".replaced-" in key}
    assert len(copies) == plant.kept
    assert all(before[key.partition(".replaced-")[0]] == body for key, body in copies.items())
    left = [kind for kind in plant.findings if not results[kind].repaired]
    wanted = left if plant.left is None else plant.left.split()
    assert sorted(world.kinds(deep=True)) == sorted(wanted)
