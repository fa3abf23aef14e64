"""Dagster components: prompt sets and the video API, described in `defs.yaml` files."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import dagster as dg
from pydantic import Field

from seedance_dagster.defs.definitions import resources_of, set_definitions, shared_definitions
from seedance_dagster.defs.from_asset import PromptsFromAsset
from seedance_dagster.defs.links import Links
from seedance_dagster.defs.prompt_source import PromptSource, remembered_names
from seedance_dagster.defs.resources import LedgerResource, SeedanceResource, VideoStoreResource
from seedance_dagster.prompts.slugs import slug_name
from seedance_dagster.settings import Settings
from seedance_dagster.variables import misspelled

if TYPE_CHECKING:
    from seedance_dagster.scores.score import Score

_log = logging.getLogger("seedance_dagster")

_SAMPLE = """\
name: {name}
defaults: {{task_type: seedance-2-fast, duration: 5, aspect_ratio: "16:9"}}
prompts:
  - id: lighthouse
    prompt: A lighthouse at dusk, waves against the rocks, slow aerial shot
"""


def _location(context: dg.ResolutionContext, prompts: str) -> str:
    """Return an s3:// location unchanged, and a path relative to the folder of the YAML file."""
    return prompts if not prompts or "://" in prompts else str(context.resolve_source_relative_path(prompts))


class _PromptSetScaffolder(dg.Scaffolder):
    """Scaffolds a prompt set with a first prompt."""

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        dg.scaffold_component(request, {"prompts": "prompts.yaml"})
        name = slug_name(request.target_path.name) or "prompts"
        (request.target_path / "prompts.yaml").write_text(_SAMPLE.format(name=name), encoding="utf-8")


@dg.scaffold_with(_PromptSetScaffolder)
class PromptSetComponent(dg.Component, dg.Model, dg.Resolvable):
    """Prompt sets of a file or folder, or one set whose prompts another asset makes.

    They use the API, bucket and ledger of the project's one `SeedanceComponent`.
    """

    prompts: Annotated[str, dg.Resolver(_location, model_field_type=str)] = Field(
        default="",
        description="A file or folder of prompt sets, relative to this folder, or an s3:// location.",
        examples=["prompts.yaml", "s3://assets/prompts/"],
    )
    from_asset: dict[str, Any] | None = Field(
        default=None,
        description="Instead of `prompts`: the fields of PromptsFromAsset, such as name and asset.",
        examples=[{"name": "launch", "asset": "written_prompts", "defaults": {"duration": 5}}],
    )

    @property
    def locations(self) -> tuple[str, ...]:
        """The file or folder, if there is one."""
        return (self.prompts,) if self.prompts else ()

    @property
    def tables(self) -> tuple[PromptsFromAsset, ...]:
        """The set that another asset makes, if there is one."""
        if bool(self.prompts) == bool(self.from_asset):
            raise dg.DagsterInvalidDefinitionError(
                "a PromptSetComponent needs prompts or from_asset, and not both"
            )
        try:
            return (PromptsFromAsset(**self.from_asset),) if self.from_asset else ()
        except (TypeError, ValueError) as error:
            allowed = ", ".join(PromptsFromAsset.__dataclass_fields__)
            raise dg.DagsterInvalidDefinitionError(
                f"from_asset of PromptSetComponent: {error}; its fields are {allowed}"
            ) from None

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the sets' assets and checks."""
        components = context.component_tree.get_all_components(of_type=SeedanceComponent)
        if len(components) != 1:
            remedy = (
                "remove the others"
                if components
                else "`dg scaffold defs seedance_dagster.SeedanceComponent seedance` makes one"
            )
            raise dg.DagsterInvalidDefinitionError(
                f"prompt sets need one SeedanceComponent in the project, and there are {len(components)}: "
                f"{remedy}"
            )
        settings = Settings.from_environ(os.environ)
        source = PromptSource.at(
            self.locations,
            prices=components[0].prices,
            key_prefix=settings.key_prefix,
            tables=self.tables,
            remembered=remembered_names(),
            scores=components[0].own_scores,
        )
        _, video_store, _ = components[0].resources(settings)
        return set_definitions(
            source,
            links=Links.of(video_store),
            pending_usd_per_run=settings.pending_usd_per_run,
            max_partitions_per_run=settings.max_partitions_per_run,
        )


class _SeedanceScaffolder(dg.Scaffolder):
    """Scaffolds the API, the bucket and a budget."""

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        dg.scaffold_component(
            request,
            {
                "seedance": {"api_key": "{{ env.GOAPI_API_KEY }}", "budget_usd_per_day": 20},
                "video_store": {"bucket": "{{ env.SEEDANCE_S3_BUCKET }}"},
            },
        )


@dg.scaffold_with(_SeedanceScaffolder)
class SeedanceComponent(dg.Component, dg.Model, dg.Resolvable):
    """The video API, the bucket and the ledger of a project, with the jobs, schedules and sensor of all sets.

    Fields that are not set here come from the environment variables that the commands read.
    """

    seedance: dict[str, Any] = Field(
        default_factory=dict,
        repr=False,
        description="Fields of SeedanceResource, such as api_key and budget_usd_per_day.",
        examples=[{"api_key": "{{ env.GOAPI_API_KEY }}", "budget_usd_per_day": 20}],
    )
    video_store: dict[str, Any] = Field(
        default_factory=dict,
        repr=False,
        description="Fields of VideoStoreResource, such as bucket and prefix.",
        examples=[{"bucket": "{{ env.SEEDANCE_S3_BUCKET }}"}],
    )
    ledger_url: str | None = Field(
        default=None,
        repr=False,
        description="The ledger's URL.",
        examples=["{{ env.SEEDANCE_LEDGER_URL }}"],
    )
    sensor_running: bool = Field(
        default=True, description="False leaves seedance_sensor off until it is switched on in the UI."
    )
    scores: list[str] = Field(
        default_factory=list,
        description="Your own scores of the videos of all sets, each as MODULE:NAME of a Score in Python.",
        examples=[["team_project.scores:smile"]],
    )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the jobs, schedules, sensor and resources for the sets of every `PromptSetComponent`."""
        settings = Settings.from_environ(os.environ)
        for sentence in misspelled(os.environ):
            _log.warning(sentence)
        seedance, video_store, ledger = self.resources(settings)
        sets = context.component_tree.get_all_components(of_type=PromptSetComponent)
        return shared_definitions(
            PromptSource.at(
                tuple(location for component in sets for location in component.locations),
                prices=self.prices,
                key_prefix=settings.key_prefix,
                tables=[table for component in sets for table in component.tables],
                remembered=remembered_names(),
                scores=self.own_scores,
            ),
            seedance=seedance,
            video_store=video_store,
            ledger=ledger,
            sensor_running=self.sensor_running,
            pending_usd_per_run=settings.pending_usd_per_run,
        )

    def resources(self, settings: Settings) -> tuple[SeedanceResource, VideoStoreResource, LedgerResource]:
        """Return API, bucket and ledger; raise `DagsterInvalidDefinitionError` for fields of no use."""
        if self.ledger_url is None and "ledger_url" in self.model_fields_set:
            raise _no_value("SeedanceComponent", ["ledger_url"])
        return resources_of(
            settings,
            os.environ,
            seedance=_usable("seedance", self.seedance, SeedanceResource),
            video_store=_usable("video_store", self.video_store, VideoStoreResource),
            ledger_url=self.ledger_url,
        )

    @property
    def own_scores(self) -> tuple[Score, ...]:
        """The scores, imported by their names; raises `DagsterInvalidDefinitionError`."""
        if not self.scores:
            return ()
        from seedance_dagster.scores.errors import ScoreError  # noqa: PLC0415  only where there are some
        from seedance_dagster.scores.named import imported_scores  # noqa: PLC0415  only where there are some

        try:
            return imported_scores(self.scores)
        except ScoreError as error:
            raise dg.DagsterInvalidDefinitionError(f"scores of SeedanceComponent: {error}") from None

    @property
    def prices(self) -> str:
        """The path of the price file."""
        return str(self.seedance.get("prices") or Settings.from_environ(os.environ).prices)


def _usable(
    name: str, fields: Mapping[str, Any], resource: type[dg.ConfigurableResource[Any]]
) -> dict[str, Any]:
    """Return the fields of a resource; a variable that is not set leaves a field without a value.

    Raises:
        DagsterInvalidDefinitionError: A field is unknown, or its default would take the place of its value.
    """
    unknown = sorted(fields.keys() - resource.model_fields.keys())
    if unknown:
        raise dg.DagsterInvalidDefinitionError(
            f"{name} of SeedanceComponent: unknown fields {', '.join(unknown)}; allowed are "
            f"{', '.join(sorted(resource.model_fields))}"
        )
    empty = [field for field, value in fields.items() if value is None]
    # Without a key or a bucket the project loads, and a run says what is missing.
    replaced = [field for field in empty if resource.model_fields[field].default != ""]
    if replaced:
        raise _no_value(f"{name} of SeedanceComponent", replaced)
    return {field: "" if value is None else value for field, value in fields.items()}


def _no_value(place: str, fields: Sequence[str]) -> dg.DagsterInvalidDefinitionError:
    has = "has" if len(fields) == 1 else "have"
    return dg.DagsterInvalidDefinitionError(
        f"{place}: {', '.join(fields)} {has} no value: set the variable that the YAML file names, or leave "
        "the field out"
    )
