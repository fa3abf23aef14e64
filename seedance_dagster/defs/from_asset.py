"""Prompts from an asset: an asset of the set reads its value, or the file that it wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seedance_dagster.prompts.models import PromptSet
from seedance_dagster.prompts.scores import read_rule, read_scores
from seedance_dagster.prompts.slugs import NAME_PATTERN, NAME_RULE

if TYPE_CHECKING:
    import dagster as dg

PROMPT_TABLE = "prompt_table"
ROWS_CHECK = "prompts_valid"
FROM_ASSET = "asset "
"""The prefix of a set's place if another asset makes its prompts."""


@dataclass(frozen=True, kw_only=True)
class PromptsFromAsset:
    """A prompt set whose prompts another asset makes, such as one that lets a model write them.

    Attributes:
        name: The set's name.
        asset: The key of the asset; its value is a DataFrame, an Arrow table or a list of dicts.
        path_metadata: The name of a metadata field of that asset's materializations that holds the path or
            s3:// address of a table instead; None to load the value through its IO manager.
        columns: The columns of prompt fields, by field, where the names differ.
        tags: The columns that become tags; None for all that are not fields.
        defaults: Fields of every prompt, as `defaults` in a prompt file.
        budget_usd: The set's budget in USD, as `budget_usd` in a prompt file.
        draft: The fields of the video that is ordered first, as `draft` in a prompt file; needs `final`.
        final: The fields of the video that is ordered once its draft is accepted.
        rights: The rights of prompts that name none, as `rights` in a prompt file.
        reference_rights: The rights of references, as in a prompt file.
        scores: The scores of its videos, as `scores` in a prompt file.
        accept: The rule by which videos are accepted, as `accept` in a prompt file.

    Raises:
        ValueError: The name is not allowed.

    Example:
        >>> PromptsFromAsset(name="spots", asset="written_prompts", defaults={"duration": 5}).asset_key
        AssetKey(['written_prompts'])
    """

    name: str
    asset: str | Sequence[str] | dg.AssetKey
    path_metadata: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    tags: Sequence[str] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    budget_usd: float | Mapping[str, float] | None = None
    draft: Mapping[str, Any] | None = None
    final: Mapping[str, Any] | None = None
    rights: str | Mapping[str, str] | None = None
    reference_rights: Mapping[str, Any] | None = None
    scores: Sequence[str | Mapping[str, str]] | None = None
    accept: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Check what asset keys require."""
        if not NAME_PATTERN.fullmatch(self.name):
            raise ValueError(f"the name of a prompt set is {self.name!r}; {NAME_RULE}")

    @property
    def asset_key(self) -> dg.AssetKey:
        """The key of the asset."""
        import dagster as dg  # noqa: PLC0415  commands that only read prompts need no Dagster

        if isinstance(self.asset, str):
            return dg.AssetKey.from_user_string(self.asset)
        return self.asset if isinstance(self.asset, dg.AssetKey) else dg.AssetKey(list(self.asset))

    @property
    def source(self) -> str:
        """The origin of the prompts, for messages."""
        return f"{FROM_ASSET}{self.asset_key.to_user_string()}"

    @property
    def settings(self) -> dict[str, Any]:
        """The fields of the set beside its prompts."""
        names = ("budget_usd", "draft", "final", "rights", "reference_rights", "scores", "accept")
        settings = {name: value for name in names if (value := getattr(self, name)) is not None}
        return {"defaults": dict(self.defaults), **settings}

    def without_prompts(self, name: str) -> PromptSet:
        """Return the set under its full name, before its prompts are read."""

        def ignore(*_problem: object) -> None:
            """Ignore a problem: reading the prompts will report it."""

        scores = read_scores(None if self.scores is None else list(self.scores), ignore)
        return PromptSet(name, (), self.source, scores=scores, accept=read_rule(self.accept, ignore))

    @property
    def code_version(self) -> str:
        """A hash that changes when rows become other prompts: the table must then be read again."""
        made_of = [self.settings, dict(self.columns), self.tags, self.path_metadata]
        return hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode()).hexdigest()[:12]
