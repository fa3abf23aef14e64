"""The vendor's codes and words of refusals and failures: `data/refusals-2026-11.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from functools import cache, cached_property

from pydantic import BaseModel, ConfigDict

from seedance_dagster.api.data_file import load_data_file

_PACKAGED = "refusals-2026-11"


class FailureClass(StrEnum):
    """A kind of failure; each has its own consequence."""

    MODERATION = "moderation"
    REAL_PERSON = "real_person"
    VENDOR = "vendor"
    INVALID = "invalid"
    UNKNOWN = "unknown"


class Codes(BaseModel):
    """Codes of the envelope, or of a task's error, by meaning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate_limit: frozenset[int]
    out_of_credits: frozenset[int]
    moderation: frozenset[int]
    generic: frozenset[int]


class PostWords(BaseModel):
    """Regular expressions for the message of a refused POST, by what the request waits for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: tuple[str, ...]
    no_slot: tuple[str, ...]
    out_of_credits: tuple[str, ...]
    rate_limit: tuple[str, ...]

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        return {name: _pattern(getattr(self, name)) for name in type(self).model_fields}

    def kinds_in(self, text: str, *, sent: str) -> set[str]:
        """Return the names of the fields with words that a text contains and the sent request does not.

        Args:
            text: The message, in lower case.
            sent: The request, in lower case.
        """
        return {
            name
            for name, pattern in self._patterns.items()
            if any(match.group() not in sent for match in pattern.finditer(text))
        }


class Refusals(BaseModel):
    """All codes and words; `failures` has regular expressions, in order of precedence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    codes: Codes
    words: PostWords
    failures: dict[FailureClass, tuple[str, ...]]

    @cached_property
    def _patterns(self) -> dict[FailureClass, re.Pattern[str]]:
        return {name: _pattern(words) for name, words in self.failures.items()}

    def classes_of(self, text: str) -> Iterator[tuple[FailureClass, str]]:
        """Yield the classes that a text fits, each with the words that say so, in order of precedence."""
        for failure, pattern in self._patterns.items():
            for match in pattern.finditer(text):
                yield failure, match.group()


def _pattern(alternatives: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


@cache
def refusals() -> Refusals:
    """Return the packaged codes and words."""
    return load_data_file(Refusals, _PACKAGED)
