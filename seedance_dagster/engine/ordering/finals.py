"""Finals: the second orders of accepted drafts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from seedance_dagster.engine.ordering.quote import Quote
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.partitions import answers
from seedance_dagster.ledger.references import content_hashes, was_changed
from seedance_dagster.ledger.verdict import Verdict
from seedance_dagster.prompts.models import PromptPartition, PromptSet


def with_accepted_finals(ledger: Ledger, prompt_set: PromptSet) -> PromptSet:
    """Return a set that asks for the finals of the drafts that are accepted now; raise `LedgerError`."""
    drafts = {draft.key: draft for draft in prompt_set.drafts}
    if not drafts:
        return prompt_set
    return prompt_set.with_accepted(_accepted(ledger, prompt_set.name, drafts).keys())


def declined_finals(ledger: Ledger, prompt_set: str, quotes: Iterable[Quote]) -> dict[str, str]:
    """Return the reasons why new finals may not be ordered, by partition key.

    Called right before orders are placed: a verdict may be taken back, or a reference replaced, after the set
    was read.

    Args:
        ledger: It knows the verdicts.
        prompt_set: The set's name.
        quotes: Quotes by the present contents of the references.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    finals = {
        priced.partition.draft.key: priced
        for priced in quotes
        if priced.partition.draft is not None and priced.existing is None
    }
    drafts = {key: priced.partition.draft for key, priced in finals.items() if priced.partition.draft}
    accepted = _accepted(ledger, prompt_set, drafts)
    declined = {}
    for key, priced in finals.items():
        if key not in accepted:
            declined[priced.partition.key] = _why_declined(key)
        elif was_changed(accepted[key], content_hashes(priced.order)):
            declined[priced.partition.key] = (
                f"a reference of its draft {key} is no longer the file of the accepted video"
            )
    return declined


def unasked_finals(prompt_set: PromptSet, keys: Iterable[str]) -> dict[str, str]:
    """Return the reasons why the finals among some partitions are not asked for, by key."""
    finals = filter(None, map(prompt_set.all_partitions.get, keys))
    return {final.key: _why_declined(final.draft.key) for final in finals if final.draft is not None}


def _why_declined(draft: str) -> str:
    return f"its draft {draft} has no accepted video of what the prompt asks for now"


def _accepted(ledger: Ledger, prompt_set: str, drafts: Mapping[str, PromptPartition]) -> dict[str, Order]:
    """Return the accepted videos of drafts, by key: current ones that still match what the draft asks for."""
    candidates = ledger.verdicts.ever_accepted(prompt_set) & drafts.keys() if drafts else set[str]()
    return {
        video.partition: video.order
        for video in ledger.videos.current_among(prompt_set, candidates)
        if video.verdict is Verdict.ACCEPTED and _is_video_of(video.order, drafts[video.partition])
    }


def _is_video_of(order: Order, draft: PromptPartition) -> bool:
    same = (order.fingerprint, order.take) == (draft.fingerprint, draft.take)
    return same and answers(draft.scope, order.scope)
