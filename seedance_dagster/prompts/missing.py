"""Texts that stand in the place of a prompt: missing values, totals, templates, formulas, names of files."""

from __future__ import annotations

import re
import unicodedata

_LONGEST = 10
_MISSING = frozenset(
    {
        *("nan", "na", "n/a", "<na>", "nat", "null", "none", "nil", "undefined", "#n/a"),
        *("\\n", "(null)", "<null>", "[null]", "(none)", "<none>", "(blank)", "(empty)"),
    }
)
_MAY_BE_MEANT = ("na", "none", "nil")  # as a part of a text, such as a hat that is none
_TO_BE_WRITTEN = ("todo", "tbd", "tba", "tbc", "fixme")
_LONGEST_WORDS = 40


def _listed(*words: str) -> frozenset[str]:
    return frozenset("|".join(words).split("|"))


_WORDS = _listed(
    # a missing value with points or in brackets, and a truth value
    "nan|na|n a|n v t|k a|null|none|nil|undefined|true|false",
    # to be written
    *_TO_BE_WRITTEN,
    "wip|xxx|placeholder|loading|text|string|prompt|prompts|text prompt|prompt text|your prompt",
    "your prompt here|prompt here|add prompt|enter prompt|insert prompt|insert prompt here|prompt goes here",
    # a heading; with a number it may be a first try
    "scene|shot|clip|video",
    # the row above
    "ditto|idem|same|same as above|as above|see above|s o|wie oben|siehe oben|同上",
)
_TOTALS = _listed(  # the last row of a sheet, with or without the number
    "total|totals|grand total|subtotal|sum|average|gesamt|summe|gesamtsumme|zwischensumme|ergebnis",
    "gesamtergebnis|totale|totaal|suma|somme|summa|итог|итого|всего|合计|总计|小计|汇总|合計|総計|集計|합계",
)
_BETWEEN_WORDS = re.compile(r"[\W_]+")
_AMOUNT = re.compile(r"[\W\d_]+")
_FLAGS = re.IGNORECASE | re.DOTALL
_NOT_FILLED = re.compile(
    r"\{\{?\s*[\w.-]+\s*\}\}?|\$\{?\w+\}?|%\(?\w*\)?s|<\w+>|<(?:insert|enter|add|your)\b[^<>]*>"
    r"|\[object Object\]|lorem ipsum\b.*",
    _FLAGS,
)
# LibreOffice has Err:502 in place of the result of a formula.
_FORMULA = re.compile(r"=\s?(?:[\"'(+-]|\$?[a-z]{1,3}\$?\d|[a-z._]+[(!]).*|Err:\d{3}", _FLAGS)
_FILE = re.compile(
    r"(?:https?|s3|gs|file)://\S+|data:\S+|\S+\.(?:png|jpe?g|webp|gif|bmp|heic|mp4|mov|webm|mp3|wav)", _FLAGS
)
_CHAT = re.compile(  # around the prompts that a model wrote
    r"(?:(?:sure|certainly|of course|absolutely|great|okay|ok)\b\W*)?"
    r"(?:here(?:'s|\u2019s| is| are)|below (?:is|are)|these are)\b[^:]*\bprompts?\b[^:]*[:.]?"
    r"|let me know\b.*|feel free to\b.*|would you like me to\b.*|(?:i )?hope (?:this|these)\b.*\bhelps?\b.*",
    _FLAGS,
)
_TIMES = re.compile(r"(?:\d{2}:)?\d{2}:\d{2}[,.]\d{3} --> .*")  # of a subtitle
_VALUE_OF_PROGRAM = re.compile(
    r"b(['\"]).*\1|\[\s*(['\"]).*\2\s*\]|\((['\"]).*\3,\)|\{.*['\"]prompt['\"]\s*:.*\}", _FLAGS
)
_SHEET_ERROR = re.compile(r"#[A-ZÀ-Þ][A-ZÀ-Þ0-9/_]*[!?]?")  # #REF!, in German #BEZUG!
_SYMBOLS = ("Sm", "Sc", "Sk", "Cf")  # all but pictures: an emoji may be a prompt


def is_missing(text: str) -> bool:
    """Return True for a text that stands for a missing value.

    Example:
        >>> is_missing("NaN"), is_missing("A nun")
        (True, False)
    """
    return len(text) < _LONGEST and text.strip().casefold() in _MISSING


def is_placeholder(text: str) -> bool:
    """Return True for a text that is not a prompt, such as a missing value, a total or a formula.

    Example:
        >>> is_placeholder("#REF!"), is_placeholder("Total: 12"), is_placeholder("A cat")
        (True, True, False)
    """
    return (
        is_missing(text)
        or (len(text) <= _LONGEST_WORDS and _is_label(text.casefold()))
        or _is_without_result(text)
        or any(pattern.fullmatch(text) for pattern in (_FILE, _VALUE_OF_PROGRAM, _CHAT, _TIMES))
        or all(map(_is_punctuation, text))
    )


def _is_label(text: str) -> bool:
    words, without_amount = (pattern.sub(" ", text).strip() for pattern in (_BETWEEN_WORDS, _AMOUNT))
    return words in _WORDS or without_amount in _TOTALS


def is_unfilled(text: str) -> bool:
    """Return True for a value that cannot be a part of a prompt, since it was never filled in.

    Example:
        >>> is_unfilled("NaN"), is_unfilled("TODO"), is_unfilled("#N/A"), is_unfilled("none")
        (True, True, True, False)
    """
    return (
        (is_missing(text) and text.strip().casefold() not in _MAY_BE_MEANT)
        or text.strip().casefold() in _TO_BE_WRITTEN
        or _is_without_result(text)
    )


def _is_without_result(text: str) -> bool:
    """Return True for a template, a formula, and the error of one."""
    return any(pattern.fullmatch(text) for pattern in (_SHEET_ERROR, _NOT_FILLED, _FORMULA))


def _is_punctuation(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind[0] in "PZC" or kind in _SYMBOLS
