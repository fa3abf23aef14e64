"""Prompt sets, their prompts, and the partitions that these become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.prompts.budgets import check_budgets
from seedance_dagster.prompts.identity import fingerprint, normalized
from seedance_dagster.prompts.slugs import FULL_NAME_PATTERN, ID_PATTERN, ID_RULE, NAME_RULE


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A validated prompt.

    Attributes:
        id: Unique in its set.
        request: The request to order.
        takes: Number of videos to make of it.
        fresh: Make videos of its own, even where the same request was made elsewhere.
        tags: Kept with each video.
        variant: The values that its set's matrix gave it, by name.
    """

    id: str
    request: GenerationRequest
    takes: int = 1
    fresh: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    variant: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PromptPartition:
    """One video to make: a prompt, or one of its takes.

    Attributes:
        key: The partition key: `<id>` for take 1, `<id>.t<n>` for take n.
        prompt_id: The prompt's id.
        take: From 1.
        scope: `<set>/<id>` for a fresh prompt, which no order of another scope answers; empty otherwise.
        request: The request to order, with its text normalized.
        fingerprint: Changes exactly when what would be rendered changes.
        tags: The prompt's tags.
        folder: The folder that paths of its references start from; None where it has none.
        variant: The values that its set's matrix gave it, by name.
    """

    key: str
    prompt_id: str
    take: int
    scope: str
    request: GenerationRequest
    fingerprint: str
    tags: dict[str, str]
    folder: Path | None = None
    variant: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PromptSet:
    """A named list of prompts.

    Attributes:
        name: Lower-case letters, digits and `_`; the first part of its asset keys.
        prompts: The prompts.
        source: The origin of the prompts, for messages.
        budgets: Points that its orders may cost, by window: "day" or "month" in UTC, "total" for all time.
        folder: The folder that paths of references start from; None where there is none.
        left_out: Why rows with errors gave no prompt, by the id that it would have.

    Raises:
        ValueError: The name, an id or a budget is not allowed, or an id is used twice.

    Example:
        >>> from seedance_dagster.api.wire import Mode
        >>> request = GenerationRequest(task_type="seedance-2", prompt="a cat", mode=Mode.TEXT_TO_VIDEO)
        >>> list(PromptSet("pets", (Prompt(id="cat", request=request, takes=2),)).partitions)
        ['cat', 'cat.t2']
    """

    name: str
    prompts: tuple[Prompt, ...]
    source: str = "Python"
    budgets: Mapping[str, int] = field(default_factory=dict)
    folder: Path | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what asset keys and partition keys require."""
        if not FULL_NAME_PATTERN.fullmatch(self.name):
            msg = f"the name of a prompt set is {self.name!r}; {NAME_RULE}"
            raise ValueError(msg)
        ids = [prompt.id for prompt in self.prompts]
        for prompt_id in ids:
            if not ID_PATTERN.fullmatch(prompt_id):
                msg = f"the id of a prompt of {self.name} is {prompt_id!r}; {ID_RULE}"
                raise ValueError(msg)
        if len(set(ids)) != len(ids):
            repeated = next(prompt_id for prompt_id in ids if ids.count(prompt_id) > 1)
            msg = f"two prompts of {self.name} have the id {repeated!r}; ids must be unique"
            raise ValueError(msg)
        check_budgets(self.budgets)

    @cached_property
    def partitions(self) -> dict[str, PromptPartition]:
        """All videos of the set by partition key, in the order of the prompts."""
        return {
            partition.key: partition for prompt in self.prompts for partition in _partitions_of(self, prompt)
        }

    def why_missing(self, key: str) -> str:
        """Return why there is no prompt for a partition: it has an error, or is gone."""
        return self.left_out.get(key.partition(".")[0], "there is no such prompt in its file")

    @cached_property
    def repeated(self) -> dict[str, str]:
        """The partitions that ask for the request and take of an earlier one, with its key, by their own."""
        first: dict[tuple[str, int, str], str] = {}
        repeated: dict[str, str] = {}
        for key, partition in self.partitions.items():
            earlier = first.setdefault((partition.fingerprint, partition.take, partition.scope), key)
            if earlier != key:
                repeated[key] = earlier
        return repeated


def _partitions_of(prompt_set: PromptSet, prompt: Prompt) -> list[PromptPartition]:
    request = normalized(prompt.request)
    digest = fingerprint(request)
    return [
        PromptPartition(
            key=prompt.id if take == 1 else f"{prompt.id}.t{take}",
            prompt_id=prompt.id,
            take=take,
            scope=f"{prompt_set.name}/{prompt.id}" if prompt.fresh else "",
            request=request,
            fingerprint=digest,
            tags=prompt.tags,
            folder=prompt_set.folder,
            variant=prompt.variant,
        )
        for take in range(1, prompt.takes + 1)
    ]
