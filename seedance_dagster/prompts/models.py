"""Prompt sets, their prompts and partitions, and the fingerprint of a request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.prompts.budgets import check_budgets
from seedance_dagster.prompts.slugs import ID_PATTERN, ID_RULE, NAME_PATTERN, NAME_RULE

# The vendor's defaults of 2026-04, fixed for good: a change here would change every fingerprint, and
# with it what counts as paid for already.
_DEFAULT_RATIO = "16:9"
_DEFAULT_RESOLUTION = "480p"


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A validated prompt.

    Attributes:
        id: Unique in its set.
        request: The request to order.
        takes: Number of videos to make of it.
        tags: Kept with each video.
    """

    id: str
    request: GenerationRequest
    takes: int = 1
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PromptPartition:
    """One video to make: a prompt, or one of its takes.

    Attributes:
        key: The partition key, `<id>` or `<id>.t<n>`.
        prompt_id: The prompt's id.
        take: From 1.
        request: The request to order.
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
        source: The origin of the prompts, for messages.
        budgets: Points that its orders may cost, by window: "day" or "month" in UTC, "total" for all time.

    Raises:
        ValueError: The name, an id or a budget is not allowed, or an id is used twice.

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
        """Check what asset keys and partition keys require."""
        if not NAME_PATTERN.fullmatch(self.name):
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
        return {partition.key: partition for prompt in self.prompts for partition in _partitions_of(prompt)}


def fingerprint(request: GenerationRequest) -> str:
    """Return the SHA-256, in hex, of what the vendor would render.

    A field that is not set counts as the vendor's documented default: 16:9, 480p, with sound. The aspect
    ratio does not count in first_last_frames, where the first image decides it.

    Example:
        >>> request = GenerationRequest(task_type="seedance-2", prompt="a", mode=Mode.TEXT_TO_VIDEO)
        >>> fingerprint(request) == fingerprint(request.model_copy(update={"aspect_ratio": "16:9"}))
        True
    """
    rendered = request.model_dump(mode="json")
    rendered["aspect_ratio"] = (
        None if request.mode is Mode.FIRST_LAST_FRAMES else request.aspect_ratio or _DEFAULT_RATIO
    )
    rendered["resolution"] = request.resolution or _DEFAULT_RESOLUTION
    rendered["audio"] = request.audio is not False
    return hashlib.sha256(json.dumps(rendered, sort_keys=True).encode()).hexdigest()


def _partitions_of(prompt: Prompt) -> list[PromptPartition]:
    digest = fingerprint(prompt.request)
    return [
        PromptPartition(
            key=prompt.id if prompt.takes == 1 else f"{prompt.id}.t{take}",
            prompt_id=prompt.id,
            take=take,
            request=prompt.request,
            fingerprint=digest,
            tags=prompt.tags,
        )
        for take in range(1, prompt.takes + 1)
    ]
