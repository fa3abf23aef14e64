"""Admission of runs and ticks: only the right ledger orders for a set, and only one code location has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg

from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.defs.steps.binding import check_ledger, progress_remembered
from seedance_dagster.defs.steps.sources import claim_sources
from seedance_dagster.ledger.errors import BindingError
from seedance_dagster.ledger.ledger import Ledger

RunContext = dg.OpExecutionContext | dg.AssetExecutionContext


@contextmanager
def admitted_run(
    context: RunContext, ledger: Ledger, source: PromptSource, prompt_set: str
) -> Iterator[None]:
    """Let a run of one set order; raise `BindingError` where it may not."""
    with admitted_sets(context, ledger, source) as refused:
        if prompt_set in refused:
            raise BindingError(f"{refused[prompt_set]}. Nothing was ordered")
        yield


@contextmanager
def admitted_sets(context: RunContext, ledger: Ledger, source: PromptSource) -> Iterator[Mapping[str, str]]:
    """Let a run order for the sets of a source, and remember the ledger's progress while it does.

    Yields the sets that belong to another code location, each with the reason.

    Raises:
        BindingError: Another ledger orders for a set of this source, or this one is behind.
    """
    origin, places = context.run.remote_job_origin, source.places
    refused = claim_sources(context.instance, origin.location_name if origin else "", places)
    check_ledger(context.instance, ledger, places.keys() - refused.keys())
    with progress_remembered(context.instance, ledger, context.log):
        yield refused


@contextmanager
def admitted_ledger(context: RunContext, ledger: Ledger) -> Iterator[None]:
    """Let a run send a ledger's queued orders, of any set; raise `BindingError` where it may not."""
    check_ledger(context.instance, ledger, queued_sets(ledger))
    with progress_remembered(context.instance, ledger, context.log):
        yield


def admit_tick(
    context: dg.SensorEvaluationContext | dg.ScheduleEvaluationContext,
    ledger: Ledger,
    source: PromptSource,
) -> dict[str, str]:
    """Let a tick work on the sets of a source; return the sets of another code location, with the reason.

    Raises:
        BindingError: Another ledger orders for a set of this source, or this one is behind.
    """
    origin = context.code_location_origin if isinstance(context, dg.SensorEvaluationContext) else None
    places = source.places
    refused = claim_sources(context.instance, origin.location_name if origin else "", places)
    check_ledger(context.instance, ledger, (places.keys() - refused.keys()) | queued_sets(ledger))
    return refused


def queued_sets(ledger: Ledger) -> set[str]:
    """Return the sets for which orders could be sent."""
    return set(ledger.workload.queued_by_set())
