"""Assembly of a prompt set from the rows of a file: fields, defaults, ids, and all problems at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.prompts.alike import AlikeRequests, Requests
from seedance_dagster.prompts.bounds import MAX_PROMPTS
from seedance_dagster.prompts.duplicates import repetitions
from seedance_dagster.prompts.finals import NO_EFFECT, DraftAndFinal, check_both
from seedance_dagster.prompts.identity import normalized_text
from seedance_dagster.prompts.matrix import Matrix
from seedance_dagster.prompts.models import Prompt, PromptSet
from seedance_dagster.prompts.problems import Problem, not_a_boolean, shown, shown_number
from seedance_dagster.prompts.rights import (
    AllRights,
    Rights,
    places_of,
    read_rights,
    reference_place,
    rights_of,
)
from seedance_dagster.prompts.rules import RATIO_IGNORED, REQUEST_FIELDS, Report, check_request, check_text
from seedance_dagster.prompts.slugs import ID_PATTERN, ID_RULE, NAME_PATTERN, NAME_RULE, slug_id
from seedance_dagster.prompts.tags import all_tags
from seedance_dagster.prompts.thresholds import AcceptRule, WantedScore

DEFAULTS: Mapping[str, Any] = {
    "task_type": "seedance-2-fast",
    "mode": "text_to_video",
    "duration": 5,
    "aspect_ratio": "16:9",
}
PROMPT_FIELDS = (*REQUEST_FIELDS, "id", "takes", "fresh", "tags", "rights")
_DEFAULTABLE = tuple(name for name in PROMPT_FIELDS if name not in ("id", "prompt", "rights"))
_MAX_TAKES = 100


@dataclass(frozen=True, kw_only=True)
class Row:
    """A prompt as it is written in a file.

    Attributes:
        place: Its line or position, for messages.
        fields: Values of known fields.
        tags: Tags from columns that are not fields.
        unknown: Names that are not fields, in a file that may only contain fields.
        variant: The values that its set's matrix gave it, as text.
    """

    place: str
    fields: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    variant: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RawSet:
    """The content of a file, before its prompts are checked.

    Attributes:
        problems: The problems found while it was read.
        skip_bad_rows: A row with an error leaves out its prompt, not the whole file.
        folder: The folder of a local file.
        matrix: The values that its prompts vary in; None where each row is one prompt.
        finals: The fields in which drafts and finals differ; None where a prompt is ordered once.
        rights: The rights of prompts that name none.
        reference_rights: The rights of references, by each reference as it is written.
        left_out: Why rows that were dropped gave no prompt, by the id that it would have had.
        scores: The scores that it asks for.
        accept: The rule by which it accepts videos; None without one.
    """

    name: str
    source: str
    rows: Sequence[Row]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    budgets: Mapping[str, int] = field(default_factory=dict)
    problems: Sequence[Problem] = ()
    skip_bad_rows: bool = False
    folder: Path | None = None
    matrix: Matrix | None = None
    finals: DraftAndFinal | None = None
    rights: Rights = field(default_factory=dict)
    reference_rights: AllRights = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    scores: tuple[WantedScore, ...] = ()
    accept: AcceptRule | None = None


def assemble(raw: RawSet, *, catalog: Catalog) -> tuple[PromptSet | None, list[Problem]]:
    """Build a prompt set, and report everything that is wrong with it.

    Returns:
        The set, or None when an error keeps it from being loaded; and all problems, warnings included.
    """
    problems = [*raw.problems, *_set_problems(raw)]
    ids = ids_of(raw.rows)
    repeated = {prompt_id for prompt_id, count in Counter(ids).items() if count > 1}
    prompts, failed = [], dict[str, list[Problem]]()
    base = {**dict.fromkeys(PROMPT_FIELDS), **DEFAULTS, **raw.defaults}
    alike = AlikeRequests()
    for row, prompt_id in zip(raw.rows, ids, strict=True):
        before = len(problems)
        prompt = _prompt(
            raw,
            row,
            prompt_id,
            base=base,
            alike=alike,
            repeated=repeated,
            problems=problems,
            catalog=catalog,
        )
        if prompt is not None:
            prompts.append(prompt)
        else:
            failed[prompt_id] = problems[before:]
    partitions = sum(prompt.takes * (1 if prompt.final is None else 2) for prompt in prompts)
    if partitions > MAX_PROMPTS:
        message = f"contains {partitions} videos, takes and finals included; allowed are {MAX_PROMPTS}"
        problems.append(Problem(source=raw.source, message=message))
    if len(prompts) == len(raw.rows):
        problems += _unused_rights(raw, prompts)
    if any(_refuses(problem, raw) for problem in problems) or not prompts:
        return None, problems
    left_out = dict(raw.left_out)
    left_out |= {prompt_id: "; ".join(map(str, reasons)) for prompt_id, reasons in failed.items()}
    row_reasons = set(left_out.values())
    without_valid_id = left_out.pop("", "")
    errors = (str(problem) for problem in raw.problems if problem.severity == "error")
    unread = next((reason for reason in errors if reason not in row_reasons), without_valid_id)
    prompt_set = PromptSet(
        raw.name,
        tuple(prompts),
        raw.source,
        raw.budgets,
        raw.folder,
        left_out,
        unread,
        scores=raw.scores,
        accept=raw.accept,
    )
    places = {prompt_id: row.place for prompt_id, row in zip(ids, raw.rows, strict=True)}
    return prompt_set, [*problems, *repetitions(prompt_set, places)]


def _refuses(problem: Problem, raw: RawSet) -> bool:
    """Return True for an error that keeps the whole set from being loaded."""
    return problem.severity == "error" and not (raw.skip_bad_rows and problem.prompt is not None)


def _set_problems(raw: RawSet) -> Iterator[Problem]:
    """Yield the problems of a set's name and defaults, and of a set without prompts."""
    if not NAME_PATTERN.fullmatch(raw.name):
        yield Problem(source=raw.source, field="name", message=f"is {shown(raw.name)}; {NAME_RULE}")
    if not raw.rows and not any(problem.severity == "error" for problem in raw.problems):
        yield Problem(source=raw.source, message="contains no prompts")
    for name in sorted(set(raw.defaults) - set(_DEFAULTABLE)):
        message = f"cannot be a default; allowed are {', '.join(_DEFAULTABLE)}"
        yield Problem(source=raw.source, field=f"defaults.{name}", message=message)
    for name in sorted(raw.finals.in_both & raw.defaults.keys() if raw.finals else ()):
        yield Problem(source=raw.source, field=f"defaults.{name}", message=NO_EFFECT)
    if raw.defaults.get("mode") == Mode.FIRST_LAST_FRAMES and "aspect_ratio" in raw.defaults:
        yield Problem(
            source=raw.source, field="defaults.aspect_ratio", message=RATIO_IGNORED, severity="warning"
        )


def _unused_rights(raw: RawSet, prompts: Sequence[Prompt]) -> Iterator[Problem]:
    """Yield an error for each reference that has rights and belongs to no prompt."""
    if not raw.reference_rights:
        return
    used = set[str]().union(*(places_of(prompt.request) for prompt in prompts))
    for reference in raw.reference_rights:
        if reference_place(reference) not in used:
            message = "is not a reference of any prompt; write it as the prompt does"
            yield Problem(source=raw.source, field=f"reference_rights.{reference}", message=message)


def ids_of(rows: Sequence[Row]) -> list[str]:
    """Return the ids of all rows, made from the text where a row has none; repeated texts are numbered."""
    occurrences: Counter[str] = Counter()
    ids = []
    for row in rows:
        own_id = _own_id(row)
        if own_id is not None:
            ids.append(own_id)
            continue
        text = row.fields.get("prompt")
        text = normalized_text(text) if isinstance(text, str) else ""
        occurrences[text] += 1
        ids.append(slug_id(text, occurrences[text]))
    return ids


def _own_id(row: Row) -> str | None:
    """Return the id of a row, with a number as text; empty when the id is not allowed, None without one."""
    value = row.fields.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or (isinstance(value, str) and ID_PATTERN.fullmatch(value)):
        return value
    return ""


def _prompt(
    raw: RawSet,
    row: Row,
    prompt_id: str,
    *,
    base: Mapping[str, Any],
    alike: AlikeRequests,
    repeated: set[str],
    problems: list[Problem],
    catalog: Catalog,
) -> Prompt | None:
    before = len(problems)

    def report(name: str, message: str, severity: Any = "error") -> None:
        place = f"{row.place} ({prompt_id})" if has_id else row.place
        problems.append(
            Problem(source=raw.source, prompt=place, field=name, message=message, severity=severity)
        )

    written_id = row.fields.get("id")
    has_id = written_id is not None and prompt_id != ""
    for name in row.unknown:
        report(name, f"is not a field; fields are {', '.join(PROMPT_FIELDS)}")
    if not prompt_id:
        report("id", f"is {shown(written_id)}; {ID_RULE}")
    elif prompt_id in repeated:
        report("id", f"is {prompt_id!r}, which another prompt of this set has; ids must be unique")
    takes = row.fields.get("takes", base["takes"])
    takes = 1 if takes is None else takes
    if isinstance(takes, bool) or not isinstance(takes, int) or not 1 <= takes <= _MAX_TAKES:
        report("takes", f"is {shown_number(takes)}; allowed are whole numbers from 1 to {_MAX_TAKES}")
    fresh = row.fields.get("fresh", base["fresh"])
    fresh = False if fresh is None else fresh
    if not isinstance(fresh, bool):
        report("fresh", not_a_boolean(fresh))
    tags = all_tags((raw.defaults.get("tags"), row.fields.get("tags")), row.tags, report)
    own_rights = read_rights(row.fields.get("rights"), "rights", report) or raw.rights
    key = alike.key(row.fields)
    requests = alike.get(key)
    if requests is None:
        requests = _requests(raw, row, base, catalog, report)
        if len(problems) == before and requests is not None:
            alike.add(key, requests)
    else:
        requests = _with_text(requests, check_text(row.fields["prompt"], catalog.limits, report))
    reported = problems[before:]
    if requests is None or (reported and any(problem.severity == "error" for problem in reported)):
        return None
    request, final = requests
    return Prompt(
        id=prompt_id,
        request=request,
        final=final,
        takes=takes,
        fresh=fresh,
        tags=tags,
        variant=dict(row.variant),
        rights=rights_of(request, own_rights, raw.reference_rights),
    )


def _with_text(requests: Requests, text: str) -> Requests:
    """Return requests with another text."""
    request, final = requests
    new_text = {"prompt": text}
    return request.model_copy(update=new_text), final and final.model_copy(update=new_text)


def _requests(
    raw: RawSet, row: Row, base: Mapping[str, Any], catalog: Catalog, report: Report
) -> Requests | None:
    """Return the checked request of a row, and that of its final; None when an error was reported."""

    def check(values: Mapping[str, Any], report: Report) -> GenerationRequest | None:
        ratio_given = row.fields.get("aspect_ratio") is not None
        return check_request(
            values, ratio_given=ratio_given, catalog=catalog, report=report, folder=raw.folder
        )

    fields = {**base, **row.fields}
    if raw.finals is not None:
        return check_both(fields, row.fields, raw.finals, report, check)
    request = check(fields, report)
    return None if request is None else (request, None)
