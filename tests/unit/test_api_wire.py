"""The vendor's replies in all observed shapes."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from api_support import REQUEST, task_data
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from seedance_dagster.api.values import parse_time, whole_number
from seedance_dagster.api.wire import (
    GenerationRequest,
    HistoryPage,
    Mode,
    Task,
    TaskStatus,
)


def test_the_pages_example_is_read():
    """The vendor's own example gives every field, and the year 0001 is not a time."""
    task = Task.parse(task_data())
    assert task == Task(
        task_id="t-1",
        task_type="seedance-2-fast",
        status=TaskStatus.PENDING,
        raw_status="pending",
        input={"prompt": "A cat", "mode": "text_to_video", "duration": 5, "aspect_ratio": "16:9"},
        video_url=None,
        points_held=4_000_000,
        points_charged=0,
        created_at=datetime(2026, 4, 5, 13, 33, 26, 103466, UTC),
        started_at=None,
        ended_at=None,
        logs=(),
        error_code=0,
        error_message="",
    )


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Pending", "pending"),
        ("processing\t", "processing"),
        (" STAGED ", "staged"),
        ("completed", "completed"),
        ("Success", "completed"),
        ("succeeded", "completed"),
        ("TASK_STATUS_SUCCEED", "completed"),
        ("done!", "completed"),
        ("Initialising", "pending"),
        ("denied", "failed"),
        ("finished", "completed"),
        ("starting", "processing"),
        ("retry", "processing"),
        ("running", "processing"),
        ("Failed\t", "failed"),
        ("cancelled", "ended"),
        ("archived", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
        (3, "unknown"),
        (["completed"], "unknown"),
    ],
)
def test_status_words(word, status):
    """Status words are trimmed and lower-cased; an unknown one is not terminal."""
    task = Task.parse(task_data(status=word))
    assert task.status == status
    assert isinstance(task.raw_status, str)


@pytest.mark.parametrize("field", sorted(task_data().keys() - {"task_id"}))
@pytest.mark.parametrize("value", [None, [], {}, "odd", 7, [[1]], {"x": {}}])
def test_a_malformed_field_does_not_affect_others(field, value):
    """A field of an unexpected type leaves the others readable."""
    assert Task.parse(task_data(**{field: value})).task_id == "t-1"


@pytest.mark.parametrize(
    "data",
    [
        *(None, [], "t-1", {}),
        *({"task_id": name} for name in (None, " \t", "null", "None", "undefined", "0", 0, False, True, 1.5)),
        *(
            {"task_id": name}
            for name in (["t-1"], {"id": "t-1"}, "x" * 501, "00000000-0000-0000-0000-000000000000")
        ),
    ],
)
def test_without_an_id_there_is_no_task(data):
    """A task without an id, which could not be read again, does not count."""
    assert Task.parse(data) is None


@pytest.mark.parametrize(
    "wrap",
    [
        lambda task: [task],
        lambda task: {"data": task},
        lambda task: {"task": task},
        lambda task: {"code": 200, "data": [task]},
        lambda task: {"result": {"task": task}},
        json.dumps,
        lambda task: {"data": json.dumps([task])},
    ],
)
def test_a_task_may_be_wrapped_once_more(wrap):
    """A paid task is read where it is alone in a list or in a further envelope."""
    assert Task.parse(wrap(task_data())) == Task.parse(task_data())
    assert Task.parse(wrap([task_data(), task_data(task_id="t-2")])) is None


def test_a_type_may_have_blanks_around_it():
    """A trailing tab, as status words have, makes no other type."""
    assert Task.parse(task_data(task_type="seedance-2-fast\t")).task_type == "seedance-2-fast"
    page = HistoryPage.parse({"data": [{"task_id": "a", "action": " seedance-2\t"}]})
    assert page.rows[0].task_type == "seedance-2"


def test_fields_may_be_missing():
    """An id alone is a task; a charge that is not reported is unknown, not free."""
    task = Task.parse({"task_id": " t-9\n"})
    assert (task.task_id, task.status) == ("t-9", "unknown")
    assert (task.points_held, task.points_charged, task.created_at) == (0, None, None)


@pytest.mark.parametrize(
    ("usage", "held", "charged"),
    [
        ({"frozen": 4_000_000, "consume": 0}, 4_000_000, 0),
        ({"frozen": 5, "consume": 5}, 5, 5),
        ({"frozen": "12", "consume": "3"}, 12, 3),
        ({"frozen": 12.0, "consume": 3.0}, 12, 3),
        ({"frozen": "4,000,000", "consume": " 1,000.00 "}, 4_000_000, 1000),
        ({"frozen": "4,00", "consume": "1,2,3"}, 0, None),
        ({"consume": -3}, 0, None),
        ({"frozen": -1, "consume": float("nan")}, 0, None),
        ({"frozen": 2**63, "consume": 10**40}, 0, None),
        ({"frozen": 10**15, "consume": 10**15 + 1}, 10**15, None),
        ({"frozen": True, "consume": "many"}, 0, None),
        ({"frozen": 4_000_000.5, "consume": 0.4}, 0, None),
        ({"type": "credit", "frozen": 200, "consume": 200}, 0, None),
        ({"type": "Points", "frozen": 5, "consume": 5}, 5, 5),
        ({"type": "llm", "frozen": 5, "consume": 5}, 5, 5),
        (None, 0, None),
        ([], 0, None),
    ],
)
def test_points(usage, held, charged):
    """Points are whole, not negative and fit the ledger; a charge in another unit counts as not reported."""
    task = Task.parse(task_data(meta={"usage": usage}))
    assert (task.points_held, task.points_charged) == (held, charged)


def test_logs_and_errors():
    """Logs become lines whatever they consist of, and the error contains each text once."""
    task = Task.parse(
        task_data(
            logs=["one", {"level": "error"}, None, 3],
            error={"code": "10003", "message": "refused", "raw_message": "refused"},
        )
    )
    assert task.logs == ("one", '{"level": "error"}', "3")
    assert (task.error_code, task.error_message) == (10003, "refused")
    both = Task.parse(task_data(logs=None, error={"code": -1, "message": "a", "raw_message": "b"}))
    assert (both.logs, both.error_code, both.error_message) == ((), -1, "a b")


@pytest.mark.parametrize(
    ("output", "url"),
    [
        ({"video": "https://f.example/v.mp4"}, "https://f.example/v.mp4"),
        ({"video": " https://f.example/v.mp4\t"}, "https://f.example/v.mp4"),
        ({"video": ""}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_output_is_one_url(output, url):
    """A finished video has one URL."""
    assert Task.parse(task_data(output=output)).video_url == url


@pytest.mark.parametrize(
    ("written", "time"),
    [
        ("2026-04-05T13:33:26.10346684Z", datetime(2026, 4, 5, 13, 33, 26, 103466, UTC)),
        ("2026-04-05T13:33:26.123456789Z", datetime(2026, 4, 5, 13, 33, 26, 123456, UTC)),
        ("2026-04-05T13:33:26.1Z", datetime(2026, 4, 5, 13, 33, 26, 100000, UTC)),
        ("2026-04-05T13:33:26Z", datetime(2026, 4, 5, 13, 33, 26, 0, UTC)),
        (" 2026-04-05T21:33:26+08:00 ", datetime(2026, 4, 5, 13, 33, 26, 0, UTC)),
        ("2026-04-05 13:33:26", datetime(2026, 4, 5, 13, 33, 26, 0, UTC)),
        ("2026-04-05 13:33:26.10346684 +0000 UTC", datetime(2026, 4, 5, 13, 33, 26, 103466, UTC)),
        ("2026-04-05 21:33:26 +0800 CST", datetime(2026, 4, 5, 13, 33, 26, 0, UTC)),
        ("2026-04-05T13:33:26 UTC", datetime(2026, 4, 5, 13, 33, 26, 0, UTC)),
        ("2026-04-05t13:33:26z", datetime(2026, 4, 5, 13, 33, 26, 0, UTC)),
        ("2026-04-05 13:33:26 CST", None),
        ("0001-01-01 00:00:00 +0000 UTC", None),
        (1775396006, datetime(2026, 4, 5, 13, 33, 26, 0, UTC)),
        (1775396006.5, datetime(2026, 4, 5, 13, 33, 26, 500000, UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("\t0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("2026-02-30T00:00:00Z", None),
        ("yesterday", None),
        ("", None),
        (0, None),
        (-5, None),
        (1775396006000, datetime(2026, 4, 5, 13, 33, 26, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", None),
        ("1775396006", datetime(2026, 4, 5, 13, 33, 26, tzinfo=UTC)),
        ("1775396006000", datetime(2026, 4, 5, 13, 33, 26, tzinfo=UTC)),
        ("1795101212345", datetime(2026, 11, 19, 15, 13, 32, 345000, UTC)),
        (1775396006000000, datetime(2026, 4, 5, 13, 33, 26, tzinfo=UTC)),
        ("1899-12-30T00:00:00Z", None),
        ("9999-12-31T23:59:59Z", None),
        ("2099-12-31T00:00:00Z", None),
        (10**30, None),
        (float("inf"), None),
        (float("nan"), None),
        (True, None),
        (None, None),
        ({}, None),
    ],
)
def test_times(written, time):
    """RFC 3339 with nanoseconds and unix time give UTC; "not yet" and garbage give None."""
    assert parse_time(written) == time


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()))
def test_numbers_and_times_never_raise(value):
    """Any value in place of a number or a time is read or ignored."""
    number, time = whole_number(value), parse_time(value)
    assert number is None or abs(number) < 2**63
    assert time is None or time.tzinfo is UTC


def test_the_history_is_read():
    """Rows keep the vendor's words; numbers are accepted as ids."""
    page = HistoryPage.parse(
        {
            "data": [
                {
                    "task_id": "a",
                    "action": "seedance-2",
                    "status": "finished",
                    "usage": 7,
                    "created_at": 1775396006,
                },
                {"task_id": 12, "created_at": "2026-04-05T13:33:26Z"},
            ],
            "total": "2",
        }
    )
    first, second = page.rows
    assert (first.task_id, first.task_type, first.status, first.points) == ("a", "seedance-2", "finished", 7)
    assert (second.task_id, second.task_type, second.status, second.points) == ("12", "", "", None)
    assert first.created_at == second.created_at == datetime(2026, 4, 5, 13, 33, 26, tzinfo=UTC)
    assert page.total == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"duration": "5"},
        {"duration": 5.0},
        {"duration": True},
        {"mode": "text_to_video"},
        {"image_urls": "https://x.example/a.png"},
        {"audio": 1},
        {"negative_prompt": "dogs"},
    ],
)
def test_a_request_is_strict(fields):
    """A request accepts no other types and no additional fields."""
    plain = {"task_type": "seedance-2", "prompt": "a cat", "mode": Mode.TEXT_TO_VIDEO}
    with pytest.raises(ValidationError):
        GenerationRequest(**(plain | fields))


def test_a_request_survives_json():
    """A request that the ledger stored as JSON is the same request again."""
    kept = REQUEST.model_dump(mode="json")
    assert GenerationRequest.model_validate(kept, strict=False) == REQUEST
