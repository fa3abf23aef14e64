"""Splits of a dataset, by a hash of the prompt's text: takes of a prompt share one."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from seedance_dagster.datasets.export.errors import ExportError
from seedance_dagster.prompts.identity import normalized_text

DEFAULT_SPLITS = "train=0.9,validation=0.05,test=0.05"

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_SHARE = re.compile(r"[01](\.[0-9]{1,6})?|\.[0-9]{1,6}")
_HASHES = 2**64
_RULE = f"allowed are names with shares that add up to 1, such as {DEFAULT_SPLITS}"


@dataclass(frozen=True)
class Splits:
    """Names of splits, each with its share of the prompts; the shares add up to 1."""

    shares: tuple[tuple[str, Fraction], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read splits such as "train=0.9,test=0.1".

        Raises:
            ExportError: They cannot be read, or their shares do not add up to 1.
        """
        shares: dict[str, Fraction] = {}
        for part in text.split(","):
            name, _, share = (word.strip() for word in part.partition("="))
            if not _NAME.fullmatch(name) or not _SHARE.fullmatch(share) or name in shares:
                raise ExportError(f"splits: {part.strip()!r} cannot be used; {_RULE}")
            shares[name] = Fraction(share)
        if sum(shares.values()) != 1:
            raise ExportError(f"splits: the shares add up to {float(sum(shares.values())):g}; {_RULE}")
        return cls(tuple(shares.items()))

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in order."""
        return tuple(name for name, _ in self.shares)

    def of_prompt(self, prompt: str) -> str:
        """Return the split of a prompt's text; letter case and white space do not count.

        Example:
            >>> splits = Splits.parse("train=0.5,test=0.5")
            >>> splits.of_prompt("A cat") == splits.of_prompt(" a  CAT")
            True
        """
        text = " ".join(normalized_text(prompt).casefold().split())
        place = Fraction(
            int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8]), _HASHES
        )
        end = Fraction(0)
        for name, share in self.shares:
            end += share
            if place < end:
                return name
        raise AssertionError("the shares add up to 1")
