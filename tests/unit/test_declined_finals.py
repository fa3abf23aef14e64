"""Finals right before they are ordered: only those of accepted drafts, made with the same files."""

from __future__ import annotations

from dataclasses import replace

import pytest
from factories import REQUEST

from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.engine.ordering.finals import declined_finals, unasked_finals, with_accepted_finals
from seedance_dagster.engine.ordering.quote import Quote, quote
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.ledger.verdict import Judgement, Verdict
from seedance_dagster.prompts.models import Prompt, PromptSet

REQUESTS = {
    resolution: GenerationRequest.model_validate(REQUEST | {"resolution": resolution}, strict=False)
    for resolution in ("480p", "720p")
}
CAT = Prompt(id="cat", request=REQUESTS["480p"], final=REQUESTS["720p"], takes=2)
SPOTS = PromptSet("spots", (CAT,))
NOT_ACCEPTED = "its draft cat has no accepted video of what the prompt asks for now"


def facts(sha256: str) -> list[dict[str, object]]:
    """Return the facts of an image."""
    return [{"kind": "image", "position": 1, "sha256": sha256}]


@pytest.fixture
def draft(ledger, orders):
    """An accepted draft."""
    ledger.partitions.update("spots", SPOTS.partitions)
    partition = SPOTS.partitions["cat"]
    order = orders.make(
        State.STORED, "cat", fingerprint=partition.fingerprint, reference_facts=facts("a cat")
    )
    ledger.verdicts.give("spots", {"cat": Judgement(Verdict.ACCEPTED)}, reviewer="ann")
    return order


@pytest.fixture
def final(ledger, clock, draft) -> Quote:
    """The quote of its final."""
    services = Services(ledger=ledger, open_client=lambda: None, store=None, clock=clock)
    request = OrderRequest(idempotency_key="k", run_id="r")
    [quoted] = quote(services, [SPOTS.all_partitions["cat.final"]], request, prompt_set="spots")
    return replace(quoted, order=replace(quoted.order, reference_facts=facts("a cat")))


def test_a_final_of_an_accepted_draft_may_be_ordered(ledger, final):
    """A final of an accepted draft that its set asks for may be ordered."""
    assert list(with_accepted_finals(ledger, SPOTS).partitions) == ["cat", "cat.final", "cat.t2"]
    assert declined_finals(ledger, "spots", [final]) == {}


@pytest.mark.parametrize("verdict", [Verdict.DISCARDED, Verdict.UNDECIDED])
def test_another_verdict_declines_it(ledger, final, verdict):
    """A later verdict than the acceptance declines the final."""
    ledger.verdicts.give("spots", {"cat": Judgement(verdict)}, reviewer="bea")
    assert declined_finals(ledger, "spots", [final]) == {"cat.final": NOT_ACCEPTED}
    assert with_accepted_finals(ledger, SPOTS) is SPOTS


def test_a_reference_that_is_another_file_declines_it(ledger, final):
    """A changed reference file declines the final, since the accepted video was made with the old file."""
    changed = replace(final, order=replace(final.order, reference_facts=facts("a dog")))
    assert declined_finals(ledger, "spots", [changed]) == {
        "cat.final": "a reference of its draft cat is no longer the file of the accepted video"
    }


def test_a_draft_of_another_request_take_or_scope_is_not_it(ledger, draft):
    """A draft of another request, take or scope does not allow the final."""
    dog = CAT.request.model_copy(update={"prompt": "a dog"})
    for other in (replace(CAT, request=dog), replace(CAT, fresh=True)):
        assert with_accepted_finals(ledger, replace(SPOTS, prompts=(other,))).accepted == set()
    assert with_accepted_finals(ledger, SPOTS).accepted == {"cat"}  # and not its second take


def test_a_final_that_exists_is_not_declined(ledger, orders, final):
    """An existing final is joined or reused at no cost, whatever the draft's verdict."""
    ledger.verdicts.undo("spots", ["cat"], reviewer="ann")
    order = orders.make(State.STORED, "cat.final", fingerprint=final.partition.fingerprint)
    assert declined_finals(ledger, "spots", [replace(final, existing=order)]) == {}


def test_only_finals_are_named_as_such():
    """Only finals are named as declined finals, not partitions whose prompt is gone."""
    assert unasked_finals(SPOTS, ["cat.final", "cat", "dog.final"]) == {"cat.final": NOT_ACCEPTED}
