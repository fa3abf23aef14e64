"""Which state may follow which: the lifecycle's skeleton, enforced on every write."""

from __future__ import annotations

from seedance_dagster.ledger.order import State

TRANSITIONS: dict[State, frozenset[State]] = {
    # refused before the POST left (an invalid request never becomes valid)
    State.QUEUED: frozenset({State.CLAIMED, State.FAILED}),
    # refused by the POST: queued again or failed; reply lost: uncertain
    State.CLAIMED: frozenset({State.SUBMITTED, State.QUEUED, State.UNCERTAIN, State.FAILED}),
    # adopted from the vendor's history, or freed because no task was made
    State.UNCERTAIN: frozenset({State.SUBMITTED, State.QUEUED}),
    State.SUBMITTED: frozenset({State.SUCCEEDED, State.REJECTED, State.FAILED}),
    # a broken transfer stays succeeded
    State.SUCCEEDED: frozenset({State.STORED, State.SUCCEEDED}),
    # lost or damaged in S3: fetched again; mended beside the video (manifest, event): stays stored
    State.STORED: frozenset({State.SUCCEEDED, State.STORED}),
    State.REJECTED: frozenset(),
    State.FAILED: frozenset(),
}
"""Legal next states of each state."""
