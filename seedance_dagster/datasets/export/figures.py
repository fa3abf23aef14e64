"""The figures of a set's review: the share of its videos that was accepted, and the cost of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.spend import Amounts, SpendBy, per_accepted, share
from seedance_dagster.ledger.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The videos and orders of a set, counted by their outcome.

    Attributes:
        videos: Videos that the set's partitions show.
        accepted: Those of them that were accepted, without drafts.
        discarded: Those of them that were discarded.
        finished: Orders that ended with a video, or were rejected.
        rejected: Orders that moderation rejected.
        points: All charges of the set, penalties and discarded videos included.
    """

    videos: int
    accepted: int
    discarded: int
    finished: int
    rejected: int
    points: int

    @property
    def points_per_accepted(self) -> int | None:
        """All charges by the number of accepted videos, in points; None without any."""
        return per_accepted(self.points, self.accepted)

    @property
    def yield_share(self) -> float | None:
        """The share of the videos that was accepted; None without any."""
        return share(self.accepted, self.videos)

    @property
    def discarded_share(self) -> float | None:
        """The share of the videos that was discarded; None without any."""
        return share(self.discarded, self.videos)

    @property
    def rejected_share(self) -> float | None:
        """The share of the finished orders that was rejected; None without any."""
        return share(self.rejected, self.finished)


def read_figures(ledger: Ledger, prompt_set: str) -> Figures:
    """Return the figures of a set; raise `LedgerError` if the ledger cannot be read."""
    current, drafts = ledger.verdicts.current(prompt_set), ledger.partitions.drafts(prompt_set)
    verdicts = Counter(verdict.verdict for verdict in current.values())
    accepted_drafts = sum(current[key].verdict is Verdict.ACCEPTED for key in current.keys() & drafts)
    amounts = Amounts.total(ledger.spend.total_by(SpendBy.SET, prompt_set=prompt_set).values())
    return Figures(
        videos=ledger.videos.count(prompt_set),
        accepted=verdicts[Verdict.ACCEPTED] - accepted_drafts,
        discarded=verdicts[Verdict.DISCARDED],
        finished=amounts.videos + amounts.rejected,
        rejected=amounts.rejected,
        points=amounts.charged,
    )
