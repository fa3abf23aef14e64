"""The translation of prompt sets into assets: how they are shown and grouped, and when they are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg


class SeedanceTranslator:
    """The look of a prompt set's assets; override what should differ.

    Each method is called for every asset of every set, with the asset's spec as it would be without a
    translator. It cannot change keys, dependencies, partitions and versions.

    Example:
        >>> class OurTranslator(SeedanceTranslator):
        ...     def get_owners(self, prompt_set: str, spec: dg.AssetSpec) -> Sequence[str]:
        ...         return ["team:films"]
    """

    def get_asset_spec(self, prompt_set: str, spec: dg.AssetSpec) -> dg.AssetSpec:
        """Return the spec of an asset.

        Args:
            prompt_set: The name of its set.
            spec: The spec without a translator; `spec.key.path[-1]` says which of the set's assets it is.
        """
        return spec.replace_attributes(
            group_name=self.get_group_name(prompt_set, spec),
            description=self.get_description(prompt_set, spec),
            owners=self.get_owners(prompt_set, spec),
            tags=self.get_tags(prompt_set, spec),
            kinds=self.get_kinds(prompt_set, spec),
            metadata=self.get_metadata(prompt_set, spec),
            automation_condition=self.get_automation_condition(prompt_set, spec),
        )

    def get_group_name(self, prompt_set: str, spec: dg.AssetSpec) -> str | None:
        """Return the asset's group; by default the set's name."""
        return spec.group_name

    def get_description(self, prompt_set: str, spec: dg.AssetSpec) -> str | None:
        """Return the asset's description."""
        return spec.description

    def get_owners(self, prompt_set: str, spec: dg.AssetSpec) -> Sequence[str]:
        """Return the asset's owners: email addresses, or `team:...`; by default none."""
        return spec.owners

    def get_tags(self, prompt_set: str, spec: dg.AssetSpec) -> Mapping[str, str]:
        """Return the asset's tags, without its kinds."""
        return {name: value for name, value in spec.tags.items() if not name.startswith("dagster/kind/")}

    def get_kinds(self, prompt_set: str, spec: dg.AssetSpec) -> set[str]:
        """Return the asset's kinds."""
        return spec.kinds

    def get_metadata(self, prompt_set: str, spec: dg.AssetSpec) -> Mapping[str, Any]:
        """Return the metadata of the asset's definition; keep what is there already."""
        return spec.metadata

    def get_automation_condition(
        self, prompt_set: str, spec: dg.AssetSpec
    ) -> dg.AutomationCondition[dg.AssetKey] | None:
        """Return the condition on which Dagster makes the asset automatically; by default none."""
        return spec.automation_condition
