"""The fields `scores` and `accept` of a prompt set: the scores that it asks for, and its rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from seedance_dagster.prompts.problems import shown
from seedance_dagster.prompts.thresholds import AcceptRule, Threshold, WantedScore

SCORE_FIELDS = ("scores", "accept")
Report = Callable[..., None]
"""`report(field, message)`."""

_RULE_FIELDS = ("all_checks", "scores")
_SCORES = 'must be a list of scores, such as [cuts, motion: ">=0.2"]'
_RULE = 'must be a mapping, such as {all_checks: true, scores: {motion: ">=0.2"}}'


def read_scores(value: Any, report: Report) -> tuple[WantedScore, ...]:
    """Read the scores that a set asks for, and report problems."""
    if value is None:
        return ()
    if not isinstance(value, list):
        report("scores", f"is {shown(value)}; it {_SCORES}")
        return ()
    wanted: dict[str, WantedScore] = {}
    for name, threshold in _entries(value, report):
        if name in wanted:
            report(
                f"scores.{name}", "is listed twice; list each score once, with its threshold if it has one"
            )
        wanted[name] = WantedScore(name, threshold)
    return tuple(wanted.values())


def read_rule(value: Any, report: Report) -> AcceptRule | None:
    """Read the rule by which a set accepts videos, and report problems; None without a rule."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        report("accept", f"is {shown(value)}; it {_RULE}")
        return None
    for name in value:
        if name not in _RULE_FIELDS:
            report(f"accept.{name}", f"is not a field of the rule; fields are {', '.join(_RULE_FIELDS)}")
    all_checks = value.get("all_checks") or False
    if not isinstance(all_checks, bool):
        report("accept.all_checks", f"is {shown(all_checks)}; allowed are true and false")
    scores = value.get("scores") or {}
    if not isinstance(scores, Mapping):
        report("accept.scores", f'is {shown(scores)}; it must be a mapping, such as {{motion: ">=0.2"}}')
        scores = {}
    thresholds = {
        str(name): threshold
        for name, text in scores.items()
        if (threshold := _threshold(f"accept.scores.{name}", text, report)) is not None
    }
    if not all_checks and not scores:
        report("accept", f"asks for nothing, so it would accept every video; it {_RULE}")
    return AcceptRule(all_checks is True, thresholds)


def _entries(entries: list[Any], report: Report) -> Iterator[tuple[str, Threshold | None]]:
    for entry in entries:
        if isinstance(entry, str):
            yield entry, None
        elif isinstance(entry, Mapping) and entry and all(isinstance(name, str) for name in entry):
            for name, text in entry.items():
                yield name, None if text is None else _threshold(f"scores.{name}", text, report)
        else:
            report("scores", f"contains {shown(entry)}; it {_SCORES}")


def _threshold(name: str, text: Any, report: Report) -> Threshold | None:
    try:
        return Threshold.parse(text)
    except ValueError as error:
        report(name, f"is {shown(text)}; {error}. Write it in quotes")
        return None
