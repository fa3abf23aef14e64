"""Every problem that a price file may have, each with its place, its field and what is allowed."""

from __future__ import annotations

import pytest
from price_support import FAST, NEW, problems, rows

PROBLEMS = [
    # Forms of the file.
    ("", None, None, "must be a mapping with prices and types, not nothing"),
    ("- {type: a}", None, None, "must be a mapping with prices and types, not a list"),
    ("{}", None, "prices", "is missing; without a row the file changes nothing"),
    ("prices: {}", None, "prices", "must be a list of rows, not a mapping"),
    ("types: [a]", None, "types", "must be a mapping of names, not a list"),
    ("rows: []", None, "rows", "is not a part of a price file; parts are prices and types"),
    ("prices: [", None, None, "is not valid YAML: "),
    (b"prices: \xff", None, None, "is not UTF-8 text (byte 8)"),
    ("prices: " + "[" * 300, None, None, ""),
    (rows(f"{FAST}, {FAST}"), None, None, "is not valid YAML: 'type' occurs twice"),
    ("prices: [5]", "row 1", None, "must be a mapping, not a number"),
    # Fields of a row.
    (rows("usd_per_second: 1"), "row 1", "type", "is missing"),
    (rows("type: seedance-2"), "row 1 (seedance-2)", "resolution", "is missing"),
    (rows(FAST), "row 1 (seedance-2-fast)", "usd_per_second", "is missing"),
    (
        rows("type: seedance-9, resolution: 480p, usd_per_second: 1"),
        "row 1 (seedance-9)",
        "type",
        "is 'seedance-9'; allowed are seedance-2, ",
    ),
    (
        rows("type: seedance-2-fast, resolution: 1080p, usd_per_second: 1"),
        "row 1 (seedance-2-fast)",
        "resolution",
        "is '1080p'; allowed are 480p, 720p",
    ),
    *(
        (
            rows(f"{FAST}, usd_per_second: {value}"),
            "row 1 (seedance-2-fast)",
            "usd_per_second",
            "; allowed are numbers above 0, up to 1000",
        )
        for value in ("-0.1", "0", "0.0", "free", ".nan", ".inf", "1e9", "true", "[1]", "NaN", "'-1'", "1001")
    ),
    *(
        (
            rows(f"{FAST}, usd_per_second: 1, valid_from: {value}"),
            "row 1 (seedance-2-fast)",
            "valid_from",
            "; allowed are dates such as 2026-04-06 (00:00 UTC), and times with a zone",
        )
        for value in (
            *("2026-13-01", "2026-02-30", "06.04.2026", "tomorrow", "20260406", "5", "true", "[2026-04-06]"),
            *("2026-04-06T06:00", "2026-04-06 06:00", "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00"),
        )
    ),
    (
        rows(f"{FAST}, usd_per_second: 1, valid_from: 2026-04-06, valid_until: 2026-04-06"),
        "row 1 (seedance-2-fast)",
        "valid_until",
        "is '2026-04-06', not after valid_from",
    ),
    (
        rows(f"{FAST}, usd_per_second: 1, promotion: yes"),
        "row 1 (seedance-2-fast)",
        "promotion",
        "is 'yes'; allowed are true and false",
    ),
    (
        rows(f"{FAST}, usd_per_second: 1, price: 2"),
        "row 1 (seedance-2-fast)",
        "price",
        "is not a field; fields are type, resolution, usd_per_second, valid_from, valid_until, promotion",
    ),
    # Dates together.
    (
        rows(f"{FAST}, usd_per_second: 1", f"{FAST}, usd_per_second: 2"),
        "row 2 (seedance-2-fast)",
        "valid_from",
        "begins before row 1 ends, for the same price",
    ),
    (
        rows(
            f"{FAST}, usd_per_second: 2, valid_from: 2026-06-01",
            f"{FAST}, usd_per_second: 1, valid_until: 2026-06-01T00:00:01Z",
        ),
        "row 1 (seedance-2-fast)",
        "valid_from",
        "begins before row 2 ends, for the same price",
    ),
    (
        rows(
            f"{FAST}, usd_per_second: 1, valid_until: 2026-05-01",
            f"{FAST}, usd_per_second: 2, valid_from: 2026-06-01",
        ),
        "row 2 (seedance-2-fast)",
        "valid_from",
        "leaves a gap: row 1 ends at 2026-05-01 00:00 UTC, this one begins at 2026-06-01 00:00 UTC",
    ),
    (
        rows(
            f"{FAST}, usd_per_second: 1, promotion: true",
            f"{FAST}, usd_per_second: 2, promotion: true, valid_from: 2026-06-01",
        ),
        "row 2 (seedance-2-fast)",
        "valid_from",
        "begins before row 1 ends, for the same price",
    ),
    # Types.
    (
        "types: {seedance-3: 5}",
        None,
        "types.seedance-3",
        "must be a mapping, such as {like: seedance-2}, not a number",
    ),
    ("types: {Seedance 3: {}}", None, "types.Seedance 3", "is not a name; allowed are lower-case letters"),
    ("types: {seedance-3: {}}", None, "types.seedance-3.like", "is None; allowed are seedance-2, "),
    ("types: {seedance-3: {like: [x]}}", None, "types.seedance-3.like", "is ['x']; allowed are seedance-2, "),
    (
        "types: {seedance-3: {like: seedance-2, fps: 60}}",
        None,
        "types.seedance-3.fps",
        "is not a field; fields are like, min_duration_s",
    ),
    (
        "types: {seedance-3: {like: seedance-2, max_duration_s: long}}",
        None,
        "types.seedance-3.max_duration_s",
        "is 'long'; allowed are whole seconds, at least min_duration_s",
    ),
    (
        "types: {seedance-3: {like: seedance-2, max_duration_s: 3}}",
        None,
        "types.seedance-3.max_duration_s",
        "is less than min_duration_s (4)",
    ),
    (
        "types: {seedance-3: {like: seedance-2, aspect_ratios: [auto]}}",
        None,
        "types.seedance-3.aspect_ratios",
        "is ['auto']; allowed are a list of ratios such as \"16:9\"",
    ),
    (
        "types: {seedance-3: {like: seedance-2, default_resolution: 4k}}",
        None,
        "types.seedance-3.default_resolution",
        "is '4k'; allowed are 480p, 720p, 1080p",
    ),
    (
        "types: {seedance-3: {like: seedance-2}}",
        None,
        "types.seedance-3",
        "has no price; add a row to prices",
    ),
    (
        NEW + rows("type: seedance-3, resolution: 4k, usd_per_second: 1, promotion: true"),
        "row 1",
        "promotion",
        "needs a list price of the same type and resolution",
    ),
]


@pytest.mark.parametrize(("text", "place", "field", "message"), PROBLEMS)
def test_a_problem_names_row_field_and_what_is_allowed(tmp_path, text, place, field, message):
    """Each problem of a price file says where it is and what is allowed."""
    errors = problems(tmp_path, text)
    assert [error for error in errors if error[:2] == (place, field) and message in error[2]], errors
