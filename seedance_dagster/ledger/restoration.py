"""Restoration: a backup is moved forward to what happened since, a new ledger takes a lost one's place."""

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
from seedance_dagster.ledger.work.leases import unleased

ACTOR = "restore"
"""The first word of the actor of all entries that a restoration makes."""

_WAY = (State.QUEUED, State.CLAIMED, State.SUBMITTED, State.SUCCEEDED, State.STORED)
"""The way of an order to its stored video."""

_ROUNDING = timedelta(milliseconds=1)  # Dagster keeps times as fractions of seconds


def of_others() -> sa.ColumnElement[bool]:
    """Select the journal's entries that no restoration made."""
    return journal.c.actor.not_like(f"{ACTOR} %")


class Restoration(LedgerPart):
    """The part of the ledger that `restore` works with."""

    def is_empty(self) -> bool:
        """Return True for a ledger in which nothing was ever ordered."""
        with self._database.reading() as connection:
            return self._is_empty(connection)

    def last_written(self) -> datetime | None:
        """Return the time of the newest journal entry (UTC): what a backup knows ends there.

        Entries of restorations do not count: one that was interrupted is done again.
        """
        with self._database.reading() as connection:
            at: datetime | None = connection.scalar(sa.select(sa.func.max(journal.c.at)).where(of_others()))
            return at

    def workers(self) -> set[str]:
        """Return the workers that hold orders now."""
        with self._database.reading() as connection:
            held = ~unleased(self._lease_time(connection))
            return set(connection.scalars(sa.select(orders.c.lease_owner).where(held).distinct()))

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

        It starts no further attempt automatically: those that were made are restored themselves.

        Args:
            order: As last read.
            to: UNCERTAIN, SUBMITTED or STORED.
            changes: Columns of that state.
            actor: Who restores it.
            source: Where they come from, for the journal.

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
        """Return verdicts that are later than the last one that the ledger has on the same video."""
        with self._database.reading() as connection:
            return _missing(connection, recorded)

    def add_verdicts(self, recorded: Iterable[RecordedVerdict]) -> int:
        """Add the verdicts that are missing, as reported, where their video is stored; return how many."""
        added = 0
        with self._database.writing() as connection:
            for given in _missing(connection, recorded):
                stored = (orders.c.sha256 == given.sha256, orders.c.state == State.STORED)
                order_id = connection.scalar(sa.select(sa.func.max(orders.c.order_id)).where(*stored))
                if order_id is None:
                    continue
                row = vars(given) | {"order_id": order_id, "reported_at": self._clock()}
                connection.execute(verdicts.insert().values(row))
                note_verdicts(connection, given.prompt_set, [given.partition])
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
    for given in sorted(recorded, key=lambda given: given.given_at):
        key = (given.prompt_set, given.partition, given.sha256)
        if key not in newest or given.given_at > newest[key] + _ROUNDING:
            newest[key] = given.given_at
            missing.append(given)
    return missing


def _way(begin: State, to: State) -> tuple[State, ...]:
    """Return the states after `begin` on the way to `to`."""
    if to is State.UNCERTAIN:
        return (State.CLAIMED, to) if begin is State.QUEUED else (to,)
    start = State.CLAIMED if begin is State.UNCERTAIN else begin
    return _WAY[_WAY.index(start) + 1 : _WAY.index(to) + 1]


def _journaled(changes: Mapping[str, Any], *, last: bool) -> dict[str, Any]:
    """Return what the journal notes of the columns, as other transitions do."""
    names = ("task_id", "video_key", "points_charged") if last else ()
    return {name: changes[name] for name in names if changes.get(name) is not None}
