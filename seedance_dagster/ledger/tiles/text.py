"""Searches for words in the texts of a partition, as conditions in SQL."""

from __future__ import annotations

import json

import sqlalchemy as sa

from seedance_dagster.ledger.tables.schema import links, orders, partitions, verdicts
from seedance_dagster.ledger.tables.scores import scores

CAPTION = "caption"
"""The name of a score whose value describes a video in words."""

OF_VIDEO = (
    verdicts.c.prompt_set == links.c.prompt_set,
    verdicts.c.partition == links.c.partition,
    verdicts.c.sha256 == orders.c.sha256,
)
"""The conditions of verdicts on the video of a link's order, as its partition shows it."""


def words_of(text: str) -> list[str]:
    """Return the words that must all occur; text in double quotes counts as one word.

    Example:
        >>> words_of('cat "slow pan" rain')
        ['cat', 'slow pan', 'rain']
    """
    pieces = text.split('"')
    groups = [[piece] if number % 2 else piece.split() for number, piece in enumerate(pieces)]
    return [word for words in groups for word in words if word.strip()]


def mentions(text: str) -> sa.ColumnElement[bool]:
    """Select orders by words in prompt, partition, tags, notes or caption; for a query on all of them."""
    return sa.and_(sa.true(), *map(_is_mentioned, words_of(text)))


def names(text: str) -> sa.ColumnElement[bool]:
    """Select partitions without an order by words in their name or tags; for a query on `partitions`."""
    return sa.and_(
        sa.true(), *(sa.or_(_has(partitions.c.partition, word), _tagged(word)) for word in words_of(text))
    )


def _is_mentioned(word: str) -> sa.ColumnElement[bool]:
    noted = sa.exists().where(*OF_VIDEO, _has(verdicts.c.note, word))
    captioned = sa.exists().where(
        scores.c.sha256 == orders.c.sha256, _has(scores.c.measured[CAPTION].as_string(), word)
    )
    return sa.or_(
        _has(orders.c.request["prompt"].as_string(), word),
        _has(links.c.partition, word),
        _tagged(word),
        noted.correlate(links, orders),
        captioned.correlate(orders),
    )


def _tagged(word: str) -> sa.ColumnElement[bool]:
    escaped = json.dumps(word)[1:-1]  # as the column of tags holds it
    return _has(sa.cast(partitions.c.tags, sa.Text), escaped)


def _has(column: sa.ColumnElement[str], word: str) -> sa.ColumnElement[bool]:
    return column.icontains(word, autoescape=True)
