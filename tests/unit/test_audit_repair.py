"""Repairs: what is mended, what is left, and why."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from audit_snapshots import POINTS, row, telling
from audit_world import VIDEO, World, rewritten
from test_ledger_repairs import remove

from seedance_dagster.api.errors import VendorError
from seedance_dagster.audit.repair import RepairResult
from seedance_dagster.engine.stages.download import DownloadError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State


@pytest.fixture
def world(tmp_path, clock):
    """Two stored orders of which all books say the same."""
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=clock)
    it = World(ledger)
    it.add(1)
    it.add(2)
    yield it
    ledger.close()


@pytest.fixture(autouse=True)
def dead(monkeypatch):
    """Links that give no video any more; all others give one."""
    links: set[str] = set()

    async def check_link(url, *, limits):
        assert not limits.allow_private_hosts
        if url in links:
            raise DownloadError("the link is gone (HTTP 404)", expired=True)

    monkeypatch.setattr("seedance_dagster.audit.repair.check_link", check_link)
    return links


@pytest.fixture
def order(world):
    """The order that things happen to."""
    return world.ledger.queries.get(1)


def actors(world: World, order_id: int = 1) -> list[str]:
    """Who did something with an order."""
    return [each.actor for each in world.ledger.queries.journal(order_id)]


def test_nothing_is_done_where_nothing_is_found(world):
    """A repair of clean books changes nothing and journals nothing."""
    assert world.repair(deep=True) == {}
    assert actors(world) == ["test"]


@pytest.mark.parametrize("damage", ["lost", "changed", "lost poster", "all lost"])
def test_a_lost_or_changed_video_goes_back_to_be_fetched(world, order, damage):
    """The order waits for the next run with the vendor's present link; a second audit finds it under way."""
    match damage:
        case "lost":
            del world.store.objects[order.video_key]
        case "changed":
            world.store.objects[order.video_key] = VIDEO[::-1]
        case "lost poster":
            del world.store.objects[order.poster_key]
        case "all lost":
            for key in (order.video_key, order.poster_key, order.manifest_key):
                del world.store.objects[key]
    [mending] = world.repair(deep=True).values()
    assert (mending.repaired, mending.what) == (True, "the next run fetches it again")
    now = world.ledger.queries.get(1)
    assert (now.state, now.video_url, now.reported) == (
        State.SUCCEEDED,
        "https://v.example.com/a",
        "submitted",
    )
    assert actors(world) == ["test", "audit 1"]
    assert world.kinds(deep=True) == []


def test_a_video_whose_link_is_dead_is_left(world, order, dead):
    """A lost poster is no reason to give up a stored video that nobody gives again."""
    del world.store.objects[order.poster_key]
    dead.add("https://v.example.com/a")
    [mending] = world.repair().values()
    assert not mending.repaired
    assert mending.what.startswith(
        "the vendor's link does not give it any more (the link is gone (HTTP 404))"
    )
    assert world.ledger.queries.get(1).state is State.STORED


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"video_url": None}, "the vendor gives no link to it any more; generating it again is paid for"),
        (None, "no such task"),
        (VendorError("it is down"), "it is down"),
    ],
)
def test_a_video_that_the_vendor_does_not_give_is_left(world, order, change, why):
    """Without a link the order stays as it is: what is still there is not given up for nothing."""
    world.store.objects[order.video_key] = VIDEO[::-1]
    if isinstance(change, dict):
        world.change_task(order, **change)
    elif change is None:
        del world.vendor.tasks[order.task_id]
    else:
        world.vendor.fails["task"] = change
    [mending] = world.repair(deep=True).values()
    assert (mending.repaired, mending.what) == (False, why)
    assert world.ledger.queries.get(1) == order
    assert world.store.objects[order.video_key] == VIDEO[::-1]


@pytest.mark.parametrize("lost", [True, False])
def test_a_lost_or_altered_manifest_is_written_from_the_ledger(world, order, lost):
    """It is the same again, byte by byte."""
    before = world.store.objects.pop(order.manifest_key)
    if not lost:
        world.store.objects[order.manifest_key] = before.replace(b"a cat", b"a dog")
    [mending] = world.repair().values()
    assert (mending.repaired, mending.what) == (True, "written from the ledger")
    assert world.store.objects[order.manifest_key] == before
    assert actors(world) == ["test", "audit 1"]
    assert world.kinds(deep=True) == []


def test_one_order_with_a_lost_video_is_left_to_the_run_that_fetches_it(world, order):
    """Manifest and event of a video that is fetched anew are written then, not twice."""
    del world.store.objects[order.video_key]
    world.store.objects[order.manifest_key] = b"{}"
    mendings = world.repair()
    assert mendings["missing_in_s3"].repaired
    assert mendings["manifest_altered"] == RepairResult(True, "the run that fetches the video does it")
    assert world.store.objects[order.manifest_key] == b"{}"


def test_what_can_be_mended_beside_a_video_that_is_gone_is_mended(world, order):
    """Where the vendor does not give the video any more, its manifest is written all the same."""
    del world.store.objects[order.video_key]
    before = world.store.objects.pop(order.manifest_key)
    world.store.objects[order.manifest_key] = b"{}"
    world.change_task(order, video_url=None)
    assert {kind: each.repaired for kind, each in world.repair().items()} == {
        "missing_in_s3": False,
        "manifest_altered": True,
    }
    assert world.store.objects[order.manifest_key] == before


def test_a_video_with_two_faults_is_fetched_once(world, order):
    """A lost poster beside a changed video is one step back."""
    world.store.objects[order.video_key] = VIDEO[::-1]
    del world.store.objects[order.poster_key]
    assert {kind: each.repaired for kind, each in world.repair(deep=True).items()} == {
        "missing_in_s3": True,
        "bytes_changed": True,
    }
    assert actors(world) == ["test", "audit 1"]


def test_nothing_is_written_over_an_order_that_moved_on(world, order):
    """A manifest of the row as it was must not replace that of the row as it is."""
    world.store.objects[order.manifest_key] = b"{}"
    audit = world.audit()
    world.ledger.repairs.fetch_again(order, actor="another", video_url="u", reason="r")
    world.audit = lambda **_: replace(audit)
    [mending] = world.repair().values()
    assert mending == RepairResult(False, "the order moved on meanwhile: audit again")
    assert world.store.objects[order.manifest_key] == b"{}"


def test_a_row_against_which_two_books_speak_is_not_believed(world, order):
    """Where manifest and Dagster both say otherwise, the ledger's row may be the wrong one."""
    world.store.objects[order.manifest_key] = rewritten(order, points_charged=1)
    charged = {"seedance/task_id": "task-1", "seedance/points_consumed": 1}
    world.dagster.tellings.append(telling(order, metadata=charged))
    mendings = world.repair()
    assert mendings.keys() == {"manifest_altered", "materialization_differs"}
    assert {each.what for each in mendings.values()} == {
        "two other books speak against the ledger's row: look at it first"
    }
    assert (world.dagster.told_again, actors(world)) == ([], ["test"])


def test_money_and_strangers_are_only_named(world, order):
    """No charge is changed and no task adopted by a repair."""
    world.change_task(order, points_charged=2 * POINTS)
    world.vendor.rows["stranger"] = row()
    mendings = world.repair()
    assert {kind: each.what for kind, each in mendings.items()} == {
        "charge_differs": "an audit only names it",
        "unmatched_task": "an audit only names it",
    }
    assert len(world.ledger.queries.find()) == 2
    assert world.ledger.queries.get(1) == order


def test_an_order_under_way_is_left_alone(world, order):
    """What an earlier repair sent back is neither found nor mended again."""
    world.ledger.repairs.fetch_again(order, actor="another", video_url="u", reason="r")
    assert world.repair(deep=True) == {}


def test_a_removed_row_is_written_from_its_manifest(world, order):
    """The row is as it was, for all that a manifest tells, and a second audit is clean."""
    remove(world.ledger, 1)
    [mending] = world.repair(deep=True).values()
    assert (mending.repaired, mending.what) == (True, "order 1 was written from its manifest")
    now = world.ledger.queries.get(1)
    assert (now.state, now.reported, now.task_id) == (State.STORED, "stored", order.task_id)
    different = {name for name, value in vars(order).items() if vars(now)[name] != value}
    assert different <= {"retries", "claimed_at", "request"}  # which has every field then
    assert actors(world) == ["test", "audit 1"]
    assert world.kinds(deep=True) == []


def test_a_restored_row_that_dagster_never_heard_of_is_told_by_the_next_run(world):
    """What Dagster does not show is not marked as told."""
    remove(world.ledger, 1)
    world.dagster.tellings = [telling(world.ledger.queries.get(2))]
    assert world.repair()["missing_order"].repaired
    assert world.ledger.queries.get(1).reported is None


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("no manifest", "there is no manifest to write its row from"),
        ("request", "its manifest is not as it was written"),
        ("charge", "other books speak against its manifest: seedance/points_consumed, the vendor's charge"),
        ("bytes", "other books speak against its manifest: the video hashes to"),
        ("video", "other books speak against its manifest: its video is not there"),
    ],
)
def test_a_removed_row_is_not_written_from_a_manifest_that_others_deny(world, order, damage, why):
    """A manifest alone is no proof: bytes, charge and Dagster's event must not speak against it."""
    told = json.loads(world.store.objects[order.manifest_key])
    match damage:
        case "no manifest":
            del world.store.objects[order.manifest_key]
        case "request":
            told["request"]["input"]["mode"] = "none such"
            world.store.objects[order.manifest_key] = json.dumps(told).encode()
        case "charge":
            world.store.objects[order.manifest_key] = rewritten(order, points_charged=1)
        case "bytes":
            world.store.objects[order.video_key] = VIDEO[::-1]
        case "video":
            del world.store.objects[order.video_key]
    remove(world.ledger, 1)
    [mending] = [each for kind, each in world.repair(deep=True).items() if kind == "missing_order"]
    assert not mending.repaired
    assert mending.what.startswith(why)
    assert [each.order_id for each in world.ledger.queries.find()] == [2]


def test_two_repairs_of_one_order_do_it_once(world, order):
    """An order that moved on between finding and repair is left to whoever moved it."""
    del world.store.objects[order.video_key]
    audit = world.audit()
    world.ledger.repairs.fetch_again(order, actor="another", video_url="u", reason="r")
    world.audit = lambda **_: replace(audit)
    [mending] = world.repair().values()
    assert not mending.repaired
    assert "no longer stored" in mending.what
