"""Takes of requests as partitions ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from seedance_dagster.prompts.rights import AllRights


class RequestedTake(Protocol):
    """A take of a request, as a partition asks for it."""

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the request."""
        ...

    @property
    def take(self) -> int:
        """The number of the take, from 1."""
        ...

    @property
    def scope(self) -> str:
        """Empty, or the fresh prompt that an order must be made for."""
        ...

    @property
    def tags(self) -> Mapping[str, str]:
        """The prompt's tags."""
        ...


class DeclaredTake(RequestedTake, Protocol):
    """A take of a request, as a prompt set declares it."""

    @property
    def is_draft(self) -> bool:
        """True for a draft, whose final is ordered once the draft is accepted."""
        ...

    @property
    def rights(self) -> AllRights:
        """The rights of the prompt and its references."""
        ...


@dataclass(frozen=True)
class PartitionRequest:
    """A take of a request, as the ledger recorded it for a partition."""

    fingerprint: str
    take: int = 1
    scope: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    is_draft: bool = False
    rights: AllRights = field(default_factory=dict)
