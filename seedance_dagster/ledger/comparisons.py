"""Comparisons: people's preferences between videos of two variants, in an append-only table."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.comparison import ComparedVideo, Comparison, Preference, Question, Side
from seedance_dagster.ledger.errors import VerdictError
from seedance_dagster.ledger.moved import check_not_moved
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.ledger.tables.comparisons import comparisons
from seedance_dagster.ledger.tables.schema import orders, to_order
from seedance_dagster.ledger.videos import current_videos


class Comparisons(LedgerPart):
    """The part of the ledger that knows which variants people prefer.

    An answer belongs to the bytes of both videos, and stays when a partition shows another video.
    """

    def videos(self, prompt_set: str) -> list[ComparedVideo]:
        """Return the video that each partition of a set shows, sorted by their first orders."""
        current = current_videos(prompt_set)
        columns = (orders.c.take, orders.c.request, orders.c.tags, orders.c.sha256)
        query = (
            sa.select(current.c.label, current.c.label_tags, *columns)
            .join(current, current.c.order_id == orders.c.order_id)
            .order_by(current.c.first_order_id, current.c.label)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [
            ComparedVideo(
                partition=row.label,
                take=row.take,
                request=row.request,
                tags=row.tags if row.label_tags is None else row.label_tags,
                sha256=row.sha256,
            )
            for row in rows
        ]

    def video(self, sha256: str) -> Order | None:
        """Return an order whose stored video has these bytes; None where there is none."""
        query = sa.select(orders).where(orders.c.sha256 == sha256, orders.c.state == State.STORED).limit(1)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else to_order(row)

    def add(
        self,
        prompt_set: str,
        name: str,
        left: Side,
        right: Side,
        preference: Preference,
        *,
        reviewer: str,
    ) -> None:
        """Record an answer.

        Args:
            name: The field or tag in which the two differ.
            left: The video on the left.
            right: The video on the right.
            preference: The reviewer's answer.
            reviewer: The person who answers.

        Raises:
            VerdictError: The ledger was moved.
        """
        row = _columns(left, right) | {"prompt_set": prompt_set, "name": name, "reviewer": reviewer}
        with self._database.writing() as connection:
            check_not_moved(connection)
            values = row | {"preference": preference, "compared_at": self._clock()}
            connection.execute(comparisons.insert().values(values))

    def undo(self, prompt_set: str, question: Question, *, reviewer: str) -> Comparison:
        """Take back a reviewer's last answer to a question, and return it.

        Raises:
            VerdictError: No answer is left, or the ledger was moved; nothing was taken back.
        """
        with self._database.writing() as connection:
            check_not_moved(connection)
            own = [row for row in _not_undone(connection, prompt_set, question) if row.reviewer == reviewer]
            if not own:
                raise VerdictError(f"{prompt_set}: no answer of {reviewer} is left to take back")
            last = own[-1]
            row = _columns(last.left, last.right) | {"undoes": last.comparison_id}
            origin = {"prompt_set": prompt_set, "name": last.name, "reviewer": reviewer}
            connection.execute(comparisons.insert().values(row | origin | {"compared_at": self._clock()}))
        return last

    def answers(self, prompt_set: str, question: Question) -> list[Comparison]:
        """Return the answers to a question that were not taken back, the oldest first."""
        with self._database.reading() as connection:
            return _not_undone(connection, prompt_set, question)


def _not_undone(connection: sa.Connection, prompt_set: str, question: Question) -> list[Comparison]:
    values = (question.first, question.second)
    query = sa.select(comparisons).where(
        comparisons.c.prompt_set == prompt_set,
        comparisons.c.name == question.name,
        comparisons.c.left_value.in_(values),
        comparisons.c.right_value.in_(values),
    )
    valid: dict[int, Comparison] = {}
    for row in connection.execute(query.order_by(comparisons.c.comparison_id)):
        if row.undoes is None:
            valid[row.comparison_id] = _to_comparison(row)
        else:
            valid.pop(row.undoes, None)
    return list(valid.values())


def _columns(left: Side, right: Side) -> dict[str, Any]:
    return {
        "left_value": left.value,
        "left_sha256": left.sha256,
        "right_value": right.value,
        "right_sha256": right.sha256,
    }


def _to_comparison(row: sa.Row[Any]) -> Comparison:
    return Comparison(
        comparison_id=row.comparison_id,
        prompt_set=row.prompt_set,
        name=row.name,
        left=Side(row.left_value, row.left_sha256),
        right=Side(row.right_value, row.right_sha256),
        preference=row.preference,
        reviewer=row.reviewer,
        compared_at=row.compared_at,
    )
