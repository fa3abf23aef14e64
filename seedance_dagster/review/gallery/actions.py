"""Verdicts that a page sends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from seedance_dagster.ledger.errors import VerdictError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.tiles.tiles import Tile
from seedance_dagster.ledger.verdict import GivenVerdict, Judgement, Verdict
from seedance_dagster.review.gallery.posts import ReviewerName, read_message
from seedance_dagster.review.sheets import MAX_NOTE

_VERDICTS = {"accept": Verdict.ACCEPTED, "discard": Verdict.DISCARDED}


class Action(BaseModel):
    """One decision of a reviewer.

    Attributes:
        action: `choose` accepts one take and discards the prompt's other ones.
        seen: The SHA-256 of each video that the page showed, by partition; `choose` accepts the first one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Literal["accept", "discard", "undo", "note", "choose"]
    prompt_set: str = Field(min_length=1, max_length=500)
    seen: dict[str, str] = Field(min_length=1, max_length=50)
    reviewer: ReviewerName
    note: str = Field(default="", max_length=MAX_NOTE)


def read_action(body: bytes) -> Action:
    """Read an action; raise `VerdictError` if it is not valid."""
    return read_message(Action, body)


def act(ledger: Ledger, action: Action) -> dict[str, Any]:
    """Record an action; return the verdicts that hold now, and a sentence on another reviewer's verdict.

    Raises:
        VerdictError: It cannot be recorded, such as on a video that was replaced meanwhile.
    """
    partitions = list(action.seen)
    before = {tile.partition: tile for tile in ledger.tiles.of_partitions(action.prompt_set, partitions)}
    if action.action == "undo":
        _check_seen(action, before)
        recorded = ledger.verdicts.undo(action.prompt_set, partitions, reviewer=action.reviewer)
    else:
        judgements = _judgements(action, before)
        recorded = ledger.verdicts.give(action.prompt_set, judgements, reviewer=action.reviewer)
    return {
        "verdicts": {row.partition: {"verdict": row.verdict, "note": row.note} for row in recorded},
        "others": _others(recorded, before, action.reviewer),
    }


def _judgements(action: Action, before: dict[str, Tile]) -> dict[str, Judgement]:
    first, *rest = action.seen
    if action.action == "choose":
        others = [key for key in rest if key in before and _is_stored(before[key])]
        chosen = {first: Judgement(Verdict.ACCEPTED, action.note, action.seen[first])}
        return chosen | {key: Judgement(Verdict.DISCARDED, "", action.seen[key]) for key in others}
    if action.action == "note":
        known = before[first].verdict if first in before else None
        verdict = known.verdict if known else Verdict.UNDECIDED
        return {first: Judgement(verdict, action.note, action.seen[first])}
    verdict = _VERDICTS[action.action]
    return {key: Judgement(verdict, action.note, sha256) for key, sha256 in action.seen.items()}


def _check_seen(action: Action, before: dict[str, Tile]) -> None:
    for key, sha256 in action.seen.items():
        order = before[key].order if key in before else None
        if order is not None and _is_stored(before[key]) and order.sha256 != sha256:
            raise VerdictError(f"{key} shows another video now: look at the new one. Nothing was changed")


def _is_stored(tile: Tile) -> bool:
    return tile.order is not None and tile.order.state is State.STORED


def _others(recorded: Sequence[GivenVerdict], before: dict[str, Tile], reviewer: str) -> str:
    """Return a sentence on the earlier verdict of another reviewer; empty if there is none."""
    for row in recorded:
        known = before[row.partition].verdict if row.partition in before else None
        if known is not None and known.reviewer != reviewer and known.verdict is not row.verdict:
            at = f"{known.given_at:%H:%M} UTC"
            return f"{known.reviewer} had said {known.verdict} at {at}; both verdicts are kept"
    return ""
