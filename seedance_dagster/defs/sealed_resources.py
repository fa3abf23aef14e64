"""The resources of a code location, built from its definitions, which no run's config can change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg

from seedance_dagster.defs.naming import API, CLEANUP, LEDGER, STORE, Names
from seedance_dagster.defs.resources import LedgerResource, SeedanceResource, VideoStoreResource
from seedance_dagster.defs.step_cleanup import step_cleanup


def sealed_resources(
    names: Names, seedance: SeedanceResource, video_store: VideoStoreResource, ledger: LedgerResource
) -> dict[str, dg.ResourceDefinition]:
    """Return the resources of a code location by their keys."""
    return {
        names(API): sealed_api(seedance, video_store, ledger),
        names(STORE): sealed(video_store),
        names(LEDGER): sealed(ledger),
        names(CLEANUP): step_cleanup,
    }


def sealed(
    resource: dg.ConfigurableResource[Any],
    finish: Callable[[Any, dg.InitResourceContext], None] | None = None,
) -> dg.ResourceDefinition:
    """Return a resource whose fields are not config: no run can change them, and the launchpad shows none.

    A run could otherwise loosen a budget, or order again in another ledger.

    Args:
        resource: The resource.
        finish: Called with each new resource before a step gets it.
    """
    make = _maker(resource)

    @dg.resource(config_schema={}, description=(type(resource).__doc__ or "").partition("\n")[0])
    def build(context: dg.InitResourceContext) -> Any:
        initialized = make(context.instance)
        if finish is not None:
            finish(initialized, context)
        return initialized

    return build


def sealed_api(
    seedance: SeedanceResource, video_store: VideoStoreResource, ledger: LedgerResource
) -> dg.ResourceDefinition:
    """Return the sealed API, whose orders in code use the same bucket and ledger."""
    make_store, make_ledger = _maker(video_store), _maker(ledger)

    def finish(api: SeedanceResource, context: dg.InitResourceContext) -> None:
        api.using(make_store(context.instance), make_ledger(context.instance), context.instance)

    return sealed(seedance, finish)


def _maker(resource: dg.ConfigurableResource[Any]) -> Callable[[dg.DagsterInstance | None], Any]:
    made: list[Any] = []  # once: each tick and step asks

    def make(instance: dg.DagsterInstance | None) -> Any:
        if not made:
            # Of its own fields: Dagster would build a `model_copy` with those of its original.
            fields = {name: getattr(resource, name) for name in resource.model_fields_set}
            # Without an instance Dagster makes one for this alone, which takes a tenth of a second.
            with dg.build_resources({"resource": type(resource)(**fields)}, instance=instance) as resources:
                made.append(resources.resource)
        return made[0]

    return make
