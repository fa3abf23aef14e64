"""Drafts and finals: the differences between the video that is reviewed and the one that is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.prompts.identity import fingerprint
from seedance_dagster.prompts.problems import shown

FINAL_FIELDS = ("draft", "final")
MAY_DIFFER = ("task_type", "resolution", "audio", "remove_watermark")
"""The fields in which a draft and its final may differ: any other difference would make another shot."""

_EXAMPLE = "draft: {resolution: 480p} with final: {resolution: 1080p}"
Report = Callable[..., None]
"""`report(field, message, severity="error")`."""
Check = Callable[[Mapping[str, Any], Report], GenerationRequest | None]
"""`check(fields, report)`: the request, or None when an error was reported."""


@dataclass(frozen=True, kw_only=True)
class DraftAndFinal:
    """The fields that a set changes for its drafts, and those that it changes for their finals."""

    draft: Mapping[str, Any]
    final: Mapping[str, Any]

    @property
    def in_both(self) -> AbstractSet[str]:
        """The fields that both set, so that no prompt can."""
        return self.draft.keys() & self.final.keys()


def read_finals(document: Mapping[str, Any], report: Report) -> DraftAndFinal | None:
    """Read the fields in which drafts and finals differ, and report problems; None for a set without them."""
    stages = {name: document[name] for name in FINAL_FIELDS if document.get(name) is not None}
    if not stages:
        return None
    for name, values in stages.items():
        if not isinstance(values, Mapping):
            report(name, f"is {shown(values)}; it must be a mapping of fields to values, such as {_EXAMPLE}")
            return None
        for field in values:
            if field not in MAY_DIFFER:
                report(
                    f"{name}.{field}",
                    "cannot differ between a draft and its final, which are the same shot; allowed are "
                    + ", ".join(MAY_DIFFER),
                )
    for name, other in zip(FINAL_FIELDS, reversed(FINAL_FIELDS), strict=True):
        if name not in stages:
            report(other, f"needs {name} as well, such as {_EXAMPLE}")
            return None
    changes = {name: {key: stages[name][key] for key in MAY_DIFFER if key in stages[name]} for name in stages}
    return DraftAndFinal(**changes)


def check_both(
    fields: Mapping[str, Any], own: Mapping[str, Any], finals: DraftAndFinal, report: Report, check: Check
) -> tuple[GenerationRequest, GenerationRequest] | None:
    """Return the requests of a prompt's draft and final; None when an error was reported.

    Args:
        fields: The prompt's fields, with defaults filled in.
        own: The fields that the prompt itself sets.
        finals: The fields in which they differ.
        report: Called once for each problem, even if both requests have it.
        check: Checks the fields of a request.
    """
    without_effect = sorted(name for name in finals.in_both if own.get(name) is not None)
    for name in without_effect:
        report(name, NO_EFFECT)
    reported: set[tuple[str, str]] = set()
    requests = []
    for stage, changes in (("draft", finals.draft), ("final", finals.final)):
        requests.append(check({**fields, **changes}, _reporting(report, stage, changes, reported)))
    draft, final = requests
    if draft is None or final is None or without_effect:
        return None
    if fingerprint(draft) == fingerprint(final):
        report(
            "final", "is the same request as its draft, so there is nothing to order again: change a field"
        )
        return None
    return draft, final


NO_EFFECT = "has no effect, since both draft and final set it: leave it out here or there"


def _reporting(
    report: Report, stage: str, changes: Mapping[str, Any], reported: set[tuple[str, str]]
) -> Report:
    """Return a report that names the stage of each field that the stage sets, and repeats no problem."""

    def report_once(name: str, message: str, severity: str = "error") -> None:
        if (name, message) not in reported:
            reported.add((name, message))
            report(f"{stage}.{name}" if name in changes else name, message, severity)

    return report_once
