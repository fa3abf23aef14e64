"""Restoration: a backup is brought up to date, or a new ledger takes a lost one's place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.changes import note_verdicts
from seedance_dagster.ledger.errors import LedgerError
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.tables.schema import journal, ledger_identity, orders, verdicts
from seedance_dagster.ledger.transitions import transition
from seedance_dagster.ledger.verdict import RecordedVerdict
from seedance_dagster.ledger.work.leases import UNLEASED, lease_times

ACTOR = "restore"
"""The first word of the actor of all entries that a restoration makes."""

_WAY = (State.QUEUED, State.CLAIMED, State.SUBMITTED, State.SUCCEEDED, State.STORED)
"""The states of an order on its way to a stored video."""

_ROUNDING = timedelta(milliseconds=1)  # Dagster keeps times as fractions of seconds


def of_others() -> sa.ColumnElement[bool]:
    """Select the journal's entries that no restoration made."""
    return journal.c.actor.not_like(f"{ACTOR} %")


class Restoration(LedgerPart):
    """The part of the ledger that `restore` uses."""

    def is_empty(self) -> bool:
        """Return True for a ledger in which nothing was ever ordered."""
        with self._database.reading() as connection:
            return self._is_empty(connection)

    def check_intact(self) -> None:
        """Check the file of a SQLite ledger.

        Raises:
            LedgerError: It is damaged, such as a backup that SQLite has mixed with the `-wal` of a lost file.
        """
        with self._database.reading() as connection:
            if connection.dialect.name != "sqlite":
                return
            report = str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar())
        if (problem := report.splitlines()[-1]) != "ok":
            raise LedgerError(
                f"the ledger at {self._database.label} is damaged ({problem}): was a backup put beside the "
                "-wal file of another one? Move the ledger, its -wal and its -shm away together, and put the "
                "backup in their place. Nothing was restored"
            )

    def last_written(self) -> datetime | None:
        """Return the time of the newest journal entry (UTC), which is as far as a backup knows.

        Entries of restorations do not count, so that an interrupted one is repeated.
        """
        with self._database.reading() as connection:
            at: datetime | None = connection.scalar(sa.select(sa.func.max(journal.c.at)).where(of_others()))
            return at

    def workers(self) -> set[str]:
        """Return the workers that hold orders now."""
        with self._database.reading() as connection:
            query = sa.select(orders.c.lease_owner).where(~UNLEASED).distinct()
            return set(connection.scalars(query, lease_times(self._lease_time(connection))))

    def take_identity(self, ledger_id: str, created_at: datetime) -> None:
        """Let an empty ledger take the place of a lost one; see `Ledger.take_identity`."""
        with self._database.writing() as connection:
            if not self._is_empty(connection):
                raise LedgerError("only a ledger in which nothing was ordered can take another one's place")
            values = {"ledger_id": ledger_id, "created_at": created_at}
            connection.execute(ledger_identity.update().values(values))

    def move_forward(
        self, order: Order, to: State, *, changes: Mapping[str, Any], actor: str, source: str
    ) -> Order:
        """Move an order of a backup to a later state, by every transition in between.

        It starts no further attempt automatically: attempts that were made are restored as well.

        Args:
            order: The order as last read.
            to: UNCERTAIN, SUBMITTED or STORED.
            changes: The columns of that state.
            actor: Who restores it, for the journal.
            source: Where the columns come from, for the journal.

        Raises:
            StaleOrderError: The order moved on.
        """
        now, way = self._clock(), _way(order.state, to)
        with self._database.writing() as connection:
            for state in way:
                last = state is to
                order = transition(
                    connection,
                    order,
                    state,
                    actor=actor,
                    at=now,
                    changes={"retries": 0, **changes} if last else {},
                    detail={"restored_from": source} | _journaled(changes, last=last),
                )
        return order

    def missing_verdicts(self, recorded: Iterable[RecordedVerdict]) -> list[RecordedVerdict]:
        """Return the verdicts that are later than the ledger's last one on the same video."""
        with self._database.reading() as connection:
            return _missing(connection, recorded)

    def add_verdicts(self, recorded: Iterable[RecordedVerdict]) -> int:
        """Add the verdicts that are missing, as reported, where their video is stored; return how many."""
        added = 0
        with self._database.writing() as connection:
            for verdict in _missing(connection, recorded):
                stored = (orders.c.sha256 == verdict.sha256, orders.c.state == State.STORED)
                order_id = connection.scalar(sa.select(sa.func.max(orders.c.order_id)).where(*stored))
                if order_id is None:
                    continue
                row = vars(verdict) | {"order_id": order_id, "reported_at": self._clock()}
                connection.execute(verdicts.insert().values(row))
                note_verdicts(connection, verdict.prompt_set, [verdict.partition])
                added += 1
        return added

    @staticmethod
    def _is_empty(connection: sa.Connection) -> bool:
        return connection.scalar(sa.select(journal.c.entry_id).limit(1)) is None


def _missing(connection: sa.Connection, recorded: Iterable[RecordedVerdict]) -> list[RecordedVerdict]:
    video = (verdicts.c.prompt_set, verdicts.c.partition, verdicts.c.sha256)
    query = sa.select(*video, sa.func.max(verdicts.c.given_at)).group_by(*video)
    newest = {tuple(row[:3]): row[3] for row in connection.execute(query)}
    missing = []
    for verdict in sorted(recorded, key=lambda verdict: verdict.given_at):
        key = (verdict.prompt_set, verdict.partition, verdict.sha256)
        if key not in newest or verdict.given_at > newest[key] + _ROUNDING:
            newest[key] = verdict.given_at
            missing.append(verdict)
    return missing


def _way(begin: State, to: State) -> tuple[State, ...]:
    """Return the states after `begin` on the way to `to`."""
    if to is State.UNCERTAIN:
        return (State.CLAIMED, to) if begin is State.QUEUED else (to,)
    start = State.CLAIMED if begin is State.UNCERTAIN else begin
    return _WAY[_WAY.index(start) + 1 : _WAY.index(to) + 1]


def _journaled(changes: Mapping[str, Any], *, last: bool) -> dict[str, Any]:
    """Return the columns that the journal records, as for other transitions."""
    names = ("task_id", "video_key", "points_charged") if last else ()
    return {name: changes[name] for name in names if changes.get(name) is not None}
