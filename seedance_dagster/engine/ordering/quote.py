"""Quotes: the price of each prompt, and the existing order that answers it, if there is one."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from seedance_dagster.api.catalog import Estimate
from seedance_dagster.api.errors import UnknownPriceError
from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.order import NewOrder, NewRemoval, Order
from seedance_dagster.ledger.orders import OrderRequest, Outcome
from seedance_dagster.ledger.references import CachedProbe
from seedance_dagster.media.errors import MediaError
from seedance_dagster.media.references.facts import KnownFiles, url_hash
from seedance_dagster.media.references.local import facts_of
from seedance_dagster.prompts.files import FileReference, read_file
from seedance_dagster.prompts.identity import fingerprint
from seedance_dagster.prompts.models import PromptPartition
from seedance_dagster.prompts.problems import UnreadableError


class OrderingError(Exception):
    """Nothing was ordered; the message says why and what to do."""


_Identity = tuple[str, int, str]
"""Fingerprint, take and scope of an order."""


@dataclass(frozen=True)
class _Cost:
    """The price of a video, and that of the removal of its watermark where that is asked for."""

    video: Estimate
    removal: Estimate | None

    @property
    def total(self) -> Estimate:
        return self.video if self.removal is None else self.video + self.removal

    def to_order(self, *, only_removal: bool) -> Estimate:
        return self.removal if only_removal and self.removal is not None else self.total


@dataclass(frozen=True)
class Quote:
    """The price of one partition, and the outcome of placing its order.

    Attributes:
        estimate: The cost of the order that would be placed; if none would be, the cost of ordering it alone.
        existing: The earlier order that answers it; None where a new one would be made.
        repeats: The partition before it that asks for the same, and whose new order it joins.
        source: The earlier order from whose video the new one would remove the watermark.
        only_removal: True where the price is that of removing the watermark alone: the video is ordered
            already, or for a partition before it.
    """

    partition: PromptPartition
    estimate: Estimate
    outcome: Outcome
    order: NewOrder
    existing: Order | None = None
    repeats: str | None = None
    source: Order | None = None
    only_removal: bool = False

    @property
    def is_new(self) -> bool:
        """True where placing makes a new order."""
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
        costs = _costs(services, partitions, known)
        orders = [
            _new_order(services, partition, cost, prompt_set, known)
            for partition, cost in zip(partitions, costs, strict=True)
        ]
        existing = services.ledger.orders.existing_orders(orders, request)
        sources = _existing_sources(services, orders, request)
    except LedgerError as error:
        raise OrderingError(str(error)) from None
    quotes, first = [], dict[_Identity, str]()
    for partition, cost, existing_one, order in zip(partitions, costs, existing, orders, strict=True):
        source = sources.get(_identity(order.source)) if isinstance(order, NewRemoval) else None
        gone = source is not None and source[1] is Outcome.SKIPPED
        answer = source if existing_one is None and gone else existing_one
        if answer is not None:
            quotes.append(Quote(partition, cost.total, answer[1], order, answer[0]))
            continue
        new = Quote(partition, cost.total, Outcome.ORDERED, order, source=source[0] if source else None)
        repeats = first.setdefault(_identity(order), partition.key)
        if repeats != partition.key:
            new = replace(new, outcome=Outcome.JOINED, repeats=repeats)
        elif isinstance(order, NewRemoval):
            renders = first.setdefault(_identity(order.source), partition.key)
            if source is not None or renders != partition.key:
                new = replace(new, estimate=cost.to_order(only_removal=True), only_removal=True)
        quotes.append(new)
    return quotes


def _existing_sources(
    services: Services, orders: Iterable[NewOrder], request: OrderRequest
) -> dict[_Identity, tuple[Order, Outcome]]:
    """Return the earlier orders that render the videos whose watermark is to be removed."""
    sources = [order.source for order in orders if isinstance(order, NewRemoval)]
    existing = services.ledger.orders.existing_orders(sources, request) if sources else []
    pairs = zip(sources, existing, strict=True)
    return {_identity(source): answer for source, answer in pairs if answer is not None}


def _identity(order: NewOrder) -> _Identity:
    return order.fingerprint, order.take, order.scope


def requote(services: Services, old: Quote, known: KnownFiles) -> Quote:
    """Price a partition again, now that more is known of its reference files; raise `OrderingError`."""
    [cost] = _costs(services, [old.partition], known)
    order = _new_order(services, old.partition, cost, old.order.prompt_set, known)
    return replace(old, estimate=cost.to_order(only_removal=old.only_removal), order=order)


def estimate_costs(services: Services, partitions: Sequence[PromptPartition]) -> list[Estimate]:
    """Price partitions that are not to be ordered.

    Raises:
        OrderingError: A price is unknown.
        LedgerError: The ledger cannot be read.
    """
    costs = _costs(services, partitions, _known_files(services, partitions))
    return [cost.total for cost in costs]


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
            with contextlib.suppress(UnreadableError, MediaError):  # the preflight reports it
                content = read_file(partition.folder, file, max_bytes=services.limits.max_upload_bytes)
                measured[key] = CachedProbe(asdict(facts_of(content)), None, services.clock())
    return measured


def _costs(services: Services, partitions: Iterable[PromptPartition], known: KnownFiles) -> list[_Cost]:
    costs, unknown = [], []
    try:
        catalog = services.load_catalog()
    except UnknownPriceError as error:
        raise OrderingError(f"nothing was ordered: {error}") from None
    now = services.clock()
    alike: dict[Hashable, _Cost] = {}
    for partition in partitions:
        request = partition.request
        input_video_s = known.input_video_s(request)
        # All but the text: many prompts have the same price.
        key = (input_video_s, *(value for name, value in vars(request).items() if name != "prompt"))
        try:
            if key not in alike:
                video = catalog.estimate(request, at=now, input_video_s=input_video_s)
                removal = catalog.estimate_removal(request, at=now) if request.remove_watermark else None
                alike[key] = _Cost(video, removal)
            costs.append(alike[key])
        except UnknownPriceError as error:
            unknown.append(f"{partition.key}: {error}")
    if unknown:
        raise OrderingError("nothing was ordered, a price is unknown:\n" + "\n".join(unknown))
    return costs


def _new_order(
    services: Services, partition: PromptPartition, cost: _Cost, prompt_set: str, known: KnownFiles
) -> NewOrder:
    def new_order(request: GenerationRequest, digest: str, estimate: Estimate) -> NewOrder:
        return NewOrder(
            prompt_set=prompt_set,
            partition=partition.key,
            fingerprint=digest,
            take=partition.take,
            scope=partition.scope,
            request=request.model_dump(mode="json"),
            estimated_points=estimate.points,
            reserved_points=estimate.reserved_points,
            price_table=estimate.table,
            price_formula=estimate.formula,
            tags=dict(partition.tags),
            retries=services.policy.attempts - 1,
            reference_facts=known.reference_facts(request),
            rights={name: dict(details) for name, details in partition.rights.items()} or None,
        )

    request = partition.request
    if cost.removal is None:
        return new_order(request, partition.fingerprint, cost.video)
    source = new_order(request.with_watermark, fingerprint(request.with_watermark), cost.video)
    removal = new_order(request, partition.fingerprint, cost.removal)
    return NewRemoval(**vars(removal), source=source)
