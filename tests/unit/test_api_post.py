"""POSTs of paid tasks: the client's verdict on every way in which one can end."""

from __future__ import annotations

import json

import httpx
import pytest
from api_support import KEY, REQUEST, Vendor, envelope, hang, task_data

from seedance_dagster.api.errors import (
    AddressError,
    AuthenticationError,
    ForeignReplyError,
    GatewayError,
    InsufficientCreditsError,
    InvalidRequestError,
    NoTaskMadeError,
    PlanLimitError,
    RateLimitError,
    SeedanceError,
    UnknownOutcomeError,
)
from seedance_dagster.api.wire import GenerationRequest, Mode


async def outcome(*replies, **options) -> tuple[BaseException, Vendor]:
    vendor = Vendor(*replies)
    async with vendor.client(**options) as client:
        with pytest.raises(SeedanceError) as caught:
            await client.create_task(REQUEST)
    return caught.value, vendor


async def test_a_request_matches_the_page():
    """Body and headers are those of the vendor's example."""
    vendor = Vendor(envelope(task_data()))
    async with vendor.client() as client:
        task = await client.create_task(REQUEST)
    [sent] = vendor.requests
    assert (sent.method, str(sent.url)) == ("POST", "https://api.goapi.ai/api/v1/task")
    assert (sent.headers["X-API-Key"], sent.headers["Content-Type"]) == (KEY, "application/json")
    assert json.loads(sent.content) == {
        "model": "seedance",
        "task_type": "seedance-2-fast",
        "input": {"prompt": "A cat", "mode": "text_to_video", "duration": 5, "aspect_ratio": "16:9"},
    }
    assert (task.task_id, task.points_held) == ("t-1", 4_000_000)


async def test_fields_that_are_not_set_are_not_sent():
    """Fields without a value are left out; references keep their order and the text is unchanged."""
    vendor = Vendor(envelope(task_data(task_type="seedance-2", input={})))
    request = GenerationRequest(
        task_type="seedance-2",
        prompt="猫 \N{CAT} “quoted”",
        mode=Mode.OMNI_REFERENCE,
        image_urls=("https://x.example/2.png", "https://x.example/1.png"),
        audio=False,
    )
    async with vendor.client() as client:
        await client.create_task(request)
    assert json.loads(vendor.requests[0].content)["input"] == {
        "prompt": "猫 \N{CAT} “quoted”",
        "mode": "omni_reference",
        "duration": 5,
        "image_urls": ["https://x.example/2.png", "https://x.example/1.png"],
        "audio": False,
    }


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (envelope(status=401, message="invalid key"), AuthenticationError),
        (envelope(status=403), AuthenticationError),
        (envelope(status=401, code=10002, message="no such token"), AuthenticationError),
        (envelope(status=403, message="rate limit exceeded"), RateLimitError),
        (envelope(status=403, code=10001), RateLimitError),
        (envelope(status=403, code=10003, message="refused"), InvalidRequestError),
        (envelope({"task_id": "", "error": {"code": 10002}}, code=500), InsufficientCreditsError),
        (envelope({"error": {"code": "10002"}}, status=500), InsufficientCreditsError),
        (envelope({"error": {"code": 10002}}, status=400, message="failed"), InsufficientCreditsError),
        (envelope(code=401, message="invalid key"), AuthenticationError),
        (envelope(status=402), InsufficientCreditsError),
        (envelope(status=400, message="insufficient credits"), InsufficientCreditsError),
        (envelope(status=400, code=10002, message="failed to create task"), InsufficientCreditsError),
        (envelope(code=10002), InsufficientCreditsError),
        (envelope(status=500, code=10002), InsufficientCreditsError),
        (envelope(status=400, message="not enough credits"), InsufficientCreditsError),
        (envelope(status=400, message="insufficient_credits"), InsufficientCreditsError),
        (envelope(status=400, message="insufficient account balance"), InsufficientCreditsError),
        (envelope(status=429, message="insufficient quota"), InsufficientCreditsError),
        (envelope(status=400, message="Your credit balance is too low"), InsufficientCreditsError),
        (envelope(status=400, message="余额不足"), InsufficientCreditsError),
        (envelope(status=400, message="too many concurrent tasks"), PlanLimitError),
        (envelope(status=400, code=10000, message="task queue is full"), PlanLimitError),
        (envelope(status=400, code=10000, message="concurrency limit reached"), PlanLimitError),
        (envelope(status=400, message="1080p is above your plan limit"), InvalidRequestError),
        (envelope(status=400, message="rate limit exceeded"), RateLimitError),
        (envelope(status=400, message="invalid request: 'x' is none of rate-limit-200"), InvalidRequestError),
        (envelope(status=400, code=10000, message="system busy, please try again later"), RateLimitError),
        (envelope(status=400, message="active task count 2 has reached the plan limit"), PlanLimitError),
        (envelope(status=402, message="active task count 2 has reached the plan limit"), PlanLimitError),
        (envelope(code=429, message="Plan Limit reached"), PlanLimitError),
        (envelope(status=429), RateLimitError),
        (envelope(code=429), RateLimitError),
        (envelope(status=429, code=10429), RateLimitError),
        (envelope(code=10001), RateLimitError),
        (envelope(status=400, code=10000, message="invalid request"), InvalidRequestError),
        (envelope(status=400, code=10003, message="invalid request"), InvalidRequestError),
        (envelope(status=400, code=500, message="invalid request"), InvalidRequestError),
        (envelope(status=400, code="oops"), InvalidRequestError),
        (envelope(status=400, message="prompt is too long"), InvalidRequestError),
        (envelope(code=400, message="mode is required"), InvalidRequestError),
        (envelope(status=422), InvalidRequestError),
        (envelope(status=404, message="no such model"), InvalidRequestError),
        (httpx.Response(404, text="<html>"), AddressError),
        (httpx.Response(413, text="too large"), InvalidRequestError),
        (httpx.Response(403, text="<!doctype html>are you a robot?"), GatewayError),
        (httpx.Response(401, text="\n<html>"), GatewayError),
        (httpx.Response(503, text="<html>"), GatewayError),
        (httpx.Response(511, text="<html>log in to this network"), GatewayError),
        (httpx.Response(407, text="Proxy Authentication Required"), GatewayError),
        (httpx.Response(400, text="<html>"), GatewayError),
        (httpx.Response(406, text="<html>"), GatewayError),
        (httpx.Response(413, text="<html>"), InvalidRequestError),
        (httpx.Response(429, text="<html>"), RateLimitError),
        (httpx.Response(403, text="error code: 1020"), GatewayError),
        (httpx.Response(401, json={"detail": "Invalid API key"}), AuthenticationError),
        (httpx.Response(302, headers={"Location": "https://elsewhere.example/"}), AddressError),
        (httpx.Response(308, headers={"Location": "https://elsewhere.example/?sig=1"}), AddressError),
    ],
)
async def test_refusals_say_that_no_task_was_made(reply, error):
    """Each refusal has its class, which says that sending again is safe, and was sent once."""
    refused, vendor = await outcome(reply)
    assert type(refused) is error
    assert isinstance(refused, NoTaskMadeError)
    assert len(vendor.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        envelope(status=500),
        envelope(status=503, code=429, Retry_After="1"),
        envelope(status=502, code=200),
        envelope(code=500),
        envelope(status=500, code=10001),
        envelope(status=500, message="insufficient credits"),
        envelope(status=500, message="active task count 2 has reached the plan limit"),
        envelope(code=500, message="insufficient credits"),
        envelope(status=425),
        envelope(code=10003),
        envelope({"error": {"code": 10003}}),
        envelope({"error": {"code": 10001}}, status=500),
        envelope({"error": {"code": 402}}, code=500),
        envelope(code=10000),
        envelope(status=408),
        envelope(code=408),
        envelope(status=408, message="the plan limit of a road"),
        envelope(code=500, message='cannot read "a sign: insufficient credit"'),
        envelope(code="oops", message="the prompt says insufficient credit"),
        envelope(code=10000, message="the prompt says: insufficient balance"),
        envelope(code=499, message="client closed request"),
        envelope(status=500, message='failed to read "a sign that says insufficient credit"'),
        envelope(status=502, message="upstream: the plan limit of a road is painted"),
        envelope(None),
        envelope({"status": "pending"}),
        envelope({"task_id": "  "}),
        envelope({"task_id": "00000000-0000-0000-0000-000000000000"}, status=500),
        envelope(code="oops"),
        envelope(code=True),
        httpx.Response(200, text="<html>welcome</html>"),
        httpx.Response(200, content=b""),
        httpx.Response(200, json=[1, 2]),
        httpx.Response(400, text='{"code": 400, "data": {"task_id": "t-'),
        httpx.Response(504, text="gateway timeout"),
        httpx.Response(502, text="<html>"),
        httpx.Response(503, text="no more"),
        httpx.Response(200, content=b'{"code":200,"data":' + b"[" * 100_000),
        httpx.ReadError("connection reset"),
        httpx.ReadTimeout("slow"),
        httpx.WriteError("broken pipe"),
        httpx.ConnectTimeout("whatever the error says, once the POST has left"),
        httpx.RemoteProtocolError("server disconnected"),
        TimeoutError(),
        OSError("no route"),
    ],
)
async def test_anything_else_may_have_made_a_task(reply):
    """After a lost or garbled reply or a server error the outcome is unknown; the POST is not repeated."""
    error, vendor = await outcome(reply)
    assert type(error) is UnknownOutcomeError
    assert len(vendor.requests) == 1


async def test_after_a_timeout_the_outcome_is_unknown():
    """The client's own timeout ends the wait for a reply."""
    error, vendor = await outcome(hang, post_timeout_s=0.02)
    assert type(error) is UnknownOutcomeError
    assert len(vendor.requests) == 1


async def test_after_an_endless_reply_the_outcome_is_unknown():
    """A reply beyond 16 MiB is cut off and not collected."""

    async def endless():
        async def body():
            while True:
                yield b" " * (4 << 20)

        return httpx.Response(200, content=body())

    error, _ = await outcome(endless)
    assert type(error) is UnknownOutcomeError


@pytest.mark.parametrize(
    "reply",
    [
        envelope(task_data(), status=500, message="internal error"),
        envelope(task_data(), status=429),
        envelope(task_data(), status=400, message="insufficient credits"),
        envelope(task_data(), code=500),
        envelope(task_data(), status=401),
    ],
)
async def test_a_task_inside_an_error_is_a_task(reply):
    """A reply with a task id is a created task, whatever its status."""
    vendor = Vendor(reply)
    async with vendor.client() as client:
        assert (await client.create_task(REQUEST)).task_id == "t-1"


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    "words", ["insufficient credits", "Active task count 2 has reached the plan limit", "plan limit"]
)
async def test_words_of_a_prompt_that_is_quoted_are_not_read(status, words):
    """A message that quotes the prompt says nothing of credits or slots, and never that no task was made."""
    text = f"a sign that says {words}"
    vendor = Vendor(envelope(status=status, code=500, message=f'cannot process "{text}" now'))
    async with vendor.client() as client:
        with pytest.raises(SeedanceError) as caught:
            await client.create_task(REQUEST.model_copy(update={"prompt": text}))
    assert type(caught.value) is (UnknownOutcomeError if status == 200 else InvalidRequestError)


@pytest.mark.parametrize(
    ("echo", "differs"),
    [
        ({"input": {"prompt": "a dog", "duration": 5}}, "prompt"),
        ({"input": {"prompt": "A cat", "duration": 6}}, "duration"),
        ({"task_type": "seedance-2"}, "task type"),
    ],
)
@pytest.mark.parametrize("status", [200, 500])
async def test_a_reply_that_echoes_another_request_is_a_lost_reply(echo, differs, status):
    """A connection may deliver the reply to another POST: its task is not ours, and ours is unknown."""
    error, _ = await outcome(envelope(task_data(**echo), status=status))
    assert type(error) is ForeignReplyError
    assert f"with task t-1, whose {differs} is not the one that was sent" in str(error)


@pytest.mark.parametrize(
    "echo",
    [{}, {"prompt": None}, {"prompt": " a &lt;cat&gt; ", "duration": "5"}, {"prompt": "“A cat”"}],
)
async def test_a_reply_with_a_changed_or_missing_echo_is_an_answer(echo):
    """A reply whose text the vendor changed or left out is still the answer to its own request."""
    vendor = Vendor(envelope(task_data(input=echo)))
    async with vendor.client() as client:
        assert (await client.create_task(REQUEST)).task_id == "t-1"


async def test_a_refusal_repeats_the_vendors_message():
    """A refusal contains the vendor's message and the number of active tasks."""
    message = "active task count 12 has reached the plan limit"
    data = {"error": {"message": "please wait"}}
    error, _ = await outcome(envelope(data, status=400, message=message))
    assert isinstance(error, PlanLimitError)
    assert error.active == 12
    assert str(error) == f"the vendor refused: {message}; please wait (HTTP 400, code 400)"
    unsaid, _ = await outcome(envelope(status=400, message="plan limit, active task count 99999999999"))
    assert isinstance(unsaid, PlanLimitError)
    assert unsaid.active is None


async def test_a_rate_limit_error_has_the_wait():
    """A refusal of too many requests says how long to wait, if the vendor says so."""
    stated, _ = await outcome(envelope(status=429, Retry_After="7"))
    unstated, _ = await outcome(envelope(status=429))
    assert (stated.retry_after_s, unstated.retry_after_s) == (7.0, None)
