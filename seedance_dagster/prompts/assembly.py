"""From a file's rows to a prompt set: fields, defaults, ids, and all problems at once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seedance_dagster.api.limits import Limits
from seedance_dagster.api.prices import PriceTable
from seedance_dagster.api.wire import Mode
from seedance_dagster.prompts.models import Prompt, PromptSet
from seedance_dagster.prompts.problems import Problem, shown
from seedance_dagster.prompts.rules import REQUEST_FIELDS, UNSTORABLE, check_request
from seedance_dagster.prompts.slugs import ID_PATTERN, ID_RULE, NAME_PATTERN, NAME_RULE, slug_id

DEFAULTS: Mapping[str, Any] = {
    "task_type": "seedance-2-fast",
    "mode": "text_to_video",
    "duration": 5,
    "aspect_ratio": "16:9",
}
PROMPT_FIELDS = (*REQUEST_FIELDS, "id", "takes", "tags")
_MAX_TAKES = 100


@dataclass(frozen=True, kw_only=True)
class Row:
    """One prompt as a file gave it.

    Attributes:
        place: Its line or position, for people.
        fields: Values of known fields.
        tags: Tags and further columns.
        unknown: Names that are no fields, where a file may not have further columns.
    """

    place: str
    fields: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RawSet:
    """A file's content before any rule for prompts was looked at."""

    name: str
    source: str
    rows: Sequence[Row]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    budgets: Mapping[str, int] = field(default_factory=dict)


def assemble(raw: RawSet, *, limits: Limits, prices: PriceTable) -> tuple[PromptSet | None, list[Problem]]:
    """Make a prompt set, or say everything that is wrong with it.

    Returns:
        The set, None when there is an error, and all problems, warnings included.
    """
    problems: list[Problem] = []
    if not NAME_PATTERN.fullmatch(raw.name):
        problems.append(
            Problem(source=raw.source, field="name", message=f"{raw.name!r} cannot be used: {NAME_RULE}")
        )
    if not raw.rows:
        problems.append(Problem(source=raw.source, message="holds no prompts"))
    not_defaults = set(raw.defaults) - set(PROMPT_FIELDS) | set(raw.defaults) & {"id", "prompt"}
    problems += [
        Problem(source=raw.source, field=f"defaults.{name}", message=f"no default may be set for {name!r}")
        for name in sorted(not_defaults)
    ]
    if raw.defaults.get("mode") == Mode.FIRST_LAST_FRAMES and "aspect_ratio" in raw.defaults:
        message = "ignored in first_last_frames: the first image decides it"
        problems.append(
            Problem(source=raw.source, field="defaults.aspect_ratio", message=message, severity="warning")
        )
    ids = _ids(raw.rows)
    twice = {each for each, count in Counter(ids).items() if count > 1}
    prompts = []
    for row, prompt_id in zip(raw.rows, ids, strict=True):
        prompt = _prompt(raw, row, prompt_id, twice=twice, problems=problems, limits=limits, prices=prices)
        if prompt is not None:
            prompts.append(prompt)
    if any(problem.severity == "error" for problem in problems):
        return None, problems
    return PromptSet(raw.name, tuple(prompts), raw.source, raw.budgets), problems


def _ids(rows: Sequence[Row]) -> list[str]:
    """Given ids as they are; the others from their texts, a repeated text numbered."""
    seen: Counter[str] = Counter()
    ids = []
    for row in rows:
        given = _given_id(row)
        if given is not None:
            ids.append(given)
            continue
        text = row.fields.get("prompt")
        text = text if isinstance(text, str) else ""
        seen[text] += 1
        ids.append(slug_id(text, seen[text]))
    return ids


def _given_id(row: Row) -> str | None:
    """The id that a row gives, a number as its digits; empty when it cannot be used, None when not given."""
    given = row.fields.get("id")
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    if given is None or (isinstance(given, str) and ID_PATTERN.fullmatch(given)):
        return given
    return ""


def _prompt(
    raw: RawSet,
    row: Row,
    prompt_id: str,
    *,
    twice: set[str],
    problems: list[Problem],
    limits: Limits,
    prices: PriceTable,
) -> Prompt | None:
    given = _given_id(row)
    place = f"{row.place} ({given})" if given else row.place
    before = len(problems)

    def report(name: str | None, message: str, severity: Any = "error") -> None:
        problems.append(
            Problem(source=raw.source, prompt=place, field=name, message=message, severity=severity)
        )

    for name in row.unknown:
        report(name, f"is no field; fields are {', '.join(PROMPT_FIELDS)}")
    if given == "":
        report("id", f"{shown(row.fields['id'])} cannot be used: {ID_RULE}")
    elif prompt_id in twice:
        report("id", f"{prompt_id!r} stands more than once in this set")
    fields = {**dict.fromkeys(PROMPT_FIELDS), **DEFAULTS, **raw.defaults, **row.fields}
    takes = 1 if fields["takes"] is None else fields["takes"]
    if isinstance(takes, bool) or not isinstance(takes, int) or not 1 <= takes <= _MAX_TAKES:
        report("takes", f"{shown(takes)} is no whole number from 1 to {_MAX_TAKES}")
    tags = _tags(raw.defaults.get("tags"), report) | _tags(row.fields.get("tags"), report) | dict(row.tags)
    for name in (each for each, value in tags.items() if UNSTORABLE.search(each + value)):
        report(f"tags.{name}", "holds characters that cannot be stored")
    request = check_request(
        fields,
        ratio_given=row.fields.get("aspect_ratio") is not None,
        limits=limits,
        prices=prices,
        report=report,
    )
    failed = any(problem.severity == "error" for problem in problems[before:])
    if failed or request is None:
        return None
    return Prompt(id=prompt_id, request=request, takes=takes, tags=tags)


def _tags(value: Any, report: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or any(
        isinstance(item, Mapping | list) or not isinstance(name, str) for name, item in value.items()
    ):
        report("tags", "must be names with plain values, such as {campaign: spring}")
        return {}
    return {name: tag_text(item) for name, item in value.items() if item is not None}


def tag_text(value: Any) -> str:
    """A tag's value as text; a list's items are joined by commas, names with values are JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(tag_text, value))
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
