"""Takes of requests as partitions ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from seedance_dagster.prompts.rights import AllRights


class Wanted(Protocol):
    """A take of a request, as a partition asks for it."""

    @property
    def fingerprint(self) -> str:
        """The request."""
        ...

    @property
    def take(self) -> int:
        """From 1."""
        ...

    @property
    def scope(self) -> str:
        """Empty, or the fresh prompt that an order must be made for."""
        ...

    @property
    def tags(self) -> Mapping[str, str]:
        """The prompt's tags."""
        ...


class AskedFor(Wanted, Protocol):
    """A take of a request as a prompt set asks for it."""

    @property
    def is_draft(self) -> bool:
        """True where its final is ordered once it is accepted."""
        ...

    @property
    def rights(self) -> AllRights:
        """Those of the prompt and its references."""
        ...


@dataclass(frozen=True)
class PartitionRequest:
    """A take of a request, as the ledger knows it of a partition."""

    fingerprint: str
    take: int = 1
    scope: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    is_draft: bool = False
    rights: AllRights = field(default_factory=dict)
