"""Videos that are ordered in code, in an asset or a notebook, with the promises of a prompt set."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import dagster as dg
import pytest
from code_location import KEY_VARIABLE, QUIET, running_location

from seedance_dagster import SeedanceResource, Video
from seedance_dagster.ledger import reports
from seedance_dagster.ledger.order import State

pytestmark = [pytest.mark.integration, QUIET]

PAGE = (Path(__file__).parents[2] / "docs" / "in-code.md").read_text("utf-8")
REQUEST = {"prompt": "A lighthouse at dusk, slow aerial shot", "duration": 8}


@pytest.fixture(scope="module")
def location(s3_server, tmp_path_factory):
    """A code location whose only videos are ordered in code."""
    with running_location(tmp_path_factory.mktemp("code"), s3_server, {"one": "one"}) as location:
        yield location


@pytest.fixture(scope="module")
def seedance(location) -> SeedanceResource:
    """The API as a notebook makes it."""
    api = SeedanceResource(
        api_key=dg.EnvVar(KEY_VARIABLE), base_url=location.emulator.url, requests_per_second=1000
    )
    # Nothing but Dagster reads the variables of these, and a notebook is not a run.
    return api.using(location.resources["video_store"], location.resources["ledger"], location.instance)


@pytest.fixture(scope="module")
def video(location, seedance) -> Video:
    """A video that the asset of the page ordered through the resource of the code location."""
    [block] = [
        code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "def hero_shot(" in code
    ]
    namespace: dict[str, dg.AssetsDefinition] = {}
    exec(compile(block, "in-code.md", "exec", dont_inherit=True), namespace)
    defs = dg.Definitions.merge(location.defs, dg.Definitions(assets=[namespace["hero_shot"]]))
    job = defs.resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(instance=location.instance, asset_selection=[dg.AssetKey("hero_shot")])
    [event] = done.asset_materializations_for_node("hero_shot")
    video = seedance.generate(REQUEST, key="hero-shot")
    assert event.metadata["video"].value == video.uri
    assert event.metadata["usd"].value == video.cost_usd > 0
    return video


def test_the_same_key_is_the_same_video_unpaid(location, seedance, video):
    """The same key from elsewhere, blocking or awaited, gives the same video and sends nothing."""
    assert (video.prompt_set, video.partition, video.prompt) == ("in_code", "hero-shot", REQUEST["prompt"])
    assert len(video.read_bytes()) > 1000
    assert location.books()["posts"] == 1
    assert seedance.generate(REQUEST, key="hero-shot") == video

    async def notebook() -> tuple[Video, Video]:
        # A cell runs inside an event loop, in which the blocking call works as well.
        return await seedance.generate_async(REQUEST, key="hero-shot"), seedance.generate(
            REQUEST, key="hero-shot"
        )

    assert asyncio.run(notebook()) == (video, video)
    assert location.books()["posts"] == 1
    assert seedance.generate(REQUEST, key=7).partition == "7"
    # Another key for the same request shows the same bytes.
    assert seedance.generate(REQUEST, key="hero-again").sha256 == video.sha256
    assert location.books()["posts"] == 1


@pytest.mark.further
def test_a_call_that_was_interrupted_goes_on_waiting(location, seedance, video, monkeypatch):
    """A call after an interruption waits for the existing order, and makes no other."""
    monkeypatch.setattr("seedance_dagster.datasets.in_code.advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        seedance.generate(REQUEST, key="hero-shot", take=2)
    monkeypatch.undo()
    [order] = location.orders("hero-shot.t2", "in_code")
    assert order.state is State.QUEUED
    second = seedance.generate(REQUEST, key="hero-shot", take=2)
    assert second.partition == "hero-shot.t2"
    assert second.uri != video.uri
    assert len(location.orders("hero-shot.t2", "in_code")) == 1


async def interrupted(*_arguments, **_options) -> None:
    raise KeyboardInterrupt


def test_a_text_alone_is_not_a_request(seedance):
    """The message says what to give instead."""
    with pytest.raises(dg.Failure, match="request must be a dictionary of fields"):
        seedance.generate("a cat", key="x")


@pytest.mark.parametrize(
    ("request_", "options", "message"),
    [
        (
            {"duration": 99},
            {},
            "generate, request (x): duration is 99; allowed are whole seconds from 4 to 15",
        ),
        ({"promt": "a cat"}, {}, "generate, request (x): promt is not a field; fields are"),
        ({"id": "y"}, {}, "generate: id is not a field of a request: use the arguments key and take"),
        ({}, {"max_cost_usd": 0.1}, "does not fit the limit of this run of 0.10 USD"),
        ({}, {"max_cost_usd": -1}, "max_cost_usd: -1 is out of range"),
        ({"prompt": "b"}, {"key": "hero-shot"}, "stands for another request, made at"),
        ({}, {"key": "a b"}, "id is 'a b'"),
        ({}, {"prompt_set": "spots"}, "allowed is a name that no prompt file has"),
    ],
)
def test_a_bad_request_is_an_error_in_words(location, seedance, video, request_, options, message):
    """Nothing is ordered, and the message says what is allowed."""
    with pytest.raises(dg.Failure) as failed:
        seedance.generate({"prompt": "a cat", **request_}, **{"key": "x", **options})
    assert "nothing was ordered" in str(failed.value.description)
    assert message in str(failed.value.description)
    assert location.orders("x", "in_code") == []


@pytest.mark.further
def test_what_was_ordered_in_code_is_reported_to_dagster(location, video, monkeypatch):
    """The sensor's job reports it as the video of an asset of its own."""
    monkeypatch.setattr(reports, "_REPORT_GRACE", reports._REPORT_GRACE * 0)
    location.advance()
    assert location.newest("videos", "hero-shot", "in_code").metadata["dagster/uri"].value == video.uri


def test_a_rejected_request_says_so_and_is_not_sent_again(location, seedance):
    """The message gives the rejection, and a second call is not sent and costs no second penalty."""
    for _ in range(2):
        with pytest.raises(dg.Failure, match="rejected by moderation"):
            seedance.generate({"prompt": "a cat [fault:moderation]"}, key="bad")
    assert len(location.orders("bad", "in_code")) == 1


def test_a_resource_without_a_bucket_says_what_to_call():
    """Outside of Dagster, a resource without a bucket names the call that gives it one."""
    with pytest.raises(dg.Failure, match=r"call using\(video_store=VideoStoreResource"):
        SeedanceResource(api_key="k").generate(REQUEST, key="x")
