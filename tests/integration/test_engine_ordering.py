"""What the engine accepts over real HTTP: what is stored is reused, and nothing is queued in vain."""

from __future__ import annotations

import pytest
from conftest import open_store, prompt_set
from engine_support import assert_paid_once

from seedance_dagster.engine.events import Outcome
from seedance_dagster.engine.ordering.quote import OrderingError, quote
from seedance_dagster.ledger.orders import OrderRequest

pytestmark = pytest.mark.integration

REQUEST = OrderRequest(idempotency_key="c", run_id="r")


def test_asking_again_costs_nothing(plant):
    """What is stored is reused, by the same cause even when told to regenerate; another cause pays again."""
    with plant() as it:
        it.run(it.accept("a cat", idempotency_key="one", regenerate=True))
        assert [each.outcome for each in it.accept("a cat", idempotency_key="two")] == [Outcome.REUSED]
        again = it.accept("a cat", idempotency_key="one", regenerate=True)
        assert [each.outcome for each in again] == [Outcome.REUSED]
        assert_paid_once(it, 1)
        more = it.accept("a cat", idempotency_key="three", regenerate=True)
        assert [each.outcome for each in more] == [Outcome.ORDERED]
        it.run(more)
        assert it.books()["prompts"]["a cat"]["tasks"] == 2
        assert it.services.ledger.queries.latest("spots")["p0"].attempt == 2


def test_nothing_is_accepted_that_could_not_be_stored(plant, s3_server):
    """A missing bucket, no bucket, a wrong key: refused in words before anything is queued."""
    with plant() as it:
        for bucket, words in (("", "SEEDANCE_S3_BUCKET"), ("no-such-bucket", "does not exist")):
            object.__setattr__(it.services, "store", open_store(s3_server, bucket, "x"))
            with pytest.raises(OrderingError, match=words):
                it.accept("a cat")
        assert it.services.ledger.queries.find() == []
        assert it.books()["summary"]["tasks"] == 0


def test_a_wrong_key_is_refused_before_anything_is_queued(plant):
    """A key that the vendor refuses costs no order."""
    with plant(api_key="another") as it:
        with pytest.raises(OrderingError, match="GOAPI_API_KEY"):
            it.accept("a cat")
        assert it.services.ledger.queries.find() == []


def test_a_quote_sends_nothing(plant):
    """A quote names price and outcome and leaves no trace."""
    with plant() as it:
        partitions = list(prompt_set("a cat", "a dog").partitions.values())
        [cat, dog] = quote(it.services, partitions, REQUEST, prompt_set="spots")
        assert (cat.outcome, dog.outcome) == (Outcome.ORDERED, Outcome.ORDERED)
        assert cat.estimate.points > 0
        assert it.services.ledger.queries.find() == []
        with pytest.raises(OrderingError, match="the first 1 would fit"):
            it.accept("a cat", "a dog", max_points=cat.estimate.points)
