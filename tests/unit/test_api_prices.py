"""Price tables, their formulas and their files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_dagster.api.errors import UnknownPriceError
from seedance_dagster.api.limits import Limits
from seedance_dagster.api.prices import PriceTable
from seedance_dagster.api.wire import GenerationRequest, Mode

PIAPI = "piapi-2026-10"


def request(task_type="seedance-2-fast", duration=5, videos=0, resolution=None) -> GenerationRequest:
    return GenerationRequest(
        task_type=task_type,
        prompt="@video1",
        mode=Mode.OMNI_REFERENCE if videos else Mode.TEXT_TO_VIDEO,
        duration=duration,
        video_urls=tuple(f"https://x.example/{n}.mp4" for n in range(videos)),
        resolution=resolution,
    )


@pytest.mark.parametrize(
    ("table", "priced", "input_s", "points", "formula"),
    [
        ("goapi-2026-04", request(), None, 4_000_000, "0.08 USD/s x (5 s output)"),
        ("goapi-2026-04", request("seedance-2", 15), None, 15_000_000, "0.10 USD/s x (15 s output)"),
        ("goapi-2026-04", request(resolution="480p"), None, 4_000_000, "0.08 USD/s x (5 s output)"),
        ("goapi-2026-04", request(videos=1), 10, 12_000_000, "0.08 USD/s x (5 s output + 10 s input)"),
        ("goapi-2026-04", request(videos=2), None, 16_320_000, "0.08 USD/s x (5 s output + 15.4 s input)"),
        (PIAPI, request(videos=1), 10, 8_000_000, "0.08 USD/s x (5 s output + 5 s input)"),
        (PIAPI, request(videos=1), None, 10_160_000, "0.08 USD/s x (5 s output + 7.7 s input)"),
        (PIAPI, request("seedance-2", resolution="1080p"), None, 25_000_000, "0.50 USD/s x (5 s output)"),
        (
            PIAPI,
            request("seedance-2-mini-less-restriction", 4),
            None,
            3_080_000,
            "0.077 USD/s x (4 s output)",
        ),
    ],
)
def test_estimates(table, priced, input_s, points, formula):
    """Each dated formula is applied: the page bills all input seconds, later bills half of them."""
    estimate = PriceTable.load(table=table).estimate(priced, input_video_s=input_s)
    assert (estimate.points, estimate.formula, estimate.table) == (points, formula, table)
    assert estimate.exact is (not priced.video_urls or input_s is not None)


@given(
    st.sampled_from(["goapi-2026-04", PIAPI]),
    st.integers(4, 15),
    st.integers(1, 12),
    st.floats(0, 15.4),
)
def test_an_unknown_length_gives_an_upper_bound(table, duration, videos, input_s):
    """An estimate without the length of the input videos is never below one with it."""
    prices, priced = PriceTable.load(table=table), request(duration=duration, videos=videos)
    assert prices.estimate(priced).points >= prices.estimate(priced, input_video_s=input_s).points


@pytest.mark.parametrize(
    ("priced", "message"),
    [
        (
            request("seedance-3"),
            "the price of task type 'seedance-3' is not in .*known: seedance-2, seedance-2-fast",
        ),
        (request(resolution="720p"), "the price of seedance-2-fast at 720p is not in .*known: 480p"),
    ],
)
def test_an_unknown_price_is_an_error(priced, message):
    """A request without a price is refused with the names that have one, never booked as free."""
    with pytest.raises(UnknownPriceError, match=message):
        PriceTable.load().estimate(priced)


@pytest.mark.parametrize("length", [-1.0, float("nan"), float("inf")])
def test_an_invalid_length_is_an_error(length):
    """An invalid length of input videos never lowers a price."""
    with pytest.raises(UnknownPriceError, match="must be 0 or more"):
        PriceTable.load().estimate(request(videos=1), input_video_s=length)


def test_fractions_of_a_point_are_rounded_up(tmp_path):
    """An estimate is never below the exact price."""
    table = tmp_path / "own.yaml"
    table.write_text(
        "{table: own, formula: output_plus_input, default_resolution: 480p, "
        'usd_per_second: {tiny: {480p: "0.00000001"}}}'
    )
    assert PriceTable.load(table).estimate(request("tiny")).points == 1


GOOD = "table: own\nformula: output_plus_input\ndefault_resolution: 480p\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("usd_per_second: [", "expected the node content"),
        ("\xff", "can't decode byte 0xff"),
        ("[" * 700, "recursion depth"),
        ("- 1", "the file: .*valid dictionary"),
        (GOOD, "usd_per_second: Field required"),
        (GOOD + "usd_per_second: {a: {480p: free}}", "usd_per_second.a.480p: .*decimal"),
        (GOOD + "usd_per_second: {a: {480p: 0}}", "usd_per_second.a.480p: .*greater than 0"),
        (GOOD + "usd_per_second: {a: {480p: -0.1}}", "usd_per_second.a.480p: .*greater than 0"),
        (GOOD + "usd_per_second: {a: {480p: .nan}}", "usd_per_second.a.480p: .*finite"),
        (GOOD + "usd_per_second: {}\nsurprise: 1", "surprise: Extra inputs"),
        (GOOD.replace("input", "guess") + "usd_per_second: {}", "formula: .*output_plus_half_input"),
    ],
)
def test_a_broken_price_table_is_reported(tmp_path, content, message):
    """The error names the file and what is wrong in it, in one line."""
    table = tmp_path / "own.yaml"
    if content is not None:
        table.write_bytes(content.encode("latin-1"))
    with pytest.raises(UnknownPriceError, match=f"price table .*own.yaml cannot be used: .*{message}"):
        PriceTable.load(table)


def test_an_unknown_table_is_an_error():
    """The name of a table that does not exist is an unknown price."""
    with pytest.raises(UnknownPriceError, match="goapi-1999"):
        PriceTable.load(table="goapi-1999")


def test_limits_are_data(tmp_path):
    """The packaged limits are the page's, a team's own file replaces them, and a broken one is reported."""
    limits = Limits.load()
    assert (limits.min_duration_s, limits.max_duration_s, limits.max_references) == (4, 15, 12)
    assert limits.aspect_ratios == ("21:9", "16:9", "4:3", "1:1", "3:4", "9:16")
    own = tmp_path / "limits.yaml"
    own.write_text(limits.model_copy(update={"max_duration_s": 30}).model_dump_json())
    assert Limits.load(own).max_duration_s == 30
    own.write_text("min_duration_s: 4")
    with pytest.raises(ValueError, match=r"limits.yaml cannot be used: .*max_duration_s: Field required"):
        Limits.load(own)
