"""Notes of the partitions whose entry in a view may be out of date.

Each is written in the transaction that makes the change. A view is made from a set's current videos, and then
kept up to date by these notes, so that the cost of a change does not grow with the set.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.tables.schema import links, orders
from seedance_dagster.ledger.tables.views import view_changes


class View(StrEnum):
    """A record that is kept up to date with the videos of a set."""

    INDEX = "index"
    CHECKS = "checks"
    SCORES = "scores"


@dataclass(frozen=True)
class Changes:
    """Changes that a view does not have yet.

    Attributes:
        ids: The ids of their notes.
        partitions: The partitions that may have changed.
    """

    ids: tuple[int, ...]
    partitions: frozenset[str]


def _note(changed: sa.Select[Any], *views: View) -> sa.Insert:
    """Return the statement that notes the sets and partitions which a query selects."""
    pairs = changed.subquery()
    noted = [sa.select(sa.literal(view.value, sa.Text), *pairs.c) for view in views]
    return view_changes.insert().from_select(["view", "prompt_set", "partition"], sa.union_all(*noted))


_GIVEN = sa.select(links.c.prompt_set, links.c.partition)
_STORED = _GIVEN.join(orders, orders.c.order_id == links.c.order_id).where(orders.c.state == State.STORED)
# Built once: SQLAlchemy takes as long to build a statement as the database to run it.
_NOTE_ORDER = _note(_GIVEN.where(links.c.order_id == sa.bindparam("changed_id")), *View)
_NOTE_STORED = _note(_STORED.where(orders.c.order_id.in_(sa.bindparam("ids", expanding=True))), *View)


def note_order(connection: sa.Connection, order_id: int) -> None:
    """Note that an order's partitions may show something else now."""
    connection.execute(_NOTE_ORDER, {"changed_id": order_id})


def note_stored(connection: sa.Connection, order_ids: Iterable[int]) -> None:
    """Note the partitions of some orders, where the video is stored."""
    for chunk in chunked(order_ids):
        connection.execute(_NOTE_STORED, {"ids": chunk})


def note_partitions(connection: sa.Connection, prompt_set: str, keys: Iterable[str]) -> None:
    """Note edited partitions, where they have a stored video."""
    for chunk in chunked(keys):
        stored = _STORED.where(links.c.prompt_set == prompt_set, links.c.partition.in_(chunk)).distinct()
        connection.execute(_note(stored, *View))


def note_verdicts(connection: sa.Connection, prompt_set: str, keys: Iterable[str]) -> None:
    """Note partitions whose videos got a verdict."""
    rows = [{"view": View.INDEX.value, "prompt_set": prompt_set, "partition": key} for key in keys]
    if rows:
        connection.execute(view_changes.insert(), rows)


def note_unscored(connection: sa.Connection, prompt_set: str, keys: Iterable[str]) -> None:
    """Note partitions whose videos are still to be scored."""
    rows = [{"view": View.SCORES.value, "prompt_set": prompt_set, "partition": key} for key in keys]
    if rows:
        connection.execute(view_changes.insert(), rows)


def note_bytes(connection: sa.Connection, sha256: str) -> None:
    """Note the partitions that may show a video whose scores changed."""
    connection.execute(_note(_STORED.where(orders.c.sha256 == sha256).distinct(), View.INDEX))


def changes_of(connection: sa.Connection, view: View, prompt_set: str) -> Changes:
    """Return the changes of a set that a view does not have yet."""
    query = sa.select(view_changes.c.change_id, view_changes.c.partition).where(*_of(view, prompt_set))
    rows = connection.execute(query).all()
    return Changes(tuple(row.change_id for row in rows), frozenset(row.partition for row in rows))


def sets_with_changes(connection: sa.Connection, view: View) -> set[str]:
    """Return the sets that have changes which a view does not have yet."""
    query = sa.select(view_changes.c.prompt_set).where(view_changes.c.view == view).distinct()
    return set(connection.scalars(query))


def newest_changes(connection: sa.Connection, view: View) -> dict[str, int]:
    """Return the number of the newest change that a view does not have yet, by set."""
    query = sa.select(view_changes.c.prompt_set, sa.func.max(view_changes.c.change_id))
    rows = connection.execute(query.where(view_changes.c.view == view).group_by(view_changes.c.prompt_set))
    return dict(rows.all())


def has_changes(connection: sa.Connection, view: View, prompt_set: str) -> bool:
    """Return True where a set has changes that a view does not have yet."""
    query = sa.select(view_changes.c.change_id).where(*_of(view, prompt_set)).limit(1)
    return connection.scalar(query) is not None


def forget_changes(connection: sa.Connection, ids: Collection[int], *, keep: Collection[str] = ()) -> None:
    """Delete the notes of changes that a view has now, except those of the partitions in `keep`."""
    for chunk in chunked(ids):
        conditions = (view_changes.c.change_id.in_(chunk), view_changes.c.partition.not_in(keep))
        connection.execute(view_changes.delete().where(*conditions))


def forget_sets(connection: sa.Connection, view: View, prompt_sets: Collection[str]) -> None:
    """Delete all notes of sets that no longer have a view."""
    for chunk in chunked(prompt_sets):
        of_sets = view_changes.c.prompt_set.in_(chunk)
        connection.execute(view_changes.delete().where(view_changes.c.view == view, of_sets))


def _of(view: View, prompt_set: str) -> tuple[sa.ColumnElement[bool], ...]:
    return view_changes.c.view == view, view_changes.c.prompt_set == prompt_set
