"""The gallery's tiles: what each partition shows, in pages, filtered and counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from factories import NOW, POINTS

from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.score_results import ScoreResult
from seedance_dagster.ledger.tiles.filter import Stage, TileFilter
from seedance_dagster.ledger.tiles.order import TileOrder
from seedance_dagster.ledger.verdict import Judgement, Verdict
from seedance_dagster.prompts.thresholds import Threshold


def keys(ledger, **wanted) -> list[str]:
    return [tile.partition for tile in ledger.tiles.page(TileFilter(**wanted))]


def test_a_tile_is_what_the_partition_shows(ledger, orders):
    """A tile is the video of the index, or without one the order that stands for the partition."""
    orders.make(State.STORED, "cat")
    newest = orders.make(State.STORED, "cat")
    orders.make(State.SUBMITTED, "cat")
    orders.make(State.REJECTED, "dog")
    assert keys(ledger) == ["dog", "cat"]
    [cat] = ledger.tiles.page(TileFilter(stages=(Stage.STORED,)))
    assert cat.order == newest
    shown = ledger.videos.current("spots")
    assert [(video.partition, video.order.order_id) for video in shown] == [("cat", newest.order_id)]


def test_what_is_asked_for_now_comes_before_what_is_newer(ledger, orders):
    """A newer video of an older text does not hide the video of the present one."""
    orders.make(State.STORED, "cat", fingerprint="now")
    orders.make(State.STORED, "cat", fingerprint="before")
    ledger.partitions.update("spots", {"cat": PartitionRequest("now")})
    [tile] = ledger.tiles.page(TileFilter())
    assert tile.order is not None
    assert tile.order.fingerprint == "now"


SCORES = {
    "a": {"motion": 0.25, "mood": "calm", "dark": True},
    "b": {"motion": 0.1, "mood": "wild", "dark": False},
    "c": {"motion": "unknown", "cuts": 2},
    "d": {},
}


THRESHOLDS = (
    ("motion", ">=0.2", "a"),
    ("motion", "<0.25", "b"),
    ("motion", "==0.25", "a"),
    ("motion", "!=0.25", "cb"),
    ("motion", "==unknown", "c"),
    ("cuts", ">1", "c"),
    ("cuts", "<=2", "c"),
    ("mood", "==calm", "a"),
    ("mood", "!=calm", "b"),
    ("dark", "==true", "a"),
    ("dark", "!=true", "b"),
    ("dark", "==1", ""),
    ("smile", "!=1", ""),
)


@pytest.mark.each_database
def test_scores_filter_as_thresholds_do(ledger, orders):
    """Scores of all types filter in the database as in a rule; what was not measured is left out."""
    orders.make(State.SUBMITTED, "e")
    for key, values in SCORES.items():
        order = orders.make(State.STORED, key)
        ledger.scores.record(order.sha256, [ScoreResult(score="s", version="1", values=values)])
    ledger.partitions.update("spots", {"f": PartitionRequest("f-f")})
    for name, text, partitions in THRESHOLDS:
        threshold = Threshold.parse(text)
        assert keys(ledger, scores=((name, threshold),)) == list(partitions), (name, text)
        expected = {key for key, values in SCORES.items() if name in values and threshold.holds(values[name])}
        assert set(partitions) == expected, (name, text)
    page = ledger.tiles.page(TileFilter())
    assert {tile.partition: tile.scores for tile in page if tile.scores} == {
        key: values for key, values in SCORES.items() if values
    }


@pytest.mark.each_database
@pytest.mark.parametrize("descending", [True, False])
def test_tiles_are_sorted_by_a_score(ledger, orders, descending):
    """Tiles sorted by a score come once each over all pages; a video without a number is left out."""
    names = [f"p{number}" for number in range(8)]
    made = orders.make_many(State.STORED, *names)
    for value, order in zip([0.1, 2, 0.1, 0.5, "none", 0.1, -1], made, strict=False):
        for version in ("1", "2"):
            values = {"motion": value if version == "2" else 9}
            ledger.scores.record(order.sha256, [ScoreResult(score="s", version=version, values=values)])
    ledger.partitions.link("spots", {"twin": made[2].order_id})
    order, seen, after = TileOrder("scores.motion", descending), [], None
    while page := ledger.tiles.page(TileFilter(), order=order, after=after, limit=2):
        seen += [(tile.number, tile.partition) for tile in page]
        after = page[-1].cursor
    assert [value for value, _ in seen] == sorted([0.1, 2, 0.1, 0.1, 0.5, 0.1, -1], reverse=descending)
    assert sorted(name for _, name in seen) == ["p0", "p1", "p2", "p3", "p5", "p6", "twin"]
    assert ledger.scores.names("spots") == ledger.scores.names() == {"motion": True}
    assert ledger.scores.names("others") == {}


@pytest.mark.each_database
def test_tiles_are_sorted_by_their_cost(ledger, orders):
    """Tiles are sorted by their cost over all pages; one without a video is left out."""
    for name, charged in {"cat": 2, "dog": 1, "owl": 3, "fox": 2}.items():
        orders.make(State.STORED, name, charged=charged * POINTS)
    orders.make(State.SUBMITTED, "elk")
    seen, after = [], None
    while page := ledger.tiles.page(TileFilter(), order=TileOrder("cost"), after=after, limit=1):
        seen += [tile.partition for tile in page]
        after = page[-1].cursor
    assert seen == ["owl", "fox", "cat", "dog"]


@pytest.mark.each_database
def test_pages_follow_each_other_without_gaps(ledger, orders):
    """Pages leave out no tile and repeat none, also for two partitions with one order."""
    names = [f"p{number}" for number in range(7)]
    made = orders.make_many(State.STORED, *names)
    ledger.partitions.link("spots", {"twin": made[3].order_id})
    seen, after = [], None
    while page := ledger.tiles.page(TileFilter(), after=after, limit=3):
        seen += [tile.partition for tile in page]
        after = page[-1].cursor
    assert seen == ["p6", "p5", "p4", "twin", "p3", "p2", "p1", "p0"]


def test_what_is_not_ordered_yet_stands_at_the_end(ledger, orders):
    """Prompts without an order come at the end of all pages, and not under filters on orders."""
    asked = {name: PartitionRequest(f"f-{name}", tags={"n": name}) for name in ("ant", "bee", "cat")}
    ledger.partitions.update("spots", asked)
    orders.make(State.STORED, "cat")
    seen, after = [], None
    while page := ledger.tiles.page(TileFilter(), after=after, limit=2):
        seen += [tile.partition for tile in page]
        after = page[-1].cursor
    assert seen == ["cat", "bee", "ant"]
    assert ledger.tiles.unordered() == ledger.tiles.unordered("spots") == 2
    assert keys(ledger, stages=(Stage.NOT_ORDERED,), prompt_set="spots") == ["bee", "ant"]
    assert keys(ledger, tags={"n": "ant"}) == keys(ledger, text="ANT") == ["ant"]
    assert keys(ledger, stages=(Stage.STORED,)) == keys(ledger, since=NOW.date()) == ["cat"]
    ledger.partitions.update("spots", {"cat": asked["cat"]})
    assert keys(ledger) == ["cat"], "those that left the file are no longer wanted"


@pytest.mark.each_database
def test_filters_choose_tiles(ledger, orders):
    """Filters choose by set, model, stage, verdict, tag, cost, day and text; wildcards are plain text."""
    asked = {
        "cat": PartitionRequest("f-cat", tags={"campaign": "spring"}),
        "dog": PartitionRequest("f-dog", tags={"campaign": "frühling"}),
    }
    ledger.partitions.update("spots", asked)
    orders.make_many(State.STORED, "cat", "dog")
    orders.make(State.STORED, "owl", prompt_set="birds", charged=2 * POINTS)
    orders.make(State.SUBMITTED, "fox")
    ledger.verdicts.give("spots", {"cat": Judgement(Verdict.DISCARDED, "too dark 100%")}, reviewer="ann")
    assert keys(ledger, prompt_set="birds") == ["owl"]
    assert keys(ledger, models=("seedance-2",)) == []
    assert len(keys(ledger, models=("seedance-2-fast",))) == 4
    assert keys(ledger, stages=(Stage.IN_PROGRESS,)) == ["fox"]
    assert keys(ledger, verdicts=(Verdict.DISCARDED,)) == ["cat"]
    assert keys(ledger, verdicts=(Verdict.UNDECIDED,)) == ["owl", "dog"]
    assert keys(ledger, tags={"campaign": "spring"}) == ["cat"]
    assert keys(ledger, min_points=POINTS + 1) == ["owl"]
    assert keys(ledger, max_points=POINTS, stages=(Stage.STORED,)) == ["dog", "cat"]
    assert keys(ledger, since=NOW.date(), until=NOW.date(), prompt_set="birds") == ["owl"]
    assert keys(ledger, until=NOW.date().replace(day=1)) == []
    assert keys(ledger, text="OW") == ["owl"]
    assert keys(ledger, text="frühl") == ["dog"]
    assert keys(ledger, text="dark 100%") == ["cat"]
    assert keys(ledger, text="%") == ["cat"]


def test_takes_of_a_prompt_are_found_with_those_that_were_not_ordered(ledger, orders):
    """All takes of a prompt are found, ordered or not, with their verdicts and by number."""
    asked = {
        "cat": PartitionRequest("f-cat"),
        **{f"cat.t{take}": PartitionRequest("f-cat", take=take) for take in (2, 3)},
    }
    ledger.partitions.update("spots", asked)
    orders.make(State.STORED, "cat.t2", fingerprint="f-cat", take=2)
    ledger.verdicts.give("spots", {"cat.t2": Judgement(Verdict.ACCEPTED)}, reviewer="ann")
    tiles = ledger.tiles.of_partitions("spots", ["cat.t3", "cat", "cat.t2", "cat.t4"])
    assert [(tile.partition, tile.prompt_id, tile.order is None) for tile in tiles] == [
        ("cat", "cat", True),
        ("cat.t2", "cat", False),
        ("cat.t3", "cat", True),
    ]
    assert tiles[1].verdict is not None
    assert tiles[1].verdict.verdict is Verdict.ACCEPTED


def test_finals_stand_in_a_row_of_their_own(ledger, orders):
    """Finals have a row of their own, since a choice among drafts is no verdict on finals."""
    asked = {
        "cat": PartitionRequest("draft", is_draft=True),
        "cat.t2": PartitionRequest("draft", take=2, is_draft=True),
        "cat.final": PartitionRequest("final"),
        "cat.t2.final": PartitionRequest("final", take=2),
    }
    ledger.partitions.update("spots", asked)
    tiles = {tile.partition: tile.prompt_id for tile in ledger.tiles.of_partitions("spots", list(asked))}
    assert tiles == {"cat": "cat", "cat.t2": "cat", "cat.final": "cat.final", "cat.t2.final": "cat.final"}
    [first] = ledger.tiles.of_partitions("spots", ["cat.final"])
    assert [tile.partition for tile in ledger.tiles.with_other_takes([first])] == [
        "cat.final",
        "cat.t2.final",
    ]


def test_other_takes_stand_behind_the_tiles_of_a_page(ledger, orders):
    """Other takes come with the tiles of a page, even if filtered out, and none of another prompt."""
    asked = {
        "cat": PartitionRequest("f-cat"),
        **{f"cat.t{take}": PartitionRequest("f-cat", take=take) for take in (2, 3)},
        "same": PartitionRequest("f-cat"),
    }
    ledger.partitions.update("spots", asked)
    orders.make(State.STORED, "cat", fingerprint="f-cat")
    orders.make(State.REJECTED, "cat.t2", fingerprint="f-cat", take=2)
    page = ledger.tiles.page(TileFilter(stages=(Stage.STORED,)))
    tiles = ledger.tiles.with_other_takes(page)
    assert [tile.partition for tile in page] == ["cat"]
    assert {tile.partition: tile.order and tile.order.state for tile in tiles} == {
        "cat": State.STORED,
        "cat.t2": State.REJECTED,
        "cat.t3": None,
    }


@pytest.mark.each_database
def test_counts_add_up(ledger, orders):
    """Counts of tiles by set, model, stage and verdict add up, with their cost."""
    orders.make_many(State.STORED, "cat", "dog")
    orders.make(State.REJECTED, "fox")
    ledger.verdicts.give("spots", {"cat": Judgement(Verdict.ACCEPTED)}, reviewer="ann")
    counts = ledger.tiles.counts()
    assert counts == ledger.tiles.counts("spots")
    assert ledger.tiles.counts("birds") == []
    by_kind = {(count.stage, count.verdict): (count.tiles, count.points) for count in counts}
    assert by_kind[Stage.STORED, Verdict.ACCEPTED] == by_kind[Stage.STORED, Verdict.UNDECIDED] == (1, POINTS)
    assert by_kind[Stage.NO_VIDEO, Verdict.UNDECIDED][0] == 1
    assert {replace(count, tiles=0, points=0).model for count in counts} == {"seedance-2-fast"}


def test_tags_are_counted(ledger):
    """The values of each tag are counted over the partitions of a set."""
    asked = {name: PartitionRequest(name, tags={"campaign": "spring"}) for name in ("cat", "dog")}
    ledger.partitions.update("spots", asked)
    assert ledger.tiles.tags("spots") == {"campaign": {"spring": 2}}
