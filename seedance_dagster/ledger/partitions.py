"""Partitions: the take of a request that each asks for now, and the orders that are linked to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.asked import DeclaredTake, PartitionRequest
from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.changes import note_partitions, note_stored
from seedance_dagster.ledger.chunks import chunked
from seedance_dagster.ledger.order import Reported
from seedance_dagster.ledger.tables.schema import links, orders, partitions, prompt_sets


@dataclass(frozen=True)
class Link:
    """A partition's link to an order, and the event that was last reported of the order there."""

    prompt_set: str
    partition: str
    order_id: int
    reported: Reported | None = None


UPDATE_PARTITION = partitions.update().where(
    partitions.c.prompt_set == sa.bindparam("of_set"),
    partitions.c.partition == sa.bindparam("of_partition"),
)
"""The update of one partition's row, which may be executed for many."""

# Built once: SQLAlchemy takes longer to build a statement than the database to run it.
_LINKED = sa.select(links.c.prompt_set, links.c.partition, links.c.order_id).where(
    links.c.order_id.in_(sa.bindparam("ids", expanding=True))
)
_POSTPONE = partitions.update().where(
    partitions.c.prompt_set == sa.bindparam("of_set"),
    partitions.c.partition.in_(sa.bindparam("keys", expanding=True)),
)
_RESUME = _POSTPONE.where(partitions.c.postponed_at.is_not(None))


def answers(scope: str, order_scope: str) -> bool:
    """Return True when an order of one scope may answer a request of another for the same take."""
    return scope in ("", order_scope)


def asks_for(label: sa.FromClause = partitions, order: sa.FromClause = orders) -> sa.ColumnElement[bool]:
    """Select pairs of a partition and an order that answers what the partition asks for; see `answers`."""
    return sa.and_(
        label.c.fingerprint == order.c.fingerprint,
        label.c.take == order.c.take,
        label.c.scope.in_(("", order.c.scope)),
    )


def same_partition(first: sa.FromClause, second: sa.FromClause) -> sa.ColumnElement[bool]:
    """Select pairs of rows of the same partition."""
    return sa.and_(first.c.prompt_set == second.c.prompt_set, first.c.partition == second.c.partition)


def link_orders(connection: sa.Connection, new_links: Iterable[Link], *, at: datetime) -> None:
    """Link orders to partitions in the caller's transaction; existing links stay as they are.

    A partition that has an order is no longer postponed.
    """
    by_key = {(link.prompt_set, link.partition, link.order_id): link for link in new_links}
    known = set[tuple[str, str, int]]()
    for chunk in chunked({order_id for _, _, order_id in by_key}):
        known.update(map(tuple, connection.execute(_LINKED, {"ids": chunk})))
    new = [vars(link) | {"linked_at": at} for key, link in by_key.items() if key not in known]
    if new:
        connection.execute(links.insert(), new)
        note_stored(connection, {link["order_id"] for link in new})
    by_set: defaultdict[str, list[str]] = defaultdict(list)
    for prompt_set, partition, _ in by_key:
        by_set[prompt_set].append(partition)
    for prompt_set, keys in by_set.items():
        _set_postponed(connection, prompt_set, keys, None)


def _set_postponed(
    connection: sa.Connection, prompt_set: str, keys: Iterable[str], at: datetime | None
) -> None:
    update = _RESUME if at is None else _POSTPONE
    for chunk in chunked(keys):
        connection.execute(update, {"of_set": prompt_set, "keys": chunk, "postponed_at": at})


def copy_links(connection: sa.Connection, order_id: int, to: int, *, at: datetime) -> None:
    """Link a further attempt to the partitions of the attempt before it."""
    rows = connection.execute(
        sa.select(links.c.prompt_set, links.c.partition).where(links.c.order_id == order_id)
    )
    link_orders(connection, [Link(*row, to) for row in rows.all()], at=at)


class Partitions(LedgerPart):
    """The part of the ledger that knows what partitions ask for and which orders they have."""

    def digests(self) -> dict[str, str]:
        """Return the digests with which sets were last updated, by name."""
        with self._database.reading() as connection:
            return dict(connection.execute(sa.select(prompt_sets.c.prompt_set, prompt_sets.c.digest)).all())

    def update(
        self, prompt_set: str, wanted: Mapping[str, DeclaredTake], *, digest: str | None = None
    ) -> None:
        """Remember what the partitions of a set ask for now; those left out have been removed.

        Args:
            prompt_set: A set whose file was just read, without an error.
            wanted: What each of its partitions asks for, by key.
            digest: A hash of all that they ask for; a reader that finds it in `digests` need not update the
                set.
        """
        now = self._clock()
        known = sa.select(partitions.c.partition, *_ASKED).where(partitions.c.prompt_set == prompt_set)
        last = sa.select(prompt_sets.c.digest).where(prompt_sets.c.prompt_set == prompt_set)
        with self._database.reading() as connection:
            # Compared first without the writer's lock: files are read often and change rarely.
            if connection.scalar(last) == digest and not _changes(
                connection.execute(known).all(), wanted, now
            ):
                return
        with self._database.writing() as connection:
            rows = connection.execute(known).all()
            present = {row.partition for row in rows}
            new, changed = list[dict[str, Any]](), defaultdict[tuple[str, ...], list[dict[str, Any]]](list)
            changes = _changes(rows, wanted, now)
            for key, values in changes.items():
                if key in present:
                    row = {"of_set": prompt_set, "of_partition": key, **values}
                    changed[tuple(values)].append(row)
                else:
                    new.append({"prompt_set": prompt_set, "partition": key, **values})
            if new:
                connection.execute(partitions.insert(), new)
            for alike in changed.values():
                connection.execute(UPDATE_PARTITION, alike)
            note_partitions(connection, prompt_set, changes)
            connection.execute(prompt_sets.delete().where(prompt_sets.c.prompt_set == prompt_set))
            if digest is not None:
                connection.execute(prompt_sets.insert().values(prompt_set=prompt_set, digest=digest))

    def requests(self, prompt_set: str) -> dict[str, PartitionRequest]:
        """Return what the partitions of a set ask for, by key, without those that were removed."""
        query = select_partitions(prompt_set).where(partitions.c.removed_at.is_(None))
        with self._database.reading() as connection:
            return {
                row.partition: PartitionRequest(
                    row.fingerprint, row.take, row.scope, row.tags, row.is_draft, row.rights or {}
                )
                for row in connection.execute(query)
            }

    def known(self, prompt_set: str) -> set[str]:
        """Return the partitions of a set that ever had a prompt, as far as files were read."""
        query = sa.select(partitions.c.partition).where(partitions.c.prompt_set == prompt_set)
        with self._database.reading() as connection:
            return set(connection.scalars(query))

    def drafts(self, prompt_set: str) -> set[str]:
        """Return the partitions of a set that are drafts."""
        query = sa.select(partitions.c.partition).where(
            partitions.c.prompt_set == prompt_set, partitions.c.is_draft
        )
        with self._database.reading() as connection:
            return set(connection.scalars(query))

    def removed(self, prompt_set: str) -> set[str]:
        """Return the partitions of a set whose prompts left its file."""
        query = sa.select(partitions.c.partition).where(
            partitions.c.prompt_set == prompt_set, partitions.c.removed_at.is_not(None)
        )
        with self._database.reading() as connection:
            return set(connection.scalars(query))

    def links_of(self, order_ids: Iterable[int]) -> dict[int, list[Link]]:
        """Return the links of orders to partitions, by order id."""
        by_order: defaultdict[int, list[Link]] = defaultdict(list)
        query = sa.select(links.c.prompt_set, links.c.partition, links.c.order_id, links.c.reported)
        query = query.order_by(links.c.prompt_set, links.c.partition)
        with self._database.reading() as connection:
            for chunk in chunked(order_ids):
                for row in connection.execute(query.where(links.c.order_id.in_(chunk))):
                    by_order[row.order_id].append(Link(*row))
        return dict(by_order)

    def removed_lately(self, prompt_set: str, span: timedelta) -> set[str]:
        """Return the partitions of a set that left its file less than a span of time ago."""
        query = sa.select(partitions.c.partition).where(
            partitions.c.prompt_set == prompt_set, partitions.c.removed_at > self._clock() - span
        )
        with self._database.reading() as connection:
            return set(connection.scalars(query))

    def link(self, prompt_set: str, order_ids: Mapping[str, int]) -> None:
        """Link orders to partitions of a set, by key."""
        wanted = [Link(prompt_set, partition, order_id) for partition, order_id in order_ids.items()]
        with self._database.writing() as connection:
            link_orders(connection, wanted, at=self._clock())

    def postpone(self, prompt_set: str, keys: Iterable[str]) -> None:
        """Remember that partitions were requested and that a budget has no room for them now."""
        with self._database.writing() as connection:
            _set_postponed(connection, prompt_set, keys, self._clock())

    def postponed(self, prompt_set: str) -> set[str]:
        """Return the postponed partitions of a set."""
        query = sa.select(partitions.c.partition).where(
            partitions.c.prompt_set == prompt_set, partitions.c.postponed_at.is_not(None)
        )
        with self._database.reading() as connection:
            return set(connection.scalars(query))

    def sets_with_postponed(self, *, before: datetime) -> set[str]:
        """Return the sets that have partitions which were last postponed before a time."""
        query = sa.select(partitions.c.prompt_set).where(partitions.c.postponed_at < before)
        with self._database.reading() as connection:
            return set(connection.scalars(query))

    def sets(self) -> set[str]:
        """Return the names of the sets whose partitions have orders."""
        with self._database.reading() as connection:
            return set(connection.scalars(sa.select(links.c.prompt_set).distinct()))

    def sets_read(self) -> set[str]:
        """Return the names of the sets whose prompts were ever read."""
        with self._database.reading() as connection:
            return set(connection.scalars(sa.select(partitions.c.prompt_set).distinct()))

    def with_orders(self, prompt_set: str, keys: Collection[str]) -> set[str]:
        """Return those of some partitions that ever had an order."""
        with_order = set[str]()
        with self._database.reading() as connection:
            for chunk in chunked(keys):
                query = sa.select(links.c.partition).where(
                    links.c.prompt_set == prompt_set, links.c.partition.in_(chunk)
                )
                with_order.update(connection.scalars(query))
        return with_order


def select_partitions(prompt_set: str) -> sa.Select[Any]:
    """Select the partitions of a set."""
    return sa.select(partitions).where(partitions.c.prompt_set == prompt_set)


_ASKED = [
    partitions.c[name]
    for name in ("fingerprint", "take", "scope", "tags", "is_draft", "rights", "removed_at")
]


def _changes(
    rows: Iterable[sa.Row[Any]], wanted: Mapping[str, DeclaredTake], now: datetime
) -> dict[str, dict[str, Any]]:
    """Return the columns to write, by partition."""
    known = {row.partition: row for row in rows}
    changes: dict[str, dict[str, Any]] = {
        key: {"removed_at": now, "postponed_at": None}
        for key, row in known.items()
        if key not in wanted and row.removed_at is None
    }
    for key, request in wanted.items():
        row = known.get(key)
        rights = {name: dict(terms) for name, terms in request.rights.items()} or None
        values = (
            request.fingerprint,
            request.take,
            request.scope,
            dict(request.tags),
            request.is_draft,
            rights,
            None,
        )
        if row is None or tuple(row)[1:] != values:
            # Nobody has requested the edited prompt yet, so it is not postponed.
            edited = row is not None and row.fingerprint != request.fingerprint
            columns = (column.name for column in _ASKED)
            changes[key] = dict(zip(columns, values, strict=True)) | (
                {"postponed_at": None} if edited else {}
            )
    return changes
