"""One word for each thing: abandoned names and words do not come back."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

NAMES = re.compile(
    "_?(?:standing_order|AcceptOptions|Asking|strangers|PriceBook|read_gate|Gate|Demand|LedgerBook|Books|"
    "Telling|told|untold|telling|Floor|Station|refusal_brake|max_refusals_per_day|Fit|fitting|SettleError|"
    "Settled|Settle|sealing|Sealed|lies_there|Reading|holder|learned|Fact|PROMISED|BudgetStanding|give_back|"
    "may_have_left|surely_claimed|closer|CloserLook|unclear|mend|Mending|NotMendedError|MENDABLE|in_words|"
    "sound_pending|Situation|Offender|surroundings|workplace|keeper|scrubbed|bare_url|Looker|SeenFile|Begun|"
    "StepEnding|ended_with_run|told_to_stop|people_tags|FaultDesk|ClipShelf|create_behind)",
)
"""Identifiers that have another name now."""

ABANDONED = re.compile(rf"\b{NAMES.pattern}\b", re.ASCII)
"""The same in a text, where they may also be words of a sentence."""

HALF_A_QUESTION = re.compile(r"(?:What|How|Whether|Where|Which)\b")

WORDS = re.compile(
    r"\b(?:told|anew|likewise|mend(?:s|ed|ing)?|somebody|put off|strangers?|task_nobody_ordered|"
    r"object_nobody_ordered|row_removed|book_unread|as_asked|orders_move|few_refused|charged_as_held|"
    r"estimates_hold|budget_left|offenders|advance_generations|accept_pending|generate_pending|"
    r"SEEDANCE_MAX_REFUSALS_PER_DAY)\b|\b(?:is|are) no [a-z]+ed\b",
    re.IGNORECASE,
)
"""Words that no user and no reader meets any more."""

VARIABLES = frozenset({"told", "found", "each", "given"})
"""Names of variables that do not say what they hold."""

STORED = re.compile(rf"\b(?:{'|'.join(sorted(VARIABLES))})\s*(?:[^\w\s.]|in\b|$)", re.MULTILINE)
"""Places of a text where a value may be stored in one of them."""

PACKAGE = sorted((ROOT / "seedance_dagster").rglob("*.py"))
OTHER_CODE = sorted(
    path for room in ("tests", "benchmarks") for path in (ROOT / room).rglob("*.py") if path != Path(__file__)
)
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def shown(path: Path, line: int, text: str) -> str:
    return f"{path.relative_to(ROOT)}:{line}: {text}"


def abandoned(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_text("utf-8")
    if not ABANDONED.search(text):  # most files, which need not be taken apart
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and NAMES.fullmatch(token.string):
            yield token.start[0], token.string


def half_questions(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_text("utf-8")
    if not re.search(rf"[\"']{{3}}\s*{HALF_A_QUESTION.pattern}", text):
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring and HALF_A_QUESTION.match(docstring):
                yield getattr(node, "lineno", 1), docstring


def variables(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_text("utf-8")
    if not STORED.search(text):
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


def test_identifiers_that_were_given_up_are_gone():
    """No name of the package, its tests or its benchmarks is one of them."""
    assert [
        shown(path, line, name) for path in (*PACKAGE, *OTHER_CODE) for line, name in abandoned(path)
    ] == []


def test_a_variable_says_what_it_holds():
    """It is named by a noun: an order, a row, a match."""
    assert [
        shown(path, line, name)
        for path in (*PACKAGE, *OTHER_CODE)
        for line, name in variables(path)
        if name in VARIABLES
    ] == []


@pytest.mark.parametrize("paths", [PACKAGE, OTHER_CODE, PAGES], ids=["package", "tests", "pages"])
def test_words_that_were_given_up_are_gone(paths):
    """Neither code nor comments, messages or pages use them."""
    assert [
        shown(path, line, match.group())
        for path in paths
        for line, text in enumerate(path.read_text("utf-8").splitlines(), 1)
        for match in WORDS.finditer(text)
    ] == []


def test_a_docstring_begins_with_a_sentence():
    """Docstrings begin with a sentence that says what the function does, not with half a question."""
    assert [
        shown(path, line, text.splitlines()[0])
        for path in (*PACKAGE, *OTHER_CODE)
        for line, text in half_questions(path)
    ] == []
