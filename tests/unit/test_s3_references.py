"""References in S3: read by runs that order, remembered for everybody else, and identified by content."""

from __future__ import annotations

import hashlib

import pytest
from factories import ORDER_REQUEST
from own_files_support import CAT, Team
from reference_host import sample

from seedance_dagster.engine.ordering.preflight import preflight
from seedance_dagster.engine.ordering.quote import quote
from seedance_dagster.engine.reference_contents import read_contents, with_known_contents
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.orders import OrderRequest

HASH = hashlib.sha256(CAT).hexdigest()
OTHER = sample("dog.png")
CAT_IN_S3 = "s3://assets/cat.png"


@pytest.fixture
def team(tmp_path, engine) -> Team:
    """An engine that orders prompts which refer to an object in S3."""
    team = Team(tmp_path, engine)
    team.s3.objects["assets", "cat.png"] = CAT
    return team


def fingerprints(team: Team, address: str, *, read: bool) -> tuple[str, str]:
    """Return the fingerprint of a prompt as its file is loaded, and as the ledger or a run knows it."""
    prompt_set, services = team.load(address), team.engine.services
    known = (
        read_contents(services, prompt_set, prompt_set.partitions)
        if read
        else with_known_contents(services.ledger, prompt_set)
    )
    return prompt_set.partitions["cat"].fingerprint, known.partitions["cat"].fingerprint


def test_an_object_is_ordered_by_its_content(team):
    """The request has its hash and address, and the vendor gets an upload of it."""
    placed = team.order(CAT_IN_S3)
    assert placed.request["image_urls"] == [f"{CAT_IN_S3}#sha256={HASH}"]
    sent = team.send()
    assert sent.state is State.SUBMITTED
    assert (sent.reference_facts[0]["url"], sent.reference_facts[0]["sha256"]) == (CAT_IN_S3, HASH)
    assert team.sent_links()[0].startswith("http://127.0.0.1/uploads/")


def test_moving_an_object_changes_nothing_and_editing_it_does(team):
    """Its content is its identity, in S3 and on disk alike; what is ordered for one answers the other."""
    first = team.order(CAT_IN_S3)
    team.s3.objects["archive", "2026/pets.png"] = team.s3.objects.pop(("assets", "cat.png"))
    for same in ("s3://archive/2026/pets.png", "cat.png"):
        assert team.order(same).order_id == first.order_id
    team.s3.objects["archive", "2026/pets.png"] = OTHER
    assert team.order("s3://archive/2026/pets.png").fingerprint != first.fingerprint


def test_everybody_else_knows_it_from_the_ledger(team):
    """Before a run has read it, the address is the identity; then ticks and plans have it without S3."""
    loaded, known = fingerprints(team, CAT_IN_S3, read=False)
    assert known == loaded
    _, read = fingerprints(team, CAT_IN_S3, read=True)
    assert read != loaded
    team.s3.objects.clear()
    assert fingerprints(team, CAT_IN_S3, read=False)[1] == read


def test_an_object_is_read_once_for_each_of_its_states(team):
    """The ETag tells whether it changed."""
    for _ in range(3):
        fingerprints(team, CAT_IN_S3, read=True)
    assert team.s3.reads == ["cat.png"]
    team.s3.objects["assets", "cat.png"] = OTHER
    fingerprints(team, CAT_IN_S3, read=True)
    assert team.s3.reads == ["cat.png"] * 2


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        ("AccessDenied", "may not be read with these AWS credentials: allow them s3:GetObject on it"),
        ("NoSuchBucket", "cannot be read: there is no bucket 'assets'"),
        ("NoSuchKey", "does not exist"),
        ("SlowDown", "cannot be read: S3 answers SlowDown"),
        (b"", "is empty (0 bytes)"),
        (bytes(11 * 1024**2), "has 11.0 MB; at most 10 MB can be uploaded"),
        (b"<html>", "is a web page; allowed: jpg"),
    ],
)
def test_an_object_that_cannot_be_used_makes_its_prompt_invalid(team, stored, reason):
    """The reason names field and number; nothing is copied, uploaded or ordered."""
    team.s3.objects["assets", "cat.png"] = stored
    checked = team.check(CAT_IN_S3)
    assert checked.invalid["cat"].startswith("image_urls number 1 ")
    assert reason in checked.invalid["cat"]
    assert (team.uploads(), [key for key in team.store.objects if ".references" in key]) == (0, [])


def test_a_stored_video_is_reused_while_s3_is_down(team):
    """An earlier order answers its prompt although its object cannot be read now."""
    first = team.order(CAT_IN_S3)
    team.s3.objects["assets", "cat.png"] = "ServiceUnavailable"
    assert team.order(CAT_IN_S3).order_id == first.order_id
    assert "ServiceUnavailable" in team.check(CAT_IN_S3, text="another cat").invalid["cat"]


def test_an_object_that_changes_while_it_is_ordered_is_not_ordered(team):
    """The hash that was read is what is paid for."""
    services, prompt_set = team.engine.services, team.load(CAT_IN_S3)
    read = read_contents(services, prompt_set, prompt_set.partitions)
    team.s3.objects["assets", "cat.png"] = OTHER
    quotes = quote(services, list(read.partitions.values()), ORDER_REQUEST, prompt_set="spots")
    assert preflight(services, quotes).invalid["cat"].endswith("was changed just now: launch the run again")


def test_only_the_objects_of_the_runs_own_prompts_are_read(team):
    """A run of one prompt does not read the objects of a thousand others."""
    prompt_set = team.load(CAT_IN_S3)
    read_contents(team.engine.services, prompt_set, ["some other prompt"])
    assert team.s3.reads == []


def test_a_queued_order_is_sent_with_what_it_was_placed_for(team):
    """An object that is edited after its order is another request; the order keeps its own content."""
    first = team.order(CAT_IN_S3, request=OrderRequest(idempotency_key="first", run_id="r"))
    team.s3.objects["assets", "cat.png"] = OTHER
    team.engine.submit()
    task = next(iter(team.engine.vendor.tasks.values()))
    name = task.request["input"]["image_urls"][0].rpartition("/")[2]
    uploads = team.engine.app.state.emulator.uploads
    assert uploads.content(uploads.find(name, team.engine.clock(), 60)) == CAT
    assert team.orders()[0].order_id == first.order_id
