"""Prompt sets, their prompts and their partitions."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.prompts.budgets import check_budgets
from seedance_dagster.prompts.identity import fingerprint, normalized
from seedance_dagster.prompts.rights import AllRights
from seedance_dagster.prompts.slugs import (
    FULL_NAME_PATTERN,
    ID_PATTERN,
    ID_RULE,
    NAME_RULE,
    final_key,
    slug_id,
)
from seedance_dagster.prompts.thresholds import AcceptRule, WantedScore


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A validated prompt.

    Attributes:
        id: Unique in its set.
        request: The request to order; of a prompt with a final, that of its draft.
        final: The request to order once the draft is accepted; None where there is no draft.
        takes: Number of videos to make of it.
        fresh: Make videos of its own, even where the same request was made elsewhere.
        tags: Kept with each video.
        variant: The values that its set's matrix gave it, by name.
        rights: The rights of the prompt and its references, kept with each video; see `AllRights`.
    """

    id: str
    request: GenerationRequest
    final: GenerationRequest | None = None
    takes: int = 1
    fresh: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    variant: dict[str, str] = field(default_factory=dict)
    rights: AllRights = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PromptPartition:
    """One video to make: a prompt, or one of its takes; or the final of one of these.

    Attributes:
        key: The partition key: `<id>` for take 1, `<id>.t<n>` for take n; a final adds `.final`.
        prompt_id: The prompt's id.
        take: From 1.
        scope: `<set>/<id>` for a fresh prompt, which no order of another scope fits; empty otherwise. An
            id that was made from the text counts without its number, which depends on the prompt's place.
        request: The request to order, with its text normalized.
        fingerprint: Changes exactly when what would be rendered changes.
        tags: The prompt's tags.
        folder: The folder that paths of its references start from; None where it has none.
        variant: The values that its set's matrix gave it, by name.
        is_draft: True for a draft, of which a final is ordered once it is accepted.
        draft: The draft of a final; None for everything else.
        rights: The rights of the prompt and its references.
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
    is_draft: bool = False
    draft: PromptPartition | None = None
    rights: AllRights = field(default_factory=dict)


@dataclass(frozen=True)
class PromptSet:
    """A named list of prompts.

    Attributes:
        name: Lower-case letters, digits and `_`; the first part of its asset keys.
        prompts: The prompts.
        source: The origin of the prompts, for messages.
        budgets: Points that its orders may cost, by window: "day" or "month" in UTC, "total" for all time.
        folder: The folder that paths of references start from; None where there is none.
        left_out: Why rows with errors gave no prompt, by the id that it would have had.
        unread: Why the first row whose id is unknown gave no prompt: it cannot be read, or is hidden. Empty
            where the ids of all rows are known.
        accepted: The keys of the drafts that are accepted now: their finals are asked for as well.
        scores: The scores of its videos, beside those of the code location.
        accept: The rule by which videos are accepted; None leaves that to people.

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
    unread: str = ""
    accepted: AbstractSet[str] = frozenset()
    scores: tuple[WantedScore, ...] = ()
    accept: AcceptRule | None = None

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
        """All videos that the set asks for by partition key, in the order of the prompts.

        A final is asked for while its draft is accepted.
        """
        return {
            key: partition
            for key, partition in self.all_partitions.items()
            if partition.draft is None or partition.draft.key in self.accepted
        }

    @cached_property
    def all_partitions(self) -> dict[str, PromptPartition]:
        """All videos by partition key, also the finals of drafts that are not accepted."""
        seen = Counter[str]()
        return {
            partition.key: partition
            for prompt in self.prompts
            for partition in _partitions_of(self, prompt, seen)
        }

    def with_accepted(self, drafts: AbstractSet[str]) -> PromptSet:
        """Return the set as it is while these drafts are accepted."""
        if drafts == self.accepted:
            return self
        changed = replace(self, accepted=drafts)
        vars(changed)["all_partitions"] = self.all_partitions  # thousands of fingerprints take seconds
        return changed

    @cached_property
    def digest(self) -> str:
        """A hash of everything that the partitions ask for."""
        partitions = [
            (
                key,
                partition.fingerprint,
                partition.take,
                partition.scope,
                partition.tags,
                partition.is_draft,
                partition.rights,
            )
            for key, partition in self.partitions.items()
        ]
        text = json.dumps(partitions, sort_keys=True, default=dict)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def drafts(self) -> list[PromptPartition]:
        """The drafts, in the order of the prompts."""
        return [partition for partition in self.all_partitions.values() if partition.is_draft]

    def has_prompt(self, key: str) -> bool:
        """Return True for a partition whose prompt is in its file, or may be in a row that has an error."""
        return key in self.all_partitions or key.partition(".")[0] in self.left_out or bool(self.unread)

    def why_missing(self, key: str) -> str:
        """Return why a partition is not asked for: its prompt has an error, or is gone."""
        reason = self.left_out.get(key.partition(".")[0])
        if reason is not None:
            return reason
        gone = "there is no such prompt in its file"
        if not self.unread:
            return gone
        return f"{gone}, unless it is in a row without a known id, such as this one: {self.unread}"

    @cached_property
    def repeated(self) -> dict[str, str]:
        """The key of the earlier partition with the same request and take, by the key of each repetition."""
        first: dict[tuple[str, int, str], str] = {}
        repeated: dict[str, str] = {}
        for key, partition in self.partitions.items():
            earlier = first.setdefault((partition.fingerprint, partition.take, partition.scope), key)
            if earlier != key:
                repeated[key] = earlier
        return repeated


def _partitions_of(prompt_set: PromptSet, prompt: Prompt, seen: Counter[str]) -> Iterator[PromptPartition]:
    """Yield the takes of a prompt, each before its final; count fresh requests in `seen`."""
    request = normalized(prompt.request)
    final = None if prompt.final is None else normalized(prompt.final)
    digest = fingerprint(request)
    scope = ""
    if prompt.fresh:
        seen[digest] += 1
        slug = slug_id(request.prompt)
        name = slug_id(request.prompt, seen[digest]) if prompt.id.startswith(slug) else prompt.id
        scope = f"{prompt_set.name}/{name}"
    final_digest = "" if final is None else fingerprint(final)
    for take in range(1, prompt.takes + 1):
        partition = PromptPartition(
            key=prompt.id if take == 1 else f"{prompt.id}.t{take}",
            prompt_id=prompt.id,
            take=take,
            scope=scope,
            request=request,
            fingerprint=digest,
            tags=prompt.tags,
            folder=prompt_set.folder,
            variant=prompt.variant,
            is_draft=final is not None,
            rights=prompt.rights,
        )
        yield partition
        if final is not None:
            yield replace(
                partition,
                key=final_key(partition.key),
                request=final,
                fingerprint=final_digest,
                is_draft=False,
                draft=partition,
            )
