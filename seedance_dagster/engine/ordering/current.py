"""A prompt set as it is now: with the contents of its references, and the finals of accepted drafts."""

from __future__ import annotations

from collections.abc import Collection

from seedance_dagster.engine.ordering.finals import with_accepted_finals
from seedance_dagster.engine.reference_contents import read_contents, with_known_contents
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.prompts.models import PromptSet


def known_set(ledger: Ledger, prompt_set: PromptSet) -> PromptSet:
    """Return a set as it is now, as far as the ledger knows; raise `LedgerError`."""
    return with_accepted_finals(ledger, with_known_contents(ledger, prompt_set))


def read_set(services: Services, prompt_set: PromptSet, keys: Collection[str]) -> PromptSet:
    """Return a set as it is now, after reading the references in S3 of some partitions.

    Raises:
        LedgerError: The ledger cannot be read or written.
    """
    return with_accepted_finals(services.ledger, read_contents(services, prompt_set, keys))
