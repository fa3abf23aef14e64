"""Notes in the ledger of the events that were reported to Dagster, several in one write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from seedance_dagster.ledger.errors import LedgerUnavailableError
from seedance_dagster.ledger.order import Reported
from seedance_dagster.ledger.partitions import Link
from seedance_dagster.ledger.reports import LinkToReport, Reports

_TOGETHER_S = 2.0  # well within the time after which others report what is not noted


class ReportNotes:
    """The notes of one step: of events that Dagster has stored.

    A note that is late or lost only means that its event is reported again.
    """

    def __init__(self, reports: Reports, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._reports = reports
        self._monotonic = monotonic
        self._unwritten: dict[Link, Reported] = {}
        self._oldest_at = 0.0
        self._wait_s = 0.0

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let notes wait for others while the block runs."""
        self._wait_s = _TOGETHER_S
        try:
            yield
        finally:
            self._wait_s = 0.0
            self.write()

    def add(self, link: Link, event: Reported) -> None:
        """Note the event that was reported of an order, for a partition."""
        if not self._unwritten:
            self._oldest_at = self._monotonic()
        self._unwritten[_key(link)] = event
        if self._monotonic() - self._oldest_at >= self._wait_s:
            self.write()

    def write(self) -> None:
        """Write the waiting notes; while the ledger is unavailable they keep waiting."""
        if self._unwritten:
            with suppress(LedgerUnavailableError):
                self._reports.mark_reported(self._unwritten)
                self._unwritten = {}

    def up_to_date(self, link: LinkToReport) -> LinkToReport:
        """Return a link with its waiting note, if there is one."""
        event = self._unwritten.get(_key(link))
        return link if event is None else replace(link, reported=event)


def _key(link: Link) -> Link:
    return Link(link.prompt_set, link.partition, link.order_id)
