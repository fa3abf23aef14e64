"""The next pair of a reviewer: none twice until all were seen, and either variant on either side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from seedance_dagster.ledger.comparison import Comparison
from seedance_dagster.review.comparison.pairs import Pair


@dataclass(frozen=True)
class Turn:
    """A pair that a reviewer is to judge.

    Attributes:
        sides: The SHA-256 of the video on the left, and on the right.
        prompt: Their text; empty where it says which is which.
        round: How often the reviewer has seen each pair when this round is over.
        left: How many pairs are left in this round, this one included.
        pairs: How many there are.
    """

    sides: tuple[str, str]
    prompt: str
    round: int
    left: int
    pairs: int


def next_turn(
    pairs: Sequence[Pair],
    answers: Iterable[Comparison],
    *,
    reviewer: str,
    random: Random,
    again: Comparison | None = None,
) -> Turn:
    """Return the pair that a reviewer judges next, drawn from those seen least.

    Args:
        pairs: At least one.
        answers: The answers that hold.
        reviewer: Who judges.
        random: Draws the pair, and which video is on the left.
        again: An answer that was taken back: its pair is shown as it was.
    """
    seen = Counter(answer.videos for answer in answers if answer.reviewer == reviewer)
    least = min(seen[pair.videos] for pair in pairs)
    unseen = {pair.videos: pair for pair in pairs if seen[pair.videos] == least}
    if again is not None and again.videos in unseen:
        sides = (again.left.sha256, again.right.sha256)
    else:
        left, right = random.sample(sorted(random.choice(list(unseen))), 2)
        sides = (left, right)
    texts = {str(video.request["prompt"]) for video in unseen[frozenset(sides)]}
    prompt = texts.pop() if len(texts) == 1 else ""
    return Turn(sides, prompt, least + 1, len(unseen), len(pairs))
