"""Repairs of posters: cut again from the stored video."""

from __future__ import annotations

import pytest
from audit_world import POSTER, VIDEO

from seedance_dagster.audit.repair import RepairResult
from seedance_dagster.ledger.order import State


@pytest.fixture
def cut(monkeypatch):
    """Posters by video: the one that was stored, unless a test says otherwise."""
    posters = {VIDEO: POSTER}
    monkeypatch.setattr("seedance_dagster.audit.objects.cut_poster", lambda path: posters[path.read_bytes()])
    return posters


@pytest.mark.parametrize("damage", ["lost", "changed", "lost with its manifest"])
def test_a_poster_is_cut_again_from_the_stored_video(world, order, cut, dead, damage):
    """Neither the video nor the vendor is touched, and a second audit is clean."""
    dead.add("https://v.example.com/a")
    before = dict(world.store.objects)
    del world.store.objects[order.poster_key]
    if damage == "changed":
        world.store.objects[order.poster_key] = b"others"
    if damage == "lost with its manifest":
        del world.store.objects[order.manifest_key]
    [result] = world.repair(deep=True).values()
    assert result.message.startswith("the poster was cut again from the stored video: ledger and Dagster")
    kept = {key: body for key, body in world.store.objects.items() if key not in before}
    assert list(kept.values()) == [b"others"] * (damage == "changed")
    assert {key: world.store.objects[key] for key in before} == before
    assert world.ledger.queries.get(1).state is State.STORED
    assert world.kinds(deep=True) == []


def test_a_poster_with_other_bytes_is_recorded(world, order, cut):
    """Ledger and manifest have the new poster's hash; the old manifest is kept."""
    cut[VIDEO] = b"another encoder's"
    old = world.store.objects[order.manifest_key]
    del world.store.objects[order.poster_key]
    [result] = world.repair().values()
    assert result.repaired
    assert world.store.objects[f"{order.manifest_key}.replaced-20260406T180000Z"] == old
    assert world.ledger.queries.get(1).poster_size_bytes == len(b"another encoder's")
    assert world.kinds(deep=True) == []


def test_no_poster_is_cut_from_a_video_that_is_not_the_one_stored(world, order, cut):
    """The bytes are hashed first, also where the listing shows nothing wrong."""
    del world.store.objects[order.poster_key]
    world.store.objects[order.video_key] = VIDEO[::-1]
    [result] = world.repair().values()
    assert result == RepairResult(False, "the video in S3 is not the one that was stored")
    assert order.poster_key not in world.store.objects
