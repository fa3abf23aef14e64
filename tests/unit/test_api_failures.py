"""Reasons of failed tasks: the logs decide, then the code, then the text."""

from __future__ import annotations

import pytest
from api_support import task_data

from seedance_dagster.api.failures import classify_failure, classify_refusal
from seedance_dagster.api.wire import Task


def failed(*, logs=(), code=0, text="", raw="", prompt="A cat") -> Task:
    error = {"code": code, "message": text, "raw_message": raw}
    data = task_data(status="failed", logs=list(logs), error=error, input={"prompt": prompt})
    return Task.parse(data)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        # The logs, whatever code and text say.
        (failed(logs=["real person detected in image 1"], code=10000, text="task failed"), "real_person"),
        (failed(logs=["Content restriction: real-human face"], code=10003), "real_person"),
        (failed(logs=["prompt rejected by content moderation"], code=10000), "moderation"),
        (failed(logs=["ok", "output is NSFW"], code=10000, text="timeout"), "moderation"),
        (failed(logs=["copyright material"], code=0), "moderation"),
        (failed(logs=["upstream timeout"], code=10000, text="task failed"), "vendor"),
        (failed(logs=["upstream returned 503"], code=10003), "vendor"),
        (failed(logs=["Internal Server Error"], code=10000), "vendor"),
        (failed(logs=["invalid image: cannot decode"], code=10000), "invalid"),
        (failed(logs=["codec not supported"], code=10000), "invalid"),
        (failed(logs=["image width 512 is too small"], code=10000), "invalid"),
        (failed(logs=["face detected in image 1"], code=10000), "real_person"),
        (failed(logs=["图片中包含真人"], code=10000), "real_person"),
        (failed(logs=["内容审核未通过"], code=10000), "moderation"),
        (failed(logs=["blocked by safety filters"], code=10000), "moderation"),
        (failed(logs=["nudity detected"], code=10000), "moderation"),
        (failed(logs=["upstream error; retry policy exhausted"], code=10000), "vendor"),
        (failed(logs=["parameter names are case-sensitive"], code=10000), "vendor"),
        (failed(logs=["cannot render 'A policy': upstream timeout"], prompt="A policy"), "vendor"),
        (failed(logs=["prompt 'nude' violates the policy"], prompt="nude"), "moderation"),
        # A refusal for copyright, with the note of a retry that stands in every refusal.
        (
            failed(
                logs=[
                    "The request was rejected due to copyright restrictions.",
                    "Attempt 1 failed (content restriction), retrying.",
                    "restored frozen points",
                ],
                code=10003,
            ),
            "moderation",
        ),
        (
            failed(logs=["real person in image", "Attempt 1 failed (content restriction), retrying."]),
            "real_person",
        ),
        # Other words for refused content, which is never sent again unchanged.
        (failed(logs=["The prompt was blocked"], code=10000), "moderation"),
        (failed(logs=["post_img_risk_not_pass"], code=10000), "moderation"),
        (failed(logs=["OutputImageRisk"], code=10000), "moderation"),
        (failed(logs=["generated video failed the review"], code=10000), "moderation"),
        (failed(logs=["may contain illegal content"], code=10000), "moderation"),
        (failed(logs=["素材不合规"], code=10000), "moderation"),
        *(
            (failed(logs=[words], code=10000), "moderation")
            for words in (
                *("This content is not allowed", "banned word detected in prompt", "Adult content detected"),
                *("prompt contains blocked keywords", "minors are not allowed", "触发风控", "包含血腥内容"),
            )
        ),
        *(
            (failed(logs=[words], code=10000), "real_person")
            for words in (
                *("photorealistic person detected", "face detection: 1 face found", "famous person"),
                *("image 1 contains a face", "identifiable individual", "图中含有人物面部"),
            )
        ),
        *(
            (failed(logs=[words]), "vendor")
            for words in (
                *("worker crashed", "GPU out of memory", "network error", "unexpected EOF", "bad gateway"),
                *("no available account", "face detection timed out", "took longer than 600 s: time-out"),
            )
        ),
        (failed(logs=["video 1 is longer than 15 s"], code=10000), "invalid"),
        (failed(logs=["the file has no video stream"], code=10000), "invalid"),
        (failed(logs=["java.lang.IllegalArgumentException at upstream"], code=10000), "vendor"),
        (failed(logs=["portrait rights"], code=10000), "real_person"),
        (failed(logs=["the request was rejected by upstream: 503"], code=10000), "vendor"),
        (failed(logs=["InvalidParameter: image_url"], code=10000), "invalid"),
        (failed(logs=["video duration must be between 2 and 15"], code=10000), "invalid"),
        (failed(logs=["failed to decode image"], code=10000), "invalid"),
        (failed(logs=["create generation task: upload image"], code=10000), "vendor"),
        (failed(logs=["UploadResource: timed out"], code=10000), "vendor"),
        (failed(logs=["task input too large"], code=10000), "invalid"),
        (Task.parse(task_data(status="canceled")), "unknown"),
        # The code, where the logs say nothing that is known.
        (failed(code=10003), "moderation"),
        (failed(logs=["see details"], code=10003, text="upstream timeout"), "moderation"),
        (failed(logs=["step 3 failed"], code=10000, text="task failed"), "vendor"),
        # The text, where neither does.
        (failed(code=10000, text="upstream unavailable"), "vendor"),
        (failed(code=10000, text="sensitive content"), "moderation"),
        (failed(code=7, raw="invalid parameter: duration"), "invalid"),
        (failed(text="request timed out"), "vendor"),
        # Nothing known.
        (failed(code=10000), "unknown"),
        (failed(code=10000, text="task failed"), "unknown"),
        (failed(), "unknown"),
        (failed(logs=["1500 frames"], code=1), "unknown"),
        (Task.parse({"task_id": "t", "status": "failed"}), "unknown"),
    ],
)
def test_each_known_failure_has_its_class(task, expected):
    """Each known kind of failure is recognized."""
    assert classify_failure(task)[0] == expected


@pytest.mark.parametrize("lines", [["x" * 4000] * 199, ["a cat "] * 199])
@pytest.mark.parametrize("position", [0, -1])
def test_the_reason_may_be_at_either_end_of_long_logs(lines, position):
    """Of very long logs both ends are searched, which takes little time."""
    logs = list(lines)
    logs.insert(len(logs) if position else 0, "real person detected")
    assert classify_failure(failed(logs=logs, code=10000))[0] == "real_person"


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (failed(logs=[" first\n line ", "", "second"], text="generic"), "first line; second"),
        (failed(logs=[], text=" task\r\nfailed "), "task failed"),
        (failed(logs=["  "], code=42), "failed with code 42 and no explanation"),
        (failed(logs=["x" * 5000]), "x" * 2000),
        (failed(logs=["x" * 3000, "https://x.example.com/a.png?sig=1"] * 50), "x" * 2000),
        (Task.parse(task_data(status="expired")), "the vendor reports it as expired"),
        (
            Task.parse(task_data(status="canceled", error="by support")),
            "the vendor reports it as canceled: by support",
        ),
        (failed(logs=["bad: https://x.example.com/a.png?sig=1"]), "bad: https://x.example.com/a.png"),
    ],
)
def test_the_reason_is_one_line_of_limited_length(task, reason):
    """The reason is the vendor's explanation, from the logs before the generic text."""
    assert classify_failure(task)[1] == reason


@pytest.mark.parametrize(
    ("code", "text", "sent", "expected"),
    [
        (10003, "failed to create task", "", "moderation"),
        (10003, "task input too large", "", "invalid"),
        (10000, "invalid request", "", "invalid"),
        (400, "rejected due to copyright restrictions", "", "moderation"),
        (400, "cannot parse: a policy of trust", "a policy of trust", "invalid"),
        (10000, "a real person stands in image 1", "", "real_person"),
        (400, "prompt is not allowed to be empty", "", "invalid"),
        (400, "uploadresource: timed out", "", "vendor"),
        (400, "failed to download the reference image: 403", "", "vendor"),
        (400, "image url is not accessible", "", "vendor"),
        (400, "图片下载失败", "", "vendor"),
        (400, "cannot open image 1: unsupported format", "", "invalid"),
        (400, "no", "", "invalid"),
        (400, "invalid request: unknown word; allowed are real-person, moderation", "", "invalid"),
    ],
)
def test_a_refused_post_has_a_class_too(code, text, sent, expected):
    """The words count, but those of the request that they quote; then the code (v4)."""
    assert classify_refusal({code}, text, sent=sent) == expected
