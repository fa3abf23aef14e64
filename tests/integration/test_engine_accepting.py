"""What the engine accepts over real HTTP: what is stored is reused, and nothing is queued in vain."""

from __future__ import annotations

import pytest
from conftest import open_store, prompt_set
from engine_support import assert_paid_once

from seedance_dagster.generation.accept import AcceptError, AcceptOptions, quote
from seedance_dagster.generation.events import Outcome

pytestmark = pytest.mark.integration


def test_asking_again_costs_nothing(plant):
    """What is stored is reused, by the same cause even when told to regenerate; another cause pays again."""
    with plant() as it:
        it.run(it.accept("a cat", cause="one", regenerate=True))
        assert [each.outcome for each in it.accept("a cat", cause="two")] == [Outcome.REUSED]
        again = it.accept("a cat", cause="one", regenerate=True)
        assert [each.outcome for each in again] == [Outcome.REUSED]
        assert_paid_once(it, 1)
        more = it.accept("a cat", cause="three", regenerate=True)
        assert [each.outcome for each in more] == [Outcome.ACCEPTED]
        it.run(more)
        assert it.books()["prompts"]["a cat"]["accepted"] == 2
        assert it.services.ledger.latest("spots")["p0"].attempt == 2


def test_nothing_is_accepted_that_could_not_be_stored(plant, s3_server):
    """A missing bucket, no bucket, a wrong key: refused in words before anything is queued."""
    with plant() as it:
        for bucket, words in (("", "SEEDANCE_S3_BUCKET"), ("no-such-bucket", "does not exist")):
            object.__setattr__(it.services, "store", open_store(s3_server, bucket, "x"))
            with pytest.raises(AcceptError, match=words):
                it.accept("a cat")
        assert it.services.ledger.find() == []
        assert it.books()["summary"]["tasks"] == 0


def test_a_wrong_key_is_refused_before_anything_is_queued(plant):
    """A key that the vendor refuses costs no order."""
    with plant(api_key="another") as it:
        with pytest.raises(AcceptError, match="GOAPI_API_KEY"):
            it.accept("a cat")
        assert it.services.ledger.find() == []


def test_a_quote_sends_nothing(plant):
    """A quote names price and outcome and leaves no trace."""
    with plant() as it:
        partitions = list(prompt_set("a cat", "a dog").partitions.values())
        [cat, dog] = quote(it.services, partitions, prompt_set="spots")
        assert (cat.outcome, dog.outcome) == (Outcome.ACCEPTED, Outcome.ACCEPTED)
        assert cat.estimate.points > 0
        assert it.services.ledger.find() == []
        with pytest.raises(AcceptError, match="the first 1 would fit"):
            it.accept("a cat", "a dog", max_cost_points=cat.estimate.points)
        assert AcceptOptions().max_cost_points is None
