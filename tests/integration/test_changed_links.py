"""Files behind links that change after their video was made, over real HTTP."""

from __future__ import annotations

import pytest
from order_factory import OrderFactory
from preflight_support import REQUEST, Looking, quoted
from reference_host import sample

from seedance_dagster.engine.ordering.changed_links import look_again
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import Outcome

pytestmark = pytest.mark.integration


def make(look: Looking, lists: dict[str, list[str]], state: State) -> None:
    """Order a prompt with these references, after its preflight, and take the order to a state."""
    assert look(lists).invalid == {}
    ledger = look.services.ledger
    [(order, _)] = ledger.orders.place([quote.order for quote in quoted(look.services, lists)], REQUEST)
    OrderFactory(ledger, look.services.clock).advance(order, state)


def outcome(look: Looking, lists: dict[str, list[str]]) -> tuple[bool, Outcome]:
    """Request the prompt again; return True if its file was read again, and the outcome of the request."""
    read = look_again(look.services, quoted(look.services, lists))
    [answer] = quoted(look.services, lists)
    return read, answer.outcome


def test_another_file_behind_the_same_link_is_another_request(references, look):
    """A video is reused while its file is the same; a changed file is ordered, a restored one reused."""
    link = {"image_urls": [references.put("/cat.png", sample("cat.png"), headers={"ETag": '"1"'})]}
    make(look, link, State.STORED)
    assert outcome(look, link) == (False, Outcome.REUSED)
    references.put("/cat.png", sample("dog.png"), headers={"ETag": '"2"'})
    assert outcome(look, link) == (True, Outcome.ORDERED)
    references.put("/cat.png", sample("cat.png"), headers={"ETag": '"3"'})
    look(link)
    assert outcome(look, link) == (False, Outcome.REUSED)


def test_the_same_file_with_a_new_validator_is_the_same_request(references, look):
    """A host that was moved sends other headers, but equal bytes are the same request."""
    link = {"image_urls": [references.put("/moved.png", sample("cat.png"), headers={"ETag": '"1"'})]}
    make(look, link, State.STORED)
    references.put("/moved.png", sample("cat.png"), headers={"ETag": '"2"'})
    assert outcome(look, link) == (True, Outcome.REUSED)


def test_a_file_that_differs_at_each_look_is_the_same_request(references, look, clock):
    """A host that writes a date into each answer does not make its prompts cost money in each run."""
    link = {"image_urls": [references.put("/dated.png", sample("cat.png"), unique=True)]}
    make(look, link, State.STORED)
    for _ in range(3):
        clock.forward(hours=1)
        assert outcome(look, link) == (True, Outcome.REUSED)
        assert look(link).invalid == {}


@pytest.mark.parametrize("status", [404, 403, 500])
def test_a_link_that_is_dead_by_now_says_nothing(references, look, status):
    """Links expire; the video that was made of one still answers its request."""
    link = {"image_urls": [references.put("/gone.png", sample("cat.png"), headers={"ETag": '"1"'})]}
    make(look, link, State.STORED)
    references.put("/gone.png", status=status)
    assert outcome(look, link) == (False, Outcome.REUSED)


def test_an_open_order_is_joined_and_its_links_are_not_asked(references, look):
    """A task at the vendor is not paid for again, whatever its files are now."""
    link = {"image_urls": [references.put("/open.png", sample("cat.png"), headers={"ETag": '"1"'})]}
    make(look, link, State.SUBMITTED)
    references.put("/open.png", sample("dog.png"), headers={"ETag": '"2"'})
    references.gets()
    assert outcome(look, link) == (False, Outcome.JOINED)
    assert references.asked == []
