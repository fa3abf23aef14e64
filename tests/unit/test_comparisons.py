"""Blind comparisons: which videos make a pair, whose turn it is, what is kept, and what comes out."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
import sqlalchemy as sa
from comparison_support import RESOLUTIONS, STYLES, make_variant
from factories import REQUEST, open_ledger
from order_factory import OrderFactory

from seedance_dagster.ledger.comparison import ComparedVideo, Preference, Question, Side
from seedance_dagster.ledger.errors import VerdictError
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.tables.comparisons import comparisons
from seedance_dagster.review.comparison.figures import read_figures, wilson
from seedance_dagster.review.comparison.pairs import find_pairs, pairs_of, questions_of
from seedance_dagster.review.comparison.turns import next_turn

LEFT, RIGHT, NONE = Preference.LEFT, Preference.RIGHT, Preference.NONE


def video(partition: str, *, take: int = 1, tags: dict[str, str] | None = None, **request) -> ComparedVideo:
    return ComparedVideo(partition, take, REQUEST | request, tags or {}, f"sha-{partition}-{take}")


def names(videos: list[ComparedVideo], question: Question) -> list[tuple[str, str]]:
    return [(pair.first.partition, pair.second.partition) for pair in pairs_of(videos, question)]


def answer(ledger, one, other, preference: Preference, reviewer: str = "ann") -> None:
    sides = [Side(order.request["resolution"], order.sha256) for order in (one, other)]
    ledger.comparisons.add("spots", "resolution", *sides, preference, reviewer=reviewer)


def test_variants_of_a_matrix_are_pairs_in_one_thing_at_a_time(ledger, orders):
    """Variants are paired take by take, in any order; their texts differ only where the tag stands."""
    for resolution in ("720p", "480p"):
        for style in ("calm", "noir"):
            make_variant(orders, "mug", resolution, style)
    make_variant(orders, "cup", "720p", take=2)
    make_variant(orders, "cup", "480p", take=1)
    videos = ledger.comparisons.videos("spots")
    assert names(videos, RESOLUTIONS) == [
        ("mug-480p-calm", "mug-720p-calm"),
        ("mug-480p-noir", "mug-720p-noir"),
    ]
    assert names(videos, STYLES) == [("mug-720p-noir", "mug-720p-calm"), ("mug-480p-noir", "mug-480p-calm")]
    assert questions_of(videos) == {RESOLUTIONS: 2, Question("style", "calm", "noir"): 2}


def test_without_a_template_the_text_must_be_one():
    """Without a template, prompts are paired by model or tag only if their texts are equal."""
    videos = [
        video("a", task_type="seedance-2"),
        video("b", task_type="seedance-2-mini"),
        video("c", task_type="seedance-2-mini", prompt="another text"),
        video("d", tags={"look": "x"}),
        video("e", tags={"look": "y"}),
        video("f", tags={"look": "y"}, prompt="another text"),
    ]
    assert questions_of(videos) == {
        Question("look", "x", "y"): 1,
        Question("task_type", "seedance-2", "seedance-2-mini"): 1,
    }
    assert names(videos, Question("look", "y", "x")) == [("e", "d")]


def test_a_link_that_is_signed_again_is_the_same_reference():
    """A reference with a new signature is the same reference."""
    link = "https://b.s3.amazonaws.com/cat.png?X-Amz-Signature={}&X-Amz-Algorithm=a&X-Amz-Credential=c"
    videos = [
        video(name, resolution=resolution, image_urls=[link.format(name)])
        for name, resolution in (("a", "480p"), ("b", "720p"))
    ]
    assert names(videos, RESOLUTIONS) == [("a", "b")]


def test_equal_bytes_make_no_pair():
    """Videos of equal bytes make no pair, and two partitions that show one video count once."""
    one, other = video("a", resolution="480p"), video("b", resolution="720p")
    assert names([one, replace(other, sha256=one.sha256)], RESOLUTIONS) == []
    again = [replace(one, partition="c", tags={"x": "y"}), replace(other, partition="d", tags={"x": "y"})]
    assert len(pairs_of([one, other, *again], RESOLUTIONS)) == 1


def test_a_tag_with_a_secret_is_left_out():
    """A tag with a secret is left out, since a page would show its value."""
    videos = [video(name, tags={"at": f"https://user:{name}@host/"}) for name in ("a", "b")]
    assert questions_of(videos) == {}


def test_what_cannot_be_compared_says_what_can(ledger, orders):
    """The message names the questions that have pairs."""
    make_variant(orders, "mug", "480p")
    make_variant(orders, "mug", "720p")
    with pytest.raises(VerdictError, match=r"these can be compared: resolution=480p and resolution=720p"):
        find_pairs(ledger, "spots", STYLES)


def test_sound_is_not_compared_blindly(ledger, orders):
    """Sound would identify a video, so pairs are played without it, and sound itself is not compared."""
    with pytest.raises(VerdictError, match=r"audio: pairs are played without sound, .*listen to both"):
        find_pairs(ledger, "spots", Question("audio", "true", "false"))


def test_no_pair_comes_twice_until_all_were_seen(ledger, orders):
    """No reviewer gets a pair twice before all others; sides are mixed, and then a second round begins."""
    for number in range(12):
        make_variant(orders, f"p{number}", "480p")
        make_variant(orders, f"p{number}", "720p")
    pairs = find_pairs(ledger, "spots", RESOLUTIONS)
    of_480p = {pair.first.sha256 for pair in pairs}
    random, seen, on_the_left = Random(3), [], []

    def turn(reviewer: str):
        answers = ledger.comparisons.answers("spots", RESOLUTIONS)
        return next_turn(pairs, answers, reviewer=reviewer, random=random)

    for left in range(12, 0, -1):
        now = turn("ann")
        assert (now.round, now.left, now.pairs) == (1, left, 12)
        seen.append(frozenset(now.sides))
        on_the_left.append(now.sides[0] in of_480p)
        values = ("480p", "720p") if on_the_left[-1] else ("720p", "480p")
        sides = map(Side, values, now.sides)
        ledger.comparisons.add("spots", "resolution", *sides, LEFT, reviewer="ann")
    assert len(set(seen)) == 12
    assert 0 < sum(on_the_left) < 12
    assert (turn("ann").round, turn("bob").round) == (2, 1)


def test_a_pair_that_was_taken_back_comes_again_as_it_was(ledger, orders):
    """A pair that was taken back comes again with the same sides, and with its text if both share it."""
    pair = [make_variant(orders, "mug", resolution) for resolution in ("480p", "720p")]
    more = [make_variant(orders, "cup", resolution) for resolution in ("480p", "720p")]
    answer(ledger, *more, LEFT)
    answer(ledger, *reversed(pair), RIGHT)
    again = ledger.comparisons.undo("spots", RESOLUTIONS, reviewer="ann")
    pairs = find_pairs(ledger, "spots", RESOLUTIONS)
    answers = ledger.comparisons.answers("spots", RESOLUTIONS)
    for seed in range(5):
        turn = next_turn(pairs, answers, reviewer="ann", random=Random(seed), again=again)
        assert turn.sides == (pair[1].sha256, pair[0].sha256)
        assert turn.prompt == "mug, noir style"
    make_variant(orders, "mug", "480p", "calm")
    [with_style] = find_pairs(ledger, "spots", STYLES)
    assert next_turn([with_style], [], reviewer="ann", random=Random(1)).prompt == ""


@pytest.mark.each_database
def test_answers_are_only_added(ledger, orders):
    """Undo takes back the reviewer's own last answer by a row of its own; nothing is changed."""
    pair = [make_variant(orders, "mug", resolution) for resolution in ("480p", "720p")]
    answer(ledger, *pair, LEFT)
    answer(ledger, *pair, RIGHT, "bob")
    answer(ledger, *reversed(pair), NONE)
    assert ledger.comparisons.undo("spots", RESOLUTIONS, reviewer="ann").preference is NONE
    back_to_front = Question("resolution", "720p", "480p")
    held = ledger.comparisons.answers("spots", back_to_front)
    assert [(row.reviewer, row.preferred) for row in held] == [("ann", "480p"), ("bob", "720p")]
    assert ledger.comparisons.undo("spots", back_to_front, reviewer="ann").preference is LEFT
    with pytest.raises(VerdictError, match="spots: no answer of ann is left to take back"):
        ledger.comparisons.undo("spots", RESOLUTIONS, reviewer="ann")
    with ledger._database.reading() as connection:
        columns = (comparisons.c.reviewer, comparisons.c.preference, comparisons.c.undoes)
        rows = connection.execute(sa.select(*columns).order_by(comparisons.c.comparison_id)).all()
    assert [tuple(row) for row in rows] == [
        ("ann", LEFT, None),
        ("bob", RIGHT, None),
        ("ann", NONE, None),
        ("ann", None, 3),
        ("ann", None, 1),
    ]


def test_an_answer_outlives_the_video_that_it_was_on(ledger, orders):
    """An answer stays in the figures when its video is replaced, and the new pair is to be judged."""
    pair = [make_variant(orders, "mug", resolution) for resolution in ("480p", "720p")]
    answer(ledger, *pair, LEFT)
    new = make_variant(orders, "mug", "480p")
    [now] = find_pairs(ledger, "spots", RESOLUTIONS)
    assert now.first.sha256 == new.sha256
    answers = ledger.comparisons.answers("spots", RESOLUTIONS)
    assert next_turn([now], answers, reviewer="ann", random=Random(1)).round == 1
    answer(ledger, new, pair[1], RIGHT)
    figures = read_figures(ledger, "spots", RESOLUTIONS)
    assert (figures.first.preferred, figures.second.preferred, figures.judged, figures.pairs) == (1, 1, 2, 1)


def test_figures_count_the_newest_answer_of_each_reviewer_on_each_pair(ledger, orders):
    """Ties are counted apart, and are a part of no win rate."""
    pairs = [
        [make_variant(orders, prompt, resolution) for resolution in ("480p", "720p")]
        for prompt in ("a", "b", "c", "d")
    ]
    answer(ledger, *pairs[0], LEFT)
    answer(ledger, *reversed(pairs[0]), LEFT)  # 720p, in place of the first answer
    answer(ledger, *pairs[0], RIGHT, "bob")
    answer(ledger, *pairs[1], LEFT)
    answer(ledger, *pairs[2], NONE)
    figures = read_figures(ledger, "spots", RESOLUTIONS)
    assert (figures.first.preferred, figures.second.preferred, figures.ties) == (1, 2, 1)
    assert (figures.answers, figures.judged, figures.pairs, figures.reviewers) == (4, 3, 4, 2)
    assert figures.second.win_rate == pytest.approx(2 / 3)
    assert figures.first.interval == pytest.approx((0.0615, 0.7923), abs=1e-4)
    empty = read_figures(ledger, "spots", STYLES)
    assert (empty.answers, empty.first.win_rate, empty.second.interval) == (0, None, None)


@pytest.mark.parametrize(
    ("wins", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962), (1, 1, 0.2065, 1.0)],
)
def test_the_interval_is_wilsons(wins, of, low, high):
    """The interval matches published values of Wilson's, and stays between 0 and 1 at the ends."""
    assert wilson(wins, of) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.each_database
def test_answers_move_with_the_ledger(ledger, tmp_path, clock):
    """Answers move with the ledger; numbers continue, and the old ledger refuses answers."""
    with open_ledger(f"sqlite:///{tmp_path}/old.db", clock) as old:
        pair = [make_variant(OrderFactory(old, clock), "mug", resolution) for resolution in ("480p", "720p")]
        answer(old, *pair, LEFT)
        before = old.comparisons.answers("spots", RESOLUTIONS)
        assert old.moving.move_to(ledger.moving, label="another")["seedance_comparisons"] == 1
        with pytest.raises(VerdictError, match="the ledger was moved to another"):
            answer(old, *pair, LEFT)
    assert ledger.comparisons.answers("spots", RESOLUTIONS) == before
    answer(ledger, *pair, RIGHT, "bob")
    assert [row.comparison_id for row in ledger.comparisons.answers("spots", RESOLUTIONS)] == [1, 2]


def test_a_video_is_found_by_its_bytes(ledger, orders):
    """A stored video is found by its bytes, and no other is."""
    stored = make_variant(orders, "mug")
    orders.make(State.SUBMITTED, "cat")
    assert ledger.comparisons.video(stored.sha256) == stored
    assert ledger.comparisons.video("0" * 64) is None
