"""The outcome of blind comparisons: how often each variant was preferred, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from seedance_dagster.ledger.comparison import Comparison, Question
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.review.comparison.pairs import pairs_of

CONFIDENCE = 0.95
_Z = 1.959964  # 95 % of a normal distribution lie within this many standard deviations


class Interval(NamedTuple):
    """The lower and upper end of an interval of shares."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Side:
    """One variant.

    Attributes:
        preferred: How often it was preferred.
        win_rate: Its share of the answers that preferred one; None without any, as the interval.
        interval: The Wilson interval of that share, with a confidence of 95 %.
    """

    value: str
    preferred: int
    win_rate: float | None
    interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The outcome of the comparisons of two variants.

    Attributes:
        pairs: How many pairs can be compared now.
        judged: How many different pairs were judged, including those of videos that were replaced since.
        answers: The newest of each reviewer on each pair.
        ties: The answers that preferred none; they count in no win rate.
        reviewers: How many people answered.
    """

    question: Question
    first: Side
    second: Side
    pairs: int
    judged: int
    answers: int
    ties: int
    reviewers: int

    def as_dict(self) -> dict[str, Any]:
        """Return its values by name."""
        return {
            "name": self.question.name,
            "variants": [
                {
                    "value": side.value,
                    "preferred": side.preferred,
                    "win_rate": side.win_rate,
                    "interval": side.interval,
                }
                for side in (self.first, self.second)
            ],
            "confidence": CONFIDENCE,
            "no_preference": self.ties,
            "answers": self.answers,
            "reviewers": self.reviewers,
            "pairs_judged": self.judged,
            "pairs": self.pairs,
        }


def read_figures(ledger: Ledger, prompt_set: str, question: Question) -> Figures:
    """Return the outcome of a question in a set; raise `LedgerError`."""
    with ledger.reading_together():
        pairs = pairs_of(ledger.comparisons.videos(prompt_set), question)
        answers = ledger.comparisons.answers(prompt_set, question)
    return figures_of(question, answers, pairs=len(pairs))


def figures_of(question: Question, answers: Iterable[Comparison], *, pairs: int) -> Figures:
    """Return the outcome of a question from its answers, the oldest first."""
    newest = {(answer.reviewer, answer.videos): answer for answer in answers}
    preferred = [answer.preferred for answer in newest.values()]
    wins = [preferred.count(value) for value in (question.first, question.second)]
    first, second = (_side(value, count, sum(wins)) for value, count in zip(question[1:], wins, strict=True))
    return Figures(
        question=question,
        first=first,
        second=second,
        pairs=pairs,
        judged=len({answer.videos for answer in newest.values()}),
        answers=len(newest),
        ties=preferred.count(None),
        reviewers=len({answer.reviewer for answer in newest.values()}),
    )


def _side(value: str, preferred: int, of: int) -> Side:
    return Side(
        value=value,
        preferred=preferred,
        win_rate=preferred / of if of else None,
        interval=wilson(preferred, of) if of else None,
    )


def wilson(wins: int, of: int) -> Interval:
    """Return the Wilson interval of a share, with a confidence of 95 %.

    Example:
        >>> [round(end, 3) for end in wilson(8, 10)]
        [0.49, 0.943]
    """
    share, spread = wins / of, _Z**2 / of
    middle = share + spread / 2
    half = _Z * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    return Interval(max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread)))
