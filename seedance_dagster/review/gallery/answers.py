"""Answers that a page of pairs sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from seedance_dagster.ledger.comparison import Comparison, Preference, Question, Side
from seedance_dagster.ledger.errors import VerdictError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.review.comparison.pairs import Pair, find_pairs
from seedance_dagster.review.comparison.turns import Turn, next_turn
from seedance_dagster.review.gallery.posts import ReviewerName, read_message
from seedance_dagster.review.gallery.query import QueryError


class Answer(BaseModel):
    """One answer of a reviewer.

    Attributes:
        action: Which of the two is better, none, or `undo` for the last answer.
        set: The prompt set.
        name: The field or tag in which the two differ, with `first` and `second` as its values.
        left: The SHA-256 of the video that was shown on the left; not for `undo`, as `right`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Literal["left", "right", "none", "undo"]
    set: str = Field(max_length=500)
    name: str = Field(max_length=500)
    first: str = Field(max_length=5000)
    second: str = Field(max_length=5000)
    left: str = Field(default="", max_length=64)
    right: str = Field(default="", max_length=64)
    reviewer: ReviewerName

    @property
    def question(self) -> Question:
        """The two variants that are compared."""
        return Question(self.name, self.first, self.second)


def read_answer(body: bytes) -> Answer:
    """Read an answer; raise `VerdictError` if it is not valid."""
    return read_message(Answer, body)


def read_question(fields: Mapping[str, str]) -> tuple[str, Question]:
    """Read a set and a question from the fields of a query; raise `QueryError` if one is missing."""
    missing = [name for name in ("set", "name", "first", "second") if name not in fields]
    if missing:
        raise QueryError(f"{', '.join(missing)}: missing; choose a comparison at /compare")
    return fields["set"], Question(fields["name"], fields["first"], fields["second"])


def first_turn(ledger: Ledger, prompt_set: str, question: Question, *, reviewer: str, random: Random) -> Turn:
    """Return the pair that a reviewer judges first; raise `LedgerError`."""
    pairs = find_pairs(ledger, prompt_set, question)
    answers = ledger.comparisons.answers(prompt_set, question)
    return next_turn(pairs, answers, reviewer=reviewer, random=random)


def take_answer(ledger: Ledger, answer: Answer, random: Random) -> Turn:
    """Record an answer, or take the last one back; return the next pair to judge.

    Raises:
        VerdictError: It cannot be recorded, such as on a video that was replaced meanwhile.
    """
    pairs = find_pairs(ledger, answer.set, answer.question)
    again: Comparison | None = None
    if answer.action == "undo":
        again = ledger.comparisons.undo(answer.set, answer.question, reviewer=answer.reviewer)
    else:
        left, right = _sides(answer, pairs)
        preference = Preference(answer.action)
        ledger.comparisons.add(answer.set, answer.name, left, right, preference, reviewer=answer.reviewer)
    answers = ledger.comparisons.answers(answer.set, answer.question)
    return next_turn(pairs, answers, reviewer=answer.reviewer, random=random, again=again)


def _sides(answer: Answer, pairs: Sequence[Pair]) -> tuple[Side, Side]:
    """Return the videos that were shown on the left and on the right."""
    for first, second in pairs:
        sides = (Side(answer.first, first.sha256), Side(answer.second, second.sha256))
        for left, right in (sides, sides[::-1]):
            if (left.sha256, right.sha256) == (answer.left, answer.right):
                return left, right
    raise VerdictError("a video of this pair was replaced meanwhile: reload the page. Nothing was recorded")
