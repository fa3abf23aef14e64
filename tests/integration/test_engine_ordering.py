"""Ordering over real HTTP: stored videos are reused, and nothing is queued in vain."""

from __future__ import annotations

import pytest
import stamina
from factories import make_prompt_set
from file_host import running_file_host
from harness import API_KEY
from pydantic import SecretStr
from stores import open_store

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.engine.ordering.quote import OrderingError, quote
from seedance_dagster.ledger.orders import OrderRequest, Outcome

pytestmark = pytest.mark.integration

REQUEST = OrderRequest(idempotency_key="c", run_id="r")


def test_requesting_again_costs_nothing(start_engine):
    """A stored video is reused under the same key, even with `regenerate`; another key pays again."""
    with start_engine() as engine:
        engine.run(engine.place("a cat", idempotency_key="one", regenerate=True))
        assert [placement.outcome for placement in engine.place("a cat", idempotency_key="two")] == [
            Outcome.REUSED
        ]
        again = engine.place("a cat", idempotency_key="one", regenerate=True)
        assert [placement.outcome for placement in again] == [Outcome.REUSED]
        engine.assert_paid_once(1)
        more = engine.place("a cat", idempotency_key="three", regenerate=True)
        assert [placement.outcome for placement in more] == [Outcome.ORDERED]
        engine.run(more)
        assert engine.books()["prompts"]["a cat"]["tasks"] == 2
        assert engine.services.ledger.queries.latest("spots")["p0"].attempt == 2


def test_nothing_is_ordered_that_could_not_be_stored(start_engine, s3_server):
    """A bucket that is missing or not configured is named before anything is queued."""
    with start_engine() as engine:
        for bucket, words in (("", "SEEDANCE_S3_BUCKET"), ("no-such-bucket", "does not exist")):
            object.__setattr__(engine.services, "store", open_store(s3_server, bucket, "x"))
            with pytest.raises(OrderingError, match=words):
                engine.place("a cat")
        assert engine.services.ledger.queries.find() == []
        assert engine.books()["summary"]["tasks"] == 0


def test_a_wrong_key_is_refused_before_anything_is_queued(start_engine):
    """With a key that the vendor refuses nothing is ordered."""
    with start_engine(api_key="another") as engine:
        with pytest.raises(OrderingError, match="GOAPI_API_KEY"):
            engine.place("a cat")
        assert engine.services.ledger.queries.find() == []


def test_a_wrong_address_is_found_before_anything_is_queued(start_engine):
    """With a superfluous path in the address nothing is ordered, and the message names the setting."""
    with start_engine() as engine:
        client = SeedanceClient(api_key=SecretStr(API_KEY), base_url=f"{engine.emulator.url}/v2")
        object.__setattr__(engine.services, "open_client", lambda: client)
        with pytest.raises(OrderingError, match="GOAPI_BASE_URL"):
            engine.place("a cat")
        assert engine.services.ledger.queries.find() == []


def test_a_website_is_not_taken_for_the_api(start_engine, monkeypatch):
    """A site that answers every GET with a page is found before a POST to it leaves orders uncertain."""
    with start_engine() as engine, running_file_host() as website:
        monkeypatch.setitem(website.answers, "/account/info", website.answers["/page"])
        client = SeedanceClient(api_key=SecretStr(API_KEY), base_url=website.url)
        object.__setattr__(engine.services, "open_client", lambda: client)
        with stamina.set_testing(True), pytest.raises(OrderingError, match=r"a web page .*GOAPI_BASE_URL"):
            engine.place("a cat")
        assert engine.services.ledger.queries.find() == []


def test_a_quote_sends_nothing(start_engine):
    """A quote names price and outcome and leaves no trace."""
    with start_engine() as engine:
        partitions = list(make_prompt_set("a cat", "a dog").partitions.values())
        [cat, dog] = quote(engine.services, partitions, REQUEST, prompt_set="spots")
        assert (cat.outcome, dog.outcome) == (Outcome.ORDERED, Outcome.ORDERED)
        assert cat.estimate.points > 0
        assert engine.services.ledger.queries.find() == []
        with pytest.raises(OrderingError, match="the first 1 would fit"):
            engine.place("a cat", "a dog", max_points=cat.estimate.points)
