"""The scores of a set: those that its file and its code location name, with thresholds and rule."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from seedance_dagster.prompts.models import PromptSet
from seedance_dagster.prompts.problems import Problem
from seedance_dagster.prompts.thresholds import AcceptRule, Threshold
from seedance_dagster.scores.catalog import BUILTIN
from seedance_dagster.scores.errors import ScoreError
from seedance_dagster.scores.score import Score

_DIGEST_CHARACTERS = 16


@dataclass(frozen=True, kw_only=True)
class ScorePlan:
    """The scores to measure for a set's videos, their thresholds, and the rule that uses them.

    Attributes:
        prompt_set: The set.
        scores: In the order in which they are measured.
        thresholds: The thresholds that values must meet, by name; a check names the videos that do not.
        accept: The rule by which videos are accepted; None leaves that to people.
    """

    prompt_set: str
    scores: tuple[Score, ...]
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    accept: AcceptRule | None = None

    @property
    def digest(self) -> str:
        """A hash that changes when all videos of the set must be looked at again."""
        measured = [(score.name, score.version) for score in self.scores]
        limits = sorted((name, str(threshold)) for name, threshold in self.thresholds.items())
        rule = self.accept and (self.accept.all_checks, sorted(map(_text, self.accept.scores.items())))
        return hashlib.sha256(repr((measured, limits, rule)).encode()).hexdigest()[:_DIGEST_CHARACTERS]


def check_scores(scores: Sequence[Score]) -> None:
    """Check the scores of a code location; raise `ScoreError` if two of them share a name.

    Built-in scores count too: a prompt file names them all alike.
    """
    known = {score.name: score for score in BUILTIN.values()}
    values = {value: score for score in BUILTIN.values() for value in score.values}
    for score in scores:
        if known.setdefault(score.name, score) is not score:
            raise ScoreError(f"two scores are named {score.name!r}: give yours another name")
        for value in score.values:
            if values.setdefault(value, score) is not score:
                raise ScoreError(
                    f"the scores {values[value].name!r} and {score.name!r} both give a value {value!r}: "
                    "give one of them another name"
                )


def plan_of(prompt_set: PromptSet, own: Sequence[Score] | None) -> tuple[ScorePlan | None, list[Problem]]:
    """Return the score plan of a set, and the problems of the names in its file.

    Args:
        prompt_set: The set.
        own: The scores of its code location, which all of its sets have; None if they are unknown. Then a
            name that is not built in is only a warning.

    Returns:
        The plan; None for a set without scores and rule, and for one with errors.
    """
    names = _ScoreNames(prompt_set, own)
    chosen = {score.name: score for score in own or ()}
    thresholds: dict[str, Threshold] = {}
    for entry in prompt_set.scores:
        score = names.score(f"scores.{entry.name}", entry.name)
        if score is not None:
            chosen.setdefault(score.name, score)
            if entry.threshold is not None and names.is_value(score, entry.name):
                thresholds[entry.name] = entry.threshold
    rule = prompt_set.accept
    values = {value for score in chosen.values() for value in score.values}
    for name in rule.scores if rule else ():
        if name not in values:
            names.report_rule(name, values)
    errors = any(problem.severity == "error" for problem in names.problems)
    if errors or not (chosen or rule):
        return None, names.problems
    plan = ScorePlan(
        prompt_set=prompt_set.name, scores=tuple(chosen.values()), thresholds=thresholds, accept=rule
    )
    return plan, names.problems


class _ScoreNames:
    """The names of scores in a set's file, and their problems."""

    def __init__(self, prompt_set: PromptSet, own: Sequence[Score] | None) -> None:
        self.problems: list[Problem] = []
        self._set, self._own_known = prompt_set, own is not None
        self._known = {score.name: score for score in (*BUILTIN.values(), *(own or ()))}

    def score(self, field_name: str, name: str) -> Score | None:
        """Return the score of a name, or the score that gives a value of that name."""
        for score in self._known.values():
            if name == score.name or name in score.values:
                return score
        known = ", ".join(sorted(self._known))
        if self._own_known:
            self._report(
                field_name, f"is not a score; known are {known}. A score of your own is given in Python"
            )
        else:
            self._report(
                field_name,
                f"is not built in, so the code location must have it; built in are {known}",
                "warning",
            )
        return None

    def is_value(self, score: Score, name: str) -> bool:
        """Return True for the name of a value; a threshold of anything else is an error."""
        if name in score.values:
            return True
        self._report(
            f"scores.{name}",
            f"has a threshold, and gives several values: name the value instead; they are "
            f"{', '.join(score.values)}",
        )
        return False

    def report_rule(self, name: str, values: Iterable[str]) -> None:
        """Report a name in the rule that is not among the values of the set's scores."""
        if not self._own_known and name not in BUILTIN:
            return  # a score of the code location may give it
        known = ", ".join(sorted(values)) or "none"
        hint = f"; add {name} to scores" if name in BUILTIN else ""
        self._report(f"accept.scores.{name}", f"is not a value of the set's scores, which are {known}{hint}")

    def _report(self, name: str, message: str, severity: str = "error") -> None:
        self.problems.append(
            Problem(source=self._set.source, field=name, message=message, severity=severity)  # type: ignore[arg-type]  # one of two texts
        )


def _text(entry: tuple[str, Threshold]) -> tuple[str, str]:
    return entry[0], str(entry[1])
