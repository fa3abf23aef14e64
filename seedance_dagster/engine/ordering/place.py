"""Accepting orders: everything that must hold before money may move is checked here, once, up front."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from seedance_dagster.api.errors import AuthenticationError, SeedanceError, UnknownPriceError
from seedance_dagster.api.prices import Estimate
from seedance_dagster.engine.events import Outcome, Placed
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.errors import BudgetExceededError, LedgerError
from seedance_dagster.ledger.order import NewOrder
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.media.credentials import CredentialError
from seedance_dagster.media.references.facts import KnownFiles
from seedance_dagster.prompts.models import PromptPartition
from seedance_dagster.storage.s3 import StoreError


class OrderingError(Exception):
    """Nothing was accepted; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class OrderOptions:
    """What the run's config asks for.

    Attributes:
        regenerate: Generate again what is already stored.
        resubmit_rejected: Send again what was refused by moderation.
        max_cost_points: The new orders of this asking may not cost more, in points.
    """

    regenerate: bool = False
    resubmit_rejected: bool = False
    max_cost_points: int | None = None


@dataclass(frozen=True)
class Quote:
    """What one partition would cost, what asking for it would lead to, and the order that it may make."""

    partition: PromptPartition
    estimate: Estimate
    outcome: Outcome
    order: NewOrder


def quote(
    services: Services,
    wanted: Sequence[PromptPartition],
    *,
    prompt_set: str,
    options: OrderOptions | None = None,
    idempotency_key: str = "",
) -> list[Quote]:
    """What accepting would do and cost, without doing it or sending anything.

    Raises:
        OrderingError: A price is unknown or the ledger cannot be read.
    """
    options = options or OrderOptions()
    try:
        known = _known_files(services, wanted)
        estimates = _estimates(services, wanted, known)
        orders = [
            _new_order(services, partition, estimate, prompt_set, known)
            for partition, estimate in zip(wanted, estimates, strict=True)
        ]
        answers = services.ledger.orders.existing_orders(orders, _asking(options, idempotency_key))
    except LedgerError as error:
        raise OrderingError(str(error)) from None
    return [
        Quote(partition, estimate, answer[1] if answer else Outcome.ORDERED, order)
        for partition, estimate, answer, order in zip(wanted, estimates, answers, orders, strict=True)
    ]


def place_orders(
    services: Services,
    wanted: Sequence[PromptPartition],
    *,
    prompt_set: str,
    options: OrderOptions,
    idempotency_key: str,
    run_id: str,
    job_name: str | None = None,
    run_tags: Mapping[str, str] | None = None,
    budgets: Sequence[Budget] = (),
) -> list[Placed]:
    """Queue an order for every wanted video that no earlier order answers.

    Args:
        services: The engine's surroundings.
        wanted: Validated partitions of one prompt set.
        prompt_set: The set's name.
        options: What the run's config asks for.
        idempotency_key: What asks: a backfill id or a root run id. Asking again with the same key, as a
            retried run does, never makes a further order.
        run_id: The run that accepts.
        job_name: Its job.
        run_tags: Tags that people gave it.
        budgets: Limits that the new orders must fit in (`fitting.budgets_for`).

    Returns:
        One answer per wanted partition, in their order.

    Raises:
        OrderingError: Something is missing or a limit would be crossed; nothing was accepted.
    """
    quotes = quote(services, wanted, prompt_set=prompt_set, options=options, idempotency_key=idempotency_key)
    if any(each.outcome is Outcome.ORDERED for each in quotes):
        _check_ready(services)
    orders = [each.order for each in quotes]
    try:
        asking = replace(
            _asking(options, idempotency_key), run_id=run_id, job_name=job_name, run_tags=run_tags or {}
        )
        answers = services.ledger.orders.place(orders, asking, budgets)
    except BudgetExceededError as error:
        raise OrderingError(f"nothing was accepted: {error}") from None
    except LedgerError as error:
        raise OrderingError(str(error)) from None
    return [Placed(order, outcome) for order, outcome in answers]


def estimated(services: Services, wanted: Sequence[PromptPartition]) -> list[Estimate]:
    """What partitions should cost, exact where the lengths of their input videos are known.

    Raises:
        OrderingError: A price is unknown.
        LedgerError: The ledger cannot be read.
    """
    return _estimates(services, wanted, _known_files(services, wanted))


def _asking(options: OrderOptions, idempotency_key: str) -> OrderRequest:
    return OrderRequest(
        idempotency_key=idempotency_key,
        run_id="",
        max_points=options.max_cost_points,
        regenerate=options.regenerate,
        resubmit_rejected=options.resubmit_rejected,
    )


def _known_files(services: Services, wanted: Sequence[PromptPartition]) -> KnownFiles:
    # With the preflight switched off nobody has looked lately: what was seen once may have changed.
    requests = [partition.request for partition in wanted] if services.policy.preflight else []
    return KnownFiles.of(services.ledger, requests)


def _estimates(services: Services, wanted: Sequence[PromptPartition], known: KnownFiles) -> list[Estimate]:
    estimates, unknown = [], []
    for partition in wanted:
        input_video_s = known.input_video_s(partition.request)
        try:
            estimates.append(services.prices.estimate(partition.request, input_video_s=input_video_s))
        except UnknownPriceError as error:
            unknown.append(f"{partition.key}: {error}")
    if unknown:
        raise OrderingError("nothing was accepted, a price is unknown:\n" + "\n".join(unknown))
    return estimates


def _new_order(
    services: Services, partition: PromptPartition, estimate: Estimate, prompt_set: str, known: KnownFiles
) -> NewOrder:
    return NewOrder(
        prompt_set=prompt_set,
        partition=partition.key,
        fingerprint=partition.fingerprint,
        request=partition.request.model_dump(mode="json"),
        estimated_points=estimate.points,
        price_table=estimate.table,
        price_formula=estimate.formula,
        tags=dict(partition.tags),
        retries=services.policy.attempts - 1,
        reference_facts=known.reference_facts(partition.request),
    )


def _check_ready(services: Services) -> None:
    """A video that could not be stored or signed, or a key that is refused, must not cost an order."""
    try:
        if services.signer is not None:
            services.signer.check(services.clock())
        services.store.check_writable()
        asyncio.run(_check_key(services))
    except (CredentialError, StoreError, AuthenticationError) as error:
        raise OrderingError(f"nothing was accepted: {error}") from None


async def _check_key(services: Services) -> None:
    async with services.open_client() as client:
        try:
            await client.account()
        except AuthenticationError:
            raise
        except SeedanceError:
            # The account page being down says nothing about the key; orders wait in the queue.
            return
