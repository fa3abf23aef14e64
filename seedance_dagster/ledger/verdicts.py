"""Verdicts on stored videos, in an append-only table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.changes import note_verdicts
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.errors import VerdictError
from seedance_dagster.ledger.moved import check_not_moved
from seedance_dagster.ledger.tables.schema import orders, to_verdict, verdicts
from seedance_dagster.ledger.verdict import RULE, GivenVerdict, Judgement, Verdict
from seedance_dagster.ledger.videos import current_videos

_FEW = 20  # for more, all videos of the set are read at once
_MAX_NAMED = 5


class Verdicts(LedgerPart):
    """The part of the ledger that knows which videos were accepted.

    A verdict belongs to a partition and the bytes that it showed: a new video of the partition is undecided.
    Where two reviewers judge one video, both verdicts are kept and the last one counts.
    """

    def give(
        self, prompt_set: str, judgements: Mapping[str, Judgement], *, reviewer: str
    ) -> list[GivenVerdict]:
        """Record verdicts on the videos that partitions show, all of them or none.

        Args:
            judgements: The verdict on each partition's video, by key.
            reviewer: Who gives them.

        Raises:
            VerdictError: A partition shows no video, or another one than the reviewer saw.
        """
        _check_reviewer(reviewer)
        if any("\0" in text for text in (reviewer, *(judgement.note for judgement in judgements.values()))):
            # SQLite would keep it, and then not every database could take the ledger over.
            raise VerdictError("a name or a note has a NUL character: remove it. No verdict was recorded")
        now = self._clock()
        with self._database.writing() as connection:
            check_not_moved(connection)
            shown = _shown(connection, prompt_set, judgements)
            reviewed = {key: judgement.sha256 for key, judgement in judgements.items() if judgement.sha256}
            _check_shown(prompt_set, judgements, shown, reviewed)
            note_verdicts(connection, prompt_set, judgements)
            return [
                _add(
                    connection,
                    prompt_set,
                    partition,
                    shown[partition],
                    verdict=judgement.verdict,
                    note=judgement.note,
                    reviewer=reviewer,
                    given_at=now,
                )
                for partition, judgement in judgements.items()
            ]

    def undo(self, prompt_set: str, partitions: Collection[str], *, reviewer: str) -> list[GivenVerdict]:
        """Take back the last verdict on each partition's video, so that the one before it counts again.

        Raises:
            VerdictError: A partition shows no video, or one without a verdict; nothing was taken back.
        """
        _check_reviewer(reviewer)
        now, taken_back = self._clock(), list[GivenVerdict]()
        with self._database.writing() as connection:
            check_not_moved(connection)
            shown = _shown(connection, prompt_set, partitions)
            _check_shown(prompt_set, partitions, shown)
            note_verdicts(connection, prompt_set, set(partitions))
            for partition in dict.fromkeys(partitions):
                valid = _not_undone(_history(connection, prompt_set, partition, shown[partition][1]))
                if not valid:
                    raise VerdictError(
                        f"{prompt_set}: no verdict on {partition} is left to take back; nothing was changed"
                    )
                before = valid[-2] if len(valid) > 1 else None
                taken_back.append(
                    _add(
                        connection,
                        prompt_set,
                        partition,
                        shown[partition],
                        verdict=before.verdict if before else Verdict.UNDECIDED,
                        note=before.note if before else "",
                        reviewer=reviewer,
                        given_at=now,
                        undoes=valid[-1].verdict_id,
                    )
                )
        return taken_back

    def decide(
        self, prompt_set: str, partition: str, sha256: str, verdict: Verdict, note: str
    ) -> GivenVerdict | None:
        """Record the verdict of a set's rule on a video, unless a person judged it before.

        Returns:
            The verdict; None where none is recorded: a person judged the video, the rule's verdict has not
            changed, or the partition shows another video now.
        """
        with self._database.writing() as connection:
            check_not_moved(connection)
            history = _history(connection, prompt_set, partition, sha256)
            last = history[-1].verdict if history else Verdict.UNDECIDED
            if last is verdict or any(earlier.reviewer != RULE for earlier in history):
                return None
            shown = _shown(connection, prompt_set, [partition]).get(partition)
            if shown is None or shown[1] != sha256:
                return None
            note_verdicts(connection, prompt_set, [partition])
            given_at = self._clock()
            return _add(
                connection,
                prompt_set,
                partition,
                shown,
                verdict=verdict,
                note=note,
                reviewer=RULE,
                given_at=given_at,
            )

    def current(self, prompt_set: str) -> dict[str, GivenVerdict]:
        """Return the verdict on the video that each partition shows, where there is one."""
        shown = current_videos(prompt_set)
        newest = (
            sa.select(sa.func.max(verdicts.c.verdict_id))
            .join(orders, orders.c.sha256 == verdicts.c.sha256)
            .join(shown, (shown.c.order_id == orders.c.order_id) & (shown.c.label == verdicts.c.partition))
            .where(verdicts.c.prompt_set == prompt_set)
            .group_by(verdicts.c.partition)
        )
        query = sa.select(verdicts).where(verdicts.c.verdict_id.in_(newest))
        with self._database.reading() as connection:
            return {row.partition: to_verdict(row) for row in connection.execute(query)}

    def ever_accepted(self, prompt_set: str) -> set[str]:
        """Return the partitions of a set that ever had an accepted video."""
        accepted = (verdicts.c.prompt_set == prompt_set, verdicts.c.verdict == Verdict.ACCEPTED)
        query = sa.select(verdicts.c.partition).where(*accepted).distinct()
        with self._database.reading() as connection:
            return set(connection.scalars(query))

    def history(self, prompt_set: str, partition: str, sha256: str | None = None) -> list[GivenVerdict]:
        """Return all verdicts on a partition, or on one video of it, the oldest first."""
        with self._database.reading() as connection:
            return _history(connection, prompt_set, partition, sha256)

    def unreported(self, limit: int) -> list[GivenVerdict]:
        """Return verdicts that were not reported to Dagster, the oldest first."""
        query = sa.select(verdicts).where(verdicts.c.reported_at.is_(None))
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(verdicts.c.verdict_id).limit(limit))
            return [to_verdict(row) for row in rows]

    def was_reported(self, prompt_set: str, partition: str) -> bool:
        """Return True where an accepted video of a partition was reported to Dagster before."""
        query = sa.select(verdicts.c.verdict_id).where(
            verdicts.c.prompt_set == prompt_set,
            verdicts.c.partition == partition,
            verdicts.c.verdict == Verdict.ACCEPTED,
            verdicts.c.reported_at.is_not(None),
        )
        with self._database.reading() as connection:
            return connection.scalar(query.limit(1)) is not None

    def mark_reported(self, verdict_ids: Iterable[int]) -> None:
        """Remember that verdicts were reported to Dagster."""
        changes = verdicts.update().values(reported_at=self._clock())
        with self._database.writing() as connection:
            for chunk in chunked(verdict_ids):
                connection.execute(changes.where(verdicts.c.verdict_id.in_(chunk)))


def _check_reviewer(reviewer: str) -> None:
    """Raise `VerdictError` for a reviewer with the rule's name, since the rule replaces its own verdicts."""
    if reviewer == RULE:
        raise VerdictError(
            f"the reviewer {RULE!r} stands for the rule of a set; give another name. No verdict was recorded"
        )


def _shown(
    connection: sa.Connection, prompt_set: str, partitions: Collection[str]
) -> dict[str, tuple[int, str]]:
    """Return the order id and SHA-256 of the video that each partition of a set shows."""
    videos: dict[str, tuple[int, str]] = {}
    for chunk in chunked(partitions) if len(partitions) <= _FEW else [None]:
        shown = current_videos(prompt_set, chunk)
        query = sa.select(shown.c.label, orders.c.order_id, orders.c.sha256).join(
            shown, shown.c.order_id == orders.c.order_id
        )
        videos |= {row.label: (row.order_id, row.sha256) for row in connection.execute(query)}
    return videos


def _check_shown(
    prompt_set: str,
    partitions: Iterable[str],
    shown: Mapping[str, tuple[int, str]],
    reviewed: Mapping[str, str] = MappingProxyType({}),
) -> None:
    missing = [partition for partition in partitions if partition not in shown]
    if missing:
        raise VerdictError(
            f"{prompt_set}: {_names(missing)} without a stored video; a verdict needs one. "
            f"`seedance-dagster review list {prompt_set}` shows which have one. No verdict was recorded"
        )
    replaced = [partition for partition, sha256 in reviewed.items() if shown[partition][1] != sha256]
    if replaced:
        raise VerdictError(
            f"{prompt_set}: {_names(replaced)} showing another video than the one that was looked at. Look "
            "at the new one. No verdict was recorded"
        )


def _names(partitions: Collection[str]) -> str:
    named = ", ".join(list(partitions)[:_MAX_NAMED])
    more = len(partitions) - _MAX_NAMED
    return (
        f"{named} and {more} more are" if more > 0 else f"{named} {'is' if len(partitions) == 1 else 'are'}"
    )


def _history(
    connection: sa.Connection, prompt_set: str, partition: str, sha256: str | None
) -> list[GivenVerdict]:
    query = sa.select(verdicts).where(verdicts.c.prompt_set == prompt_set, verdicts.c.partition == partition)
    if sha256 is not None:
        query = query.where(verdicts.c.sha256 == sha256)
    return [to_verdict(row) for row in connection.execute(query.order_by(verdicts.c.verdict_id))]


def _not_undone(history: Iterable[GivenVerdict]) -> list[GivenVerdict]:
    """Return the verdicts that were not taken back, the oldest first."""
    valid: dict[int, GivenVerdict] = {}
    for verdict in history:
        if verdict.undoes is None:
            valid[verdict.verdict_id] = verdict
        else:
            valid.pop(verdict.undoes, None)
    return list(valid.values())


def _add(
    connection: sa.Connection, prompt_set: str, partition: str, video: tuple[int, str], **values: Any
) -> GivenVerdict:
    order_id, sha256 = video
    row = {"prompt_set": prompt_set, "partition": partition, "order_id": order_id, "sha256": sha256}
    inserted = connection.execute(verdicts.insert().values(row | values)).inserted_primary_key
    assert inserted is not None
    return GivenVerdict(verdict_id=inserted[0], **row, **values)  # type: ignore[arg-type]  # a dict of all types
