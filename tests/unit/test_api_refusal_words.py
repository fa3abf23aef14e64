"""Words of refused POSTs: the many ways to say that it is not this request that is wrong."""

from __future__ import annotations

import json

import pytest
from api_support import REQUEST, Vendor, envelope

from seedance_dagster.api.errors import (
    AuthenticationError,
    InsufficientCreditsError,
    InvalidRequestError,
    PlanLimitError,
    RateLimitError,
    UnknownOutcomeError,
)
from seedance_dagster.api.replies import read_reply, refusal

WORDS = {
    InsufficientCreditsError: (
        *("You don't have enough credits", "you do not have enough balance", "No credits left"),
        *("credits have run out", "Your balance is low", "Please purchase more credits", "lack of credits"),
        *("InsufficientBalance", "Insufficient wallet", "Account overdue, please pay", "payment required"),
        *("额度不足", "账户已欠费", "You don't have sufficient credits", "You've used all your credits"),
        *("You exceeded your current quota", "monthly quota exceeded", "please top up", "negative balance"),
        *(
            "freeze points failed",
            "failed to deduct credits",
            "Your subscription has expired",
            "plan expired",
        ),
    ),
    PlanLimitError: (
        *("Max running tasks exceeded", "the number of running tasks exceeds the limit 10", "Queue full"),
        *("You already have 2 tasks running", "You have reached the maximum number of tasks in progress"),
        *("Task limit reached", "max_active_tasks exceeded", "parallel limit reached", "任务数已达上限"),
        *("too many active generations", "exceeded the limit of 2 tasks", "queue limit exceeded"),
        *("previous task is still running", "please wait for the current task to finish"),
    ),
    RateLimitError: (
        *("Requests are too frequent", "request frequency too high", "QPS limit exceeded", "throttled"),
        *("too many request", "请求过于频繁", "Request limit exceeded", "API rate exceeded", "请求频率过高"),
        *(
            "daily limit reached",
            "We are currently under heavy load",
            "high demand",
            "server capacity exceeded",
        ),
        *("The service is temporarily unavailable", "服务维护中"),
    ),
    AuthenticationError: (
        *("invalid api key", "API key expired", "Your account has been suspended", "user is banned"),
        *("Your account has been temporarily locked", "invalid access token", "Token has expired"),
        *("authentication failed", "账号被禁用", "please verify your email", "Two-factor login required"),
    ),
    InvalidRequestError: (
        "任务数据无效",
        "unauthorized use of a trademark",
        "the account of events is too long",
        "the video's frame rate exceeded 60",
        "the bitrate exceeded 8 Mbit/s",
        "sample rate exceeded 48 kHz",
        "capacity of the file exceeded",
        "current task not found",
        "failed to fetch image 1",
    ),
}


@pytest.mark.parametrize("data", [[{"task_id": "t-9"}], {"task": {"task_id": "t-9"}}])
@pytest.mark.parametrize(("status", "error"), [(429, PlanLimitError), (500, UnknownOutcomeError)])
async def test_what_an_error_lists_is_not_the_task_that_was_made(data, status, error):
    """A refusal may name a task that runs already: it belongs to another order, or to another program."""
    vendor = Vendor(envelope(data, status=status, message="active task count 1 has reached the plan limit"))
    async with vendor.client() as client:
        with pytest.raises(error):
            await client.create_task(REQUEST)


@pytest.mark.parametrize("name", ["msg", "error", "detail"])
def test_a_message_may_have_another_name(name):
    """An envelope whose text stands elsewhere says why, too."""
    body = json.dumps({"code": 10000, "data": None, name: "not enough credits"}).encode()
    assert type(refusal(read_reply(400, {}, body))) is InsufficientCreditsError


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("insufficient_credits", InsufficientCreditsError),
        ("rate_limit_exceeded", RateLimitError),
        ("bad_request", InvalidRequestError),
    ],
)
def test_a_code_may_be_a_word(code, error):
    """A code that is a word says why the request was refused, and is shown."""
    body = json.dumps({"code": code, "data": None, "message": ""}).encode()
    refused = refusal(read_reply(400, {}, body))
    assert type(refused) is error
    assert code in str(refused)


@pytest.mark.parametrize(("error", "words"), [(error, words) for error in WORDS for words in WORDS[error]])
def test_a_refusal_of_all_requests_does_not_fail_the_order(error, words):
    """In an HTTP 400 with the code of everything only the words say that the order can wait."""
    body = json.dumps({"code": 10000, "data": None, "message": words}).encode()
    assert type(refusal(read_reply(400, {}, body))) is error
