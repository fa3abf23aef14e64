"""Tasks in all shapes that clients met: words, places of the link, and texts."""

from __future__ import annotations

import pytest
from api_support import task_data
from hypothesis import given
from hypothesis import strategies as st

from seedance_dagster.api.shapes import status_meaning, video_link
from seedance_dagster.api.wire import Task

LINK = "https://files.example.com/v.mp4"


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("Pending queued QUEUEING waiting submitted", "pending"),
        ("staged Staging stages", "staged"),
        ("pended enqueuing waiting_in_queue held throttled moderating", "pending"),
        ("succeeds successed finished_successfully completes finishes", "completed"),
        ("fails unsuccessful moderation_failed", "failed"),
        ("cancels user_cancelled cancelled_by_system cancellation expires timeouted", "ended"),
        ("in_process being_processed starts runs retries", "processing"),
        (
            "processing RUNNING in_progress In-Progress starting started retry retrying rendering",
            "processing",
        ),
        ("completed complete succeed Succeeded success successful finished finish done", "completed"),
        ("failed fail failure error errored rejected", "failed"),
        ("canceled cancelled cancel expired timeout timed_out terminated", "ended"),
    ],
)
def test_every_spelling_and_tense_of_a_word_is_understood(words, meaning):
    """Upper case, blanks, hyphens and underscores make no difference."""
    assert {word: status_meaning(f" {word}\t") for word in words.split()} == dict.fromkeys(
        words.split(), meaning
    )


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("\ufeffcompleted\u200b", "completed"),
        ("'Completed',", "completed"),
        ("Completed (100%)", "completed"),
        ("Processing 45%", "processing"),
        ("TASK_STATE_SUCCEEDED", "completed"),
        ("status: failed", "failed"),
        ("job_succeeded", "completed"),
        ("JobFailed", "failed"),
        ("GENERATE_FAILED", "failed"),
        ("request_completed", "completed"),
        ("render_failed", "failed"),
        ("render_started", "processing"),
        ("generating_video", "processing"),
    ],
)
def test_only_letters_of_a_word_count(word, meaning):
    """Quotation marks, punctuation, invisible characters and a number behind it make no difference."""
    assert status_meaning(word) == meaning


@pytest.mark.parametrize(
    "word", ["finalizing", "", "42", "unpaid", "100%", "partial success", "blocked", "task", "uploaded"]
)
def test_an_unknown_word_has_no_meaning(word):
    """An unknown status word means neither an end nor a failure."""
    assert status_meaning(word) is None
    assert Task.parse(task_data(status=word)).status == "unknown"


@pytest.mark.parametrize(
    "fields",
    [
        {"output": {"video": LINK}},
        {"output": {"video": f" {LINK} "}},
        {"output": {"video_url": LINK}},
        {"output": {"video": {"url": LINK}}},
        {"output": {"video": {"resource": LINK, "duration": 5}}},
        {"output": {"works": [{"cover": {"url": "https://f/c.jpg"}, "video": {"url": LINK}}]}},
        {"output": {"videos": [{"url": LINK}]}},
        {"output": {"results": [LINK]}},
        {"output": {"video_urls": [LINK]}},
        {"output": {"videoURL": LINK}},
        {"output": {"data": {"file": {"uri": LINK}}}},
        {"output": {"download_url": LINK}},
        {"output": ["https://f/cover.jpg?x=1", LINK]},
        {"output": {"url": "https://f/last.PNG", "works": [{"video": LINK}]}},
        {"output": [{"video_url": LINK}]},
        {"output": LINK},
        {"output": f'{{"video": "{LINK}"}}'},
        {"output": {"resultJson": "x", "results": f'["{LINK}"]'}},
        {"output": {"video": "//files.example.com/v.mp4"}},
        {"output": {"mp4_url": LINK, "cover": "https://f/c.jpg"}},
        {"output": {"outputs": [{"href": LINK}]}},
        {"output": None, "detail": {"output": {"video": LINK}}},
        {"output": None, "video_url": LINK},
        {"output": None, "works": [{"video": {"resource": LINK}}]},
        {"output": None, "videos": [LINK]},
        {"output": {}, "result": {"video_url": LINK}},
        {"output": None, "outputs": [{"url": LINK}]},
        {"output": "", "url": LINK},
        {"output": {"video": LINK}, "video_without_watermark": "https://f/other.mp4"},
        {"output": {"video": "https://f/marked.mp4", "video_without_watermark": LINK}},
        {
            "output": {
                "works": [{"video": {"resource": "https://f/marked.mp4", "resource_without_watermark": LINK}}]
            }
        },
    ],
)
def test_the_link_is_found_wherever_it_stands(fields):
    """Of two links, the one without a watermark is taken."""
    assert Task.parse(task_data(status="completed", **fields)).video_url == LINK


@pytest.mark.parametrize("output", [None, {}, {"video": ""}, {"video": None}, {"cover": {"url": LINK}}, 5])
def test_nothing_else_is_taken_for_the_link(output):
    """A cover, an empty text or another scheme is not a video."""
    assert video_link({"output": output}) is None


def test_a_reference_is_not_taken_for_the_link():
    """The links of a request, which the task repeats, do not lead to its video."""
    echo = {"input": {"video_urls": [LINK], "image_urls": [LINK]}, "config": {"url": LINK}}
    assert video_link({"output": None, "meta": {"video_url": LINK}} | echo) is None


def test_an_odd_link_in_the_usual_place_is_kept():
    """An odd link in the usual place is kept, and refused with a reason when it is followed."""
    assert video_link({"output": {"video": "file:///etc/passwd"}}) == "file:///etc/passwd"


def test_the_names_of_an_output_without_a_link_are_kept():
    """The names of an output without a link are kept, so that a message can list them."""
    task = Task.parse(task_data(status="completed", output={"cover_url": "x", "seed": 3}))
    assert task.output == "cover_url, seed"


@pytest.mark.parametrize(
    ("fields", "logs", "message"),
    [
        ({"error": "boom", "logs": []}, (), "boom"),
        ({"error": {"code": 1, "message": "", "raw_message": "raw"}, "logs": None}, (), "raw"),
        ({"logs": ["a", {"message": "b"}]}, ("a", "b"), ""),
        ({"logs": "one line"}, ("one line",), ""),
        ({"logs": None, "log": "old name"}, ("old name",), ""),
        ({"logs": [{"level": 3}]}, ('{"level": 3}',), ""),
        ({"logs": ["x" * 20_000]}, ("x" * 4000,), ""),
        ({"error": {"message": {"text": "inner"}}}, (), "inner"),
        ({"error": {"code": "content_policy_violation", "message": ""}}, (), "content_policy_violation"),
        ({"error": {"type": "moderation", "msg": "no"}}, (), "moderation no"),
        ({"error": {"code": "10003", "message": ""}}, (), ""),
    ],
)
def test_texts_are_read_in_any_shape(fields, logs, message):
    """Error and logs may be texts, lists or objects; what is too long is cut."""
    error = {"code": 0, "message": "", "raw_message": ""}
    task = Task.parse(task_data(**({"error": error} | fields)))
    assert (task.logs, task.error_message) == (logs, message)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.fixed_dictionaries(
        {"task_id": st.just("t")},
        optional=dict.fromkeys(("status", "output", "meta", "error", "logs", "log", "detail", "input"), JSON),
    )
)
def test_no_shape_of_a_task_raises(fields):
    """Whatever a field holds, the task is read."""
    assert Task.parse(fields).task_id == "t"
