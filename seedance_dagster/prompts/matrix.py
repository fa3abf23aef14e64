"""The matrix and the template of a set: the values that its prompts vary in, and the text that they share."""

from __future__ import annotations

import hashlib
import math
import re
import string
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from seedance_dagster.prompts.bounds import MAX_PROMPTS
from seedance_dagster.prompts.missing import is_unfilled
from seedance_dagster.prompts.problems import shown

VARIED_FIELDS = ("task_type", "mode", "duration", "aspect_ratio", "resolution", "audio")
"""The fields of a prompt that a matrix may vary; every other name in it is a placeholder."""
MATRIX_FIELDS = ("matrix", "template", "max_prompts")
TEMPLATE_TAG = "template"
"""The tag that the variants of a prompt share: its id."""
DEFAULT_MAX_PROMPTS = 10_000
Report = Callable[..., None]
"""`report(field, message)`."""

_MAX_VALUE_CHARACTERS = 24
_MAX_PREFIX = 16
_HASH_CHARACTERS = 6
_PLAIN = re.compile(r"[A-Za-z0-9 ._:/-]+", re.ASCII)
_formatter = string.Formatter()


class PlaceholderError(ValueError):
    """A text with a placeholder that cannot be filled in; the message continues "prompt"."""


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """The values that the prompts of a set vary in.

    Attributes:
        axes: The values of each field or placeholder, by its name.
        template: The text of prompts that have none of their own; None without a template.
        max_prompts: The largest number of prompts that the set may become.
    """

    axes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    template: str | None = None
    max_prompts: int = DEFAULT_MAX_PROMPTS

    @property
    def column(self) -> str | None:
        """The column that a table needs for the template; None where it needs none."""
        if self.template is None:
            return None
        return next((name for name in placeholders(self.template) if name not in self.axes), None)

    def axes_of(self, own: Mapping[str, Any], text: str) -> dict[str, tuple[Any, ...]]:
        """Return the axes that a prompt varies in, sorted by name.

        Args:
            own: The prompt's own fields and tags, in which it does not vary.
            text: Its text; only the placeholders in it are varied.

        Raises:
            PlaceholderError: The text has a brace that belongs to no placeholder.
        """
        named = {*VARIED_FIELDS, *placeholders(text)}
        return {
            name: values for name, values in sorted(self.axes.items()) if name in named and name not in own
        }


def count(axes: Mapping[str, Sequence[Any]]) -> int:
    """Return the number of combinations."""
    return math.prod(map(len, axes.values()))


def combinations(axes: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Yield each combination of one value of each axis."""
    for values in product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def read_matrix(document: Mapping[str, Any], report: Report) -> Matrix | None:
    """Read the matrix of a set from its document, and report problems; None for a set that does not vary."""
    if all(document.get(name) is None for name in MATRIX_FIELDS):
        return None
    template = document.get("template")
    if template is not None and not isinstance(template, str):
        report("template", f"is {shown(template)}; it must be a text, such as A {{product}} on a table")
        template = None
    elif template is not None:
        try:
            list(placeholders(template))
        except PlaceholderError as error:
            report("template", str(error))
            template = None
    most = document.get("max_prompts")
    is_whole = isinstance(most, int) and not isinstance(most, bool)
    if most is not None and not (is_whole and 1 <= most <= MAX_PROMPTS):
        report("max_prompts", f"is {shown(most)}; allowed are whole numbers from 1 to {MAX_PROMPTS}")
        most = None
    axes = _axes(document.get("matrix"), report)
    if document.get("matrix") is None and document.get("template") is None:
        report("max_prompts", "limits the prompts of a matrix or a template, and this set has neither")
    return Matrix(axes=axes, template=template, max_prompts=most or DEFAULT_MAX_PROMPTS)


def _axes(matrix: Any, report: Report) -> dict[str, tuple[Any, ...]]:
    if matrix is None:
        return {}
    if not isinstance(matrix, Mapping):
        report("matrix", "must be a mapping of names to lists, such as {resolution: [480p, 720p]}")
        return {}
    axes = {}
    for name, values in matrix.items():
        label = f"matrix.{name}"
        if not isinstance(values, list) or not values:
            report(label, f"is {shown(values)}; it must be a list of values, such as [calm, wild]")
        elif any(isinstance(value, list | Mapping) or value is None for value in values):
            report(label, "contains a list, a mapping or nothing; allowed are texts, numbers, true and false")
        elif len({value_id(value) for value in values}) < len(values):
            report(label, "contains a value twice, or two that differ only in spaces, case or punctuation")
        elif not isinstance(name, str) or not name.strip():
            report(label, "needs a name: a field of a prompt, or a placeholder in its text")
        else:
            axes[name] = tuple(values)
    return axes


def placeholders(text: str) -> Iterator[str]:
    """Yield the names of the placeholders of a text, in order.

    Raises:
        PlaceholderError: A brace is neither part of a placeholder nor doubled.

    Example:
        >>> list(placeholders("A {style} photo of {{one}} {thing}"))
        ['style', 'thing']
    """
    try:
        parts = list(_formatter.parse(text))
    except ValueError as error:
        raise PlaceholderError(
            f"has a stray brace ({error}); write {{{{ or }}}} for a literal brace"
        ) from None
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if not name.strip() or form or conversion:
            raise PlaceholderError("has braces that name no placeholder; write {{ and }} for literal braces")
        yield name


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its placeholders filled in, and doubled braces as single ones.

    Raises:
        PlaceholderError: A placeholder has no value.
    """
    missing = [name for name in placeholders(text) if name not in values]
    if missing:
        names = ", ".join(f"{{{shown(name, 40)[1:-1]}}}" for name in dict.fromkeys(missing))
        raise PlaceholderError(
            f"has {names}, for which neither the matrix nor a tag has a value; known are "
            f"{', '.join(sorted(values)) or 'none'}. Write {{{{ and }}}} for literal braces"
        )
    return "".join(
        literal + ("" if name is None else values[name]) for literal, name, _, _ in _formatter.parse(text)
    )


def refuse_unfilled(text: str, values: Mapping[str, str]) -> None:
    """Raise `PlaceholderError` for a placeholder with a value such as NaN or TODO."""
    for name in placeholders(text):
        if name in values and is_unfilled(values[name]):
            value = shown(values[name], 40)
            raise PlaceholderError(f"has {{{shown(name, 40)[1:-1]}}}, whose value is {value}; write one")


def value_id(value: object) -> str:
    """Return the part of an id that stands for a value, with a hash where letters are lost.

    Example:
        >>> value_id("film noir"), value_id("16:9"), value_id(True), value_id("水墨")
        ('film-noir', '16-9', 'true', 'v-7a9d6d')
    """
    text = str(value).lower() if isinstance(value, bool) else str(value).strip()
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if slug and len(slug) <= _MAX_VALUE_CHARACTERS and _PLAIN.fullmatch(text):
        return slug
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARACTERS]
    return f"{slug[:_MAX_PREFIX].strip('-') or 'v'}-{digest}"


def variant_id(base: str, values: Sequence[object], longest: int) -> str:
    """Return the id of a variant: its prompt's id and a part for each value; a long one is cut, with a hash.

    Example:
        >>> variant_id("mug", ["480p", "film noir"], 120)
        'mug-480p-film-noir'
    """
    whole = "-".join([base, *map(value_id, values)])
    if len(whole) <= longest:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[: _HASH_CHARACTERS + 2]
    return f"{whole[: longest - len(digest) - 1].rstrip('-')}-{digest}"
