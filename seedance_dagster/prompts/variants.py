"""Variants: each combination of a set's matrix as a prompt of its own, with a stable id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from seedance_dagster.prompts.assembly import RawSet, Row, ids_of
from seedance_dagster.prompts.matrix import (
    TEMPLATE_TAG,
    VARIED_FIELDS,
    Matrix,
    PlaceholderError,
    combinations,
    count,
    filled,
    refuse_unfilled,
    variant_id,
)
from seedance_dagster.prompts.problems import Problem
from seedance_dagster.prompts.slugs import MAX_ID_CHARACTERS
from seedance_dagster.prompts.tags import tag_text


def with_variants(raw: RawSet) -> RawSet:
    """Return a set with a row for each combination of its matrix; a set without one stays as it is.

    Problems, such as a placeholder without a value or too many combinations, are added to the set's.
    """
    if raw.matrix is None:
        return raw
    expansion = _Expansion(raw, raw.matrix)
    rows = list(expansion.rows())
    problems = [*raw.problems, *expansion.problems()]
    return replace(raw, rows=rows, problems=problems, left_out=expansion.left_out)


@dataclass
class _Expansion:
    """The expansion of one set into its rows.

    Attributes:
        left_out: Why a prompt gave no variants, by its id.
        prompt_problems: The problems of single prompts.
        used_axes: The names of the matrix that some prompt varies in.
        total: The number of rows without the limit.
    """

    raw: RawSet
    matrix: Matrix
    left_out: dict[str, str] = field(default_factory=dict)
    prompt_problems: list[Problem] = field(default_factory=list)
    used_axes: set[str] = field(default_factory=set)
    total: int = 0

    def rows(self) -> Iterator[Row]:
        """Yield the rows, at most as many as are allowed."""
        with_text = [self._with_text(row) for row in self.raw.rows]
        bases = ids_of([self._row_for_id(row) for row in with_text])
        for row, base in zip(with_text, bases, strict=True):
            yield from self._variants(row, base)

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of the matrix and the prompts."""
        yield from self.prompt_problems
        has_text = [row.fields.get("prompt") is not None for row in self.raw.rows]
        if self.matrix.template is not None and has_text and all(has_text):
            message = (
                "is for prompts without a text, and each one has a text: leave out the template or the texts"
            )
            yield Problem(source=self.raw.source, field="template", message=message)
        for name in sorted(set(self.matrix.axes) - self.used_axes):
            if self.raw.rows and not self.prompt_problems:
                message = (
                    "is set by each prompt itself, so there is nothing to vary: leave it out here or there"
                    if name in VARIED_FIELDS
                    else f"is not a field that can vary, and no prompt contains {{{name}}}; fields that can "
                    f"vary are {', '.join(VARIED_FIELDS)}"
                )
                yield Problem(source=self.raw.source, field=f"matrix.{name}", message=message)
        most = self.matrix.max_prompts
        if self.total > most:
            message = (
                f"makes {self.total} prompts out of {len(self.raw.rows)}; allowed are {most}: name fewer "
                "values, or set max_prompts to as many as you mean to pay for"
            )
            yield Problem(source=self.raw.source, field="matrix", message=message)

    def _with_text(self, row: Row) -> Row:
        template = self.matrix.template
        if template is None or row.fields.get("prompt") is not None:
            return row
        return replace(row, fields={**row.fields, "prompt": template})

    def _row_for_id(self, row: Row) -> Row:
        """Return a row with the text that its id is made from, which no value of the matrix changes."""
        text = row.fields.get("prompt")
        if not isinstance(text, str):
            return row
        known = {name: f"{{{name}}}" for name in self.matrix.axes} | self._tags(row)
        try:
            return replace(row, fields={**row.fields, "prompt": filled(text, known)})
        except PlaceholderError:
            return row

    def _variants(self, row: Row, base: str) -> Iterator[Row]:
        text = row.fields.get("prompt")
        if not isinstance(text, str) or not base:
            self.total += 1
            yield row  # its problems are reported like those of any prompt
            return
        tags = self._tags(row)
        try:
            refuse_unfilled(text, tags)
            axes = self.matrix.axes_of({**row.fields, **self._own_tags(row)}, text)
            self.used_axes |= axes.keys()
            room = max(0, self.matrix.max_prompts - self.total)
            self.total += count(axes)
            for values in islice(combinations(axes), room):
                texts = tags | {name: tag_text(value) for name, value in values.items()}
                yield self._variant(row, base, values, filled(text, texts))
        except PlaceholderError as error:
            problem = Problem(source=self.raw.source, prompt=row.place, field="prompt", message=str(error))
            self.prompt_problems.append(problem)
            self.left_out[base] = str(problem)

    def _variant(self, row: Row, base: str, values: Mapping[str, Any], text: str) -> Row:
        texts = {name: tag_text(value) for name, value in values.items()}
        label = ", ".join(f"{name}={value}" for name, value in texts.items())
        varied = {name: value for name, value in values.items() if name in VARIED_FIELDS}
        tags = {name: value for name, value in texts.items() if name not in VARIED_FIELDS}
        template = {} if TEMPLATE_TAG in self._tags(row) else {TEMPLATE_TAG: base}
        variant = variant_id(base, list(values.values()), MAX_ID_CHARACTERS)
        return replace(
            row,
            place=f"{row.place}, {label}" if label else row.place,
            fields={**row.fields, **varied, "prompt": text, "id": variant},
            tags={**row.tags, **tags, **template},
            variant=texts,
        )

    def _tags(self, row: Row) -> dict[str, str]:
        """Return the tags that fill placeholders: the set's and the prompt's own."""
        return _texts(self.raw.defaults.get("tags")) | self._own_tags(row)

    @staticmethod
    def _own_tags(row: Row) -> dict[str, str]:
        return _texts(row.fields.get("tags")) | dict(row.tags)


def _texts(tags: object) -> dict[str, str]:
    if not isinstance(tags, Mapping):
        return {}
    return {str(name): tag_text(value) for name, value in tags.items() if value is not None}
