"""Quotes: the price of each prompt, and the existing order that answers it, if there is one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from seedance_dagster.api.catalog import Estimate
from seedance_dagster.api.errors import UnknownPriceError
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.order import NewOrder, Order
from seedance_dagster.ledger.orders import OrderRequest, Outcome
from seedance_dagster.ledger.references import CachedProbe
from seedance_dagster.media.references.facts import KnownFiles, url_hash
from seedance_dagster.media.references.local import facts_of
from seedance_dagster.media.video import MediaError
from seedance_dagster.prompts.files import FileReference, read_file
from seedance_dagster.prompts.models import PromptPartition
from seedance_dagster.prompts.problems import UnreadableError


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
    # Without the preflight no link was probed lately, and an old probe may be wrong by now.
    wanted = list(partitions)
    requests = [partition.request for partition in wanted]
    known = KnownFiles.of(services.ledger, requests, links=services.policy.preflight)
    return KnownFiles({**known.probes, **_measured(services, wanted, known)})


def _measured(
    services: Services, partitions: Iterable[PromptPartition], known: KnownFiles
) -> dict[str, CachedProbe]:
    """Return the facts about local videos that no run has examined yet: their length is in the price."""
    measured: dict[str, CachedProbe] = {}
    for partition in partitions:
        for url in partition.request.video_urls:
            file, key = FileReference.parse(url), url_hash(url)
            if file is None or file.in_s3 or key in known.probes or key in measured:
                continue
            with contextlib.suppress(UnreadableError, MediaError):  # the preflight says so
                content = read_file(partition.folder, file, max_bytes=services.limits.max_upload_bytes)
                measured[key] = CachedProbe(asdict(facts_of(content)), None, services.clock())
    return measured


def _estimate(services: Services, partitions: Iterable[PromptPartition], known: KnownFiles) -> list[Estimate]:
    estimates, unknown = [], []
    try:
        catalog = services.load_catalog()
    except UnknownPriceError as error:
        raise OrderingError(f"nothing was ordered: {error}") from None
    now = services.clock()
    for partition in partitions:
        input_video_s = known.input_video_s(partition.request)
        try:
            estimates.append(catalog.estimate(partition.request, at=now, input_video_s=input_video_s))
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
        reserved_points=estimate.reserved_points,
        price_table=estimate.table,
        price_formula=estimate.formula,
        tags=dict(partition.tags),
        retries=services.policy.attempts - 1,
        reference_facts=known.reference_facts(partition.request),
    )
