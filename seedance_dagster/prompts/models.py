"""What there is to generate: prompts, their partitions, and the sets they come in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.prompts.budgets import check_budgets
from seedance_dagster.prompts.fingerprint import fingerprint
from seedance_dagster.prompts.slugs import ID_PATTERN, ID_RULE, NAME_PATTERN, NAME_RULE


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One validated prompt.

    Attributes:
        id: Unique in its set.
        request: What to order.
        takes: How many videos of it.
        tags: Free words, kept with each video.
    """

    id: str
    request: GenerationRequest
    takes: int = 1
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PromptPartition:
    """One video to have: a prompt, or one of its takes.

    Attributes:
        key: The partition key, `<id>` or `<id>.t<n>`.
        prompt_id: The prompt's id.
        take: From 1.
        request: What to order.
        fingerprint: Changes exactly when what would be rendered changes.
        tags: The prompt's tags.
    """

    key: str
    prompt_id: str
    take: int
    request: GenerationRequest
    fingerprint: str
    tags: dict[str, str]


@dataclass(frozen=True)
class PromptSet:
    """A named list of prompts.

    Attributes:
        name: Lower-case letters, digits and `_`; the first part of its asset keys.
        prompts: The prompts.
        source: Where they come from, for people.
        budgets: Points that its orders may cost, by window: "day" or "month" in UTC, "total" for all time.

    Raises:
        ValueError: The name, an id or a budget is not allowed, or an id stands twice.

    Example:
        >>> from seedance_dagster.api.wire import Mode
        >>> request = GenerationRequest(task_type="seedance-2", prompt="a cat", mode=Mode.TEXT_TO_VIDEO)
        >>> list(PromptSet("pets", (Prompt(id="cat", request=request, takes=2),)).partitions)
        ['cat.t1', 'cat.t2']
    """

    name: str
    prompts: tuple[Prompt, ...]
    source: str = "Python"
    budgets: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what partition keys and asset keys need."""
        if not NAME_PATTERN.fullmatch(self.name):
            msg = f"{self.name!r} cannot name a prompt set: {NAME_RULE}"
            raise ValueError(msg)
        ids = [prompt.id for prompt in self.prompts]
        for bad in (each for each in ids if not ID_PATTERN.fullmatch(each)):
            msg = f"{bad!r} cannot be a prompt's id: {ID_RULE}"
            raise ValueError(msg)
        if len(set(ids)) != len(ids):
            twice = next(each for each in ids if ids.count(each) > 1)
            msg = f"the id {twice!r} stands twice in {self.name}"
            raise ValueError(msg)
        check_budgets(self.budgets)

    @cached_property
    def partitions(self) -> dict[str, PromptPartition]:
        """All videos of the set by partition key, in the order of the prompts."""
        return {partition.key: partition for prompt in self.prompts for partition in _partitions_of(prompt)}


def _partitions_of(prompt: Prompt) -> list[PromptPartition]:
    mark = fingerprint(prompt.request)
    return [
        PromptPartition(
            key=prompt.id if prompt.takes == 1 else f"{prompt.id}.t{take}",
            prompt_id=prompt.id,
            take=take,
            request=prompt.request,
            fingerprint=mark,
            tags=prompt.tags,
        )
        for take in range(1, prompt.takes + 1)
    ]
