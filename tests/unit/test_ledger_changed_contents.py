"""Files that change behind a link: an equal request is answered only by an order of the same content."""

from __future__ import annotations

import pytest
from factories import make_new_order

from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest, Outcome

LINK = {"image_urls": ["https://cdn.example.com/cat.png"]}


def facts(*hashes: str | None) -> list[dict[str, object]]:
    """Return the facts about images with these contents."""
    return [
        {"kind": "image", "position": position, "sha256": sha256} for position, sha256 in enumerate(hashes, 1)
    ]


@pytest.fixture
def asked(ledger, orders):
    """Orders a request, takes it to a state, and requests it again with the facts of its references."""

    def ask(state: State, before: list | None, now: list | None, **details) -> Outcome:
        orders.make(state, "cat", reference_facts=before, **details)
        new = make_new_order("cat", reference_facts=now)
        request = OrderRequest(idempotency_key="later", run_id="r")
        [quoted] = ledger.orders.existing_orders([new], request)
        [(_, outcome)] = ledger.orders.place([new], request)
        assert (Outcome.ORDERED if quoted is None else quoted[1]) is outcome
        return outcome

    return ask


@pytest.mark.parametrize(
    ("before", "now", "outcome"),
    [
        (facts("a"), facts("a"), Outcome.REUSED),
        (facts("a"), facts("b"), Outcome.ORDERED),
        (facts("a", "c"), facts("a", "d"), Outcome.ORDERED),
        (facts("a"), None, Outcome.REUSED),
        (None, facts("b"), Outcome.REUSED),
        (facts(None), facts("b"), Outcome.REUSED),
        (facts("a"), facts(None), Outcome.REUSED),
    ],
)
def test_a_stored_video_answers_where_its_files_are_not_known_to_differ(asked, before, now, outcome):
    """A file with known other content is another request; an unknown content never costs money."""
    assert asked(State.STORED, before, now) is outcome


@pytest.mark.parametrize("state", [State.QUEUED, State.CLAIMED, State.UNCERTAIN, State.SUBMITTED])
def test_an_open_order_is_always_joined(asked, state):
    """Nothing that may be paid for already is ordered a second time, whatever its files are now."""
    assert asked(state, facts("a"), facts("b")) is Outcome.JOINED


def test_a_rejected_request_may_be_ordered_with_another_file(asked):
    """A rejected request may be ordered with another file, since the rejection was of the old one."""
    assert asked(State.REJECTED, facts("a"), facts("b")) is Outcome.ORDERED


def test_a_file_that_changes_back_is_answered_by_its_first_video(ledger, orders, clock):
    """A file that changes back gets its first video, since each content keeps its own."""
    first = orders.make(State.STORED, "cat", reference_facts=facts("a"))
    orders.make(State.STORED, "cat", reference_facts=facts("b"))
    request = OrderRequest(idempotency_key="later", run_id="r")
    [answer] = ledger.orders.existing_orders([make_new_order("cat", reference_facts=facts("a"))], request)
    assert answer is not None
    assert (answer[0].order_id, answer[1]) == (first.order_id, Outcome.REUSED)
