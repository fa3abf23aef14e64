"""Quotes: the price of each prompt, and the existing order that answers it, if there is one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from seedance_dagster.api.errors import UnknownPriceError
from seedance_dagster.api.prices import Estimate
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.order import NewOrder, Order
from seedance_dagster.ledger.orders import OrderRequest, Outcome
from seedance_dagster.media.references.facts import KnownFiles
from seedance_dagster.prompts.models import PromptPartition


class OrderingError(Exception):
    """Nothing was ordered; the message says why and what to do."""


@dataclass(frozen=True)
class Quote:
    """The price of one partition, and the outcome of placing its order.

    Attributes:
        existing: The earlier order that answers it; None where a new one would be made.
        repeats: The partition before it that asks for the same, and whose new order it joins.
    """

    partition: PromptPartition
    estimate: Estimate
    outcome: Outcome
    order: NewOrder
    existing: Order | None = None
    repeats: str | None = None

    @property
    def is_new(self) -> bool:
        """Return True where placing makes a new order."""
        return self.outcome is Outcome.ORDERED


def quote(
    services: Services, partitions: Sequence[PromptPartition], request: OrderRequest, *, prompt_set: str
) -> list[Quote]:
    """Price partitions of one prompt set and look up the orders that answer them; nothing is ordered or sent.

    Raises:
        OrderingError: A price is unknown or the ledger cannot be read.
    """
    try:
        known = _known_files(services, partitions)
        estimates = _estimate(services, partitions, known)
        orders = [
            _new_order(services, partition, estimate, prompt_set, known)
            for partition, estimate in zip(partitions, estimates, strict=True)
        ]
        existing = services.ledger.orders.existing_orders(orders, request)
    except LedgerError as error:
        raise OrderingError(str(error)) from None
    quotes, first = [], dict[tuple[str, int, str], str]()
    for partition, estimate, answer, order in zip(partitions, estimates, existing, orders, strict=True):
        if answer is not None:
            quotes.append(Quote(partition, estimate, answer[1], order, answer[0]))
            continue
        repeats = first.setdefault(_identity(partition), partition.key)
        if repeats == partition.key:
            quotes.append(Quote(partition, estimate, Outcome.ORDERED, order))
        else:
            quotes.append(Quote(partition, estimate, Outcome.JOINED, order, repeats=repeats))
    return quotes


def _identity(partition: PromptPartition) -> tuple[str, int, str]:
    return partition.fingerprint, partition.take, partition.scope


def requote(services: Services, old: Quote, known: KnownFiles) -> Quote:
    """Price a partition again, by what is known of its reference files now; raise `OrderingError`."""
    [estimate] = _estimate(services, [old.partition], known)
    order = _new_order(services, old.partition, estimate, old.order.prompt_set, known)
    return replace(old, estimate=estimate, order=order)


def estimate_costs(services: Services, partitions: Sequence[PromptPartition]) -> list[Estimate]:
    """Price partitions that are not to be ordered.

    Raises:
        OrderingError: A price is unknown.
        LedgerError: The ledger cannot be read.
    """
    return _estimate(services, partitions, _known_files(services, partitions))


def _known_files(services: Services, partitions: Iterable[PromptPartition]) -> KnownFiles:
    # Without the preflight no file was probed lately, and an old probe may be wrong by now.
    requests = [partition.request for partition in partitions] if services.policy.preflight else []
    return KnownFiles.of(services.ledger, requests)


def _estimate(services: Services, partitions: Iterable[PromptPartition], known: KnownFiles) -> list[Estimate]:
    estimates, unknown = [], []
    for partition in partitions:
        input_video_s = known.input_video_s(partition.request)
        try:
            estimates.append(services.prices.estimate(partition.request, input_video_s=input_video_s))
        except UnknownPriceError as error:
            unknown.append(f"{partition.key}: {error}")
    if unknown:
        raise OrderingError("nothing was ordered, a price is unknown:\n" + "\n".join(unknown))
    return estimates


def _new_order(
    services: Services, partition: PromptPartition, estimate: Estimate, prompt_set: str, known: KnownFiles
) -> NewOrder:
    return NewOrder(
        prompt_set=prompt_set,
        partition=partition.key,
        fingerprint=partition.fingerprint,
        take=partition.take,
        scope=partition.scope,
        request=partition.request.model_dump(mode="json"),
        estimated_points=estimate.points,
        price_table=estimate.table,
        price_formula=estimate.formula,
        tags=dict(partition.tags),
        retries=services.policy.attempts - 1,
        reference_facts=known.reference_facts(partition.request),
    )
