"""Errors that a user can fix, shown as failures with a message instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from seedance_dagster.api.errors import SeedanceError
from seedance_dagster.datasets.export.errors import ExportError
from seedance_dagster.engine.ordering.quote import OrderingError
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.prompts.problems import PromptSetError
from seedance_dagster.storage.errors import StoreError

USER_ERRORS = (OrderingError, LedgerError, PromptSetError, SeedanceError, StoreError, ExportError)
"""Errors whose message says what is wrong and what to do, and contains no secret."""

ATTENTION = "\N{WARNING SIGN} "
"""Makes a tick with trouble stand out."""


@contextmanager
def as_failure() -> Iterator[None]:
    """Turn a user error into the failure of a step.

    Raises:
        dg.Failure: With the error's message.
    """
    try:
        yield
    except PromptSetError as error:
        raise dg.Failure(f"nothing was ordered:\n{error}", allow_retries=False) from None
    except USER_ERRORS as error:
        raise dg.Failure(str(error), allow_retries=False) from None
