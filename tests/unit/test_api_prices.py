"""Prices by date, their formulas, and what is estimated and reserved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.api.errors import UnknownPriceError
from seedance_dagster.api.limits import Limits
from seedance_dagster.api.prices import PriceRow
from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.prompts.identity import default_resolution

CATALOG = Catalog.load()
SECOND = timedelta(seconds=1)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NOW = moment("2026-11-26")


def request(task_type="seedance-2-fast", duration=5, videos=0, resolution=None) -> GenerationRequest:
    return GenerationRequest(
        task_type=task_type,
        prompt="@video1",
        mode=Mode.OMNI_REFERENCE if videos else Mode.TEXT_TO_VIDEO,
        duration=duration,
        video_urls=tuple(f"https://x.example/{n}.mp4" for n in range(videos)),
        resolution=resolution,
    )


def row(usd, *, promotion=False, since=None, until=None, task_type="seedance-2-fast") -> PriceRow:
    return PriceRow(
        type=task_type,
        resolution="480p",
        usd_per_second=Decimal(usd),
        promotion=promotion,
        valid_from=since and moment(since),
        valid_until=until and moment(until),
        source="test",
        table=f"own {usd}",
    )


def with_rows(*rows) -> Catalog:
    return CATALOG.extended({}, rows)


def figures(priced, at=NOW, catalog=CATALOG, **options):
    estimate = catalog.estimate(priced, at=at, **options)
    return estimate.points, estimate.reserved_points


RATES = {
    # The facts' table, as of November 2026: current and reserved points a second, by resolution.
    "seedance-2": {"480p": (100, 100), "720p": (200, 200), "1080p": (500, 500)},
    "seedance-2-fast": {"480p": (48, 80), "720p": (96, 160)},
    "seedance-2-mini": {"480p": (42, 70), "720p": (84, 140)},
    "seedance-2.5": {"480p": (150, 150), "720p": (350, 350), "1080p": (800, 800)},
    "seedance-2-less-restriction": {"480p": (110, 110), "720p": (220, 220), "1080p": (550, 550)},
    "seedance-2-fast-less-restriction": {"480p": (53, 88), "720p": (106, 176)},
    "seedance-2-mini-less-restriction": {"480p": (46, 77), "720p": (92, 154)},
    "seedance-2.5-less-restriction": {"480p": (165, 165), "720p": (385, 385), "1080p": (880, 880)},
    "seedance-2-preview": {"480p": (150, 150)},
    "seedance-2-fast-preview": {"480p": (80, 80)},
}


def test_every_type_and_resolution_has_its_price():
    """The packaged rates are those of the vendor's pages, each surcharge rounded to three decimals."""
    assert set(CATALOG.task_types) == set(RATES)
    rates = {
        name: {
            word: tuple(points // 10_000 for points in figures(request(name, 1, resolution=word)))
            for word in CATALOG.resolutions(name)
        }
        for name in CATALOG.task_types
    }
    assert rates == RATES


@pytest.mark.parametrize(
    ("at", "thousandths"),
    [
        ("2020-01-01", (80, 80)),
        ("2026-04-06", (80, 80)),
        ("2026-05-31T23:59:59", (80, 80)),
        ("2026-06-01", (64, 80)),
        ("2026-09-07T05:59:59", (64, 80)),
        ("2026-09-07T06:00:00", (48, 80)),
        ("2030-01-01", (48, 80)),
    ],
)
def test_a_promotion_lowers_the_estimate_only(at, thousandths):
    """A price applies from its first moment until just before its last; the list price is reserved."""
    assert figures(request(duration=1), moment(at)) == tuple(value * 10_000 for value in thousandths)


@pytest.mark.parametrize(
    ("at", "thousandths"),
    [
        ("2026-07-31", (600, 600)),
        ("2026-08-05T23:59:59", (600, 600)),
        ("2026-08-06", (600, 800)),
        ("2026-08-12T23:59:59", (600, 800)),
        ("2026-08-13", (800, 800)),
    ],
)
def test_a_rise_is_reserved_a_week_before(at, thousandths):
    """An order may wait until the price has risen, and lower prices to come reserve nothing less."""
    priced = request("seedance-2.5", 1, resolution="1080p")
    assert figures(priced, moment(at)) == tuple(value * 10_000 for value in thousandths)


def test_a_type_has_no_price_before_it_exists():
    """Before the first row of a type begins, its price is unknown."""
    with pytest.raises(UnknownPriceError, match=r"seedance-2\.5 at 720p is not known for 2026-07-30"):
        CATALOG.estimate(request("seedance-2.5"), at=moment("2026-07-31") - SECOND)


@pytest.mark.parametrize(
    ("at", "priced", "input_s", "points", "reserved", "formula"),
    [
        ("2026-04-06", request(), None, 4_000_000, 4_000_000, "0.08 USD/s x (5 s output)"),
        (
            "2026-04-06",
            request(videos=1),
            10,
            12_000_000,
            12_000_000,
            "0.08 USD/s x (5 s output + 10 s input)",
        ),
        (
            "2026-04-06",
            request(videos=2),
            None,
            16_320_000,
            16_320_000,
            "0.08 USD/s x (5 s output + 15.4 s input)",
        ),
        ("2026-11-26", request(), None, 2_400_000, 4_000_000, "0.048 USD/s x (5 s output)"),
        (
            "2026-11-26",
            request(videos=1),
            10,
            4_800_000,
            12_000_000,
            "0.048 USD/s x (5 s output + 5 s input)",
        ),
        (
            "2026-11-26",
            request("seedance-2", videos=1),
            None,
            12_700_000,
            20_400_000,
            "0.10 USD/s x (5 s output + 7.7 s input)",
        ),
        (
            "2026-11-26",
            request("seedance-2-mini-less-restriction", 4),
            None,
            3_680_000,
            6_160_000,
            "0.092 USD/s x (4 s output)",
        ),
    ],
)
def test_estimates(at, priced, input_s, points, reserved, formula):
    """The page bills all input seconds and later bills half of them; the page's formula is reserved by."""
    estimate = CATALOG.estimate(priced, at=moment(at), input_video_s=input_s)
    assert (estimate.points, estimate.reserved_points, estimate.formula) == (points, reserved, formula)
    assert estimate.table == "goapi-2026-11"
    assert estimate.exact is (not priced.video_urls or input_s is not None)


types = st.sampled_from(CATALOG.task_types)
days = st.datetimes(datetime(2026, 8, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@given(types, days, st.integers(1, 12), st.floats(0, 15.4))
def test_what_is_reserved_is_never_less_than_the_estimate(task_type, at, videos, input_s):
    """At any time, for any type: reserved >= estimate, and the unknown length is the upper bound of both."""
    priced = request(task_type, CATALOG.limits.types[task_type].max_duration_s, videos)
    known, unknown = figures(priced, at, input_video_s=input_s), figures(priced, at)
    assert known[0] <= known[1]
    assert unknown[0] >= known[0]
    assert unknown[1] >= known[1]


@given(st.decimals("0.0000001", "10", places=7), st.integers(4, 15))
def test_fractions_of_a_point_are_rounded_up(usd, duration):
    """An estimate is never below the exact price, and less than one point above it."""
    points, _ = figures(request(duration=duration), catalog=with_rows(row(usd)))
    assert 0 <= points - usd * duration * 10_000_000 < 1


def test_own_rows_win_while_they_apply():
    """A contract price replaces the packaged ones for both figures; before and after, those apply."""
    own = with_rows(row("0.05", since="2026-10-01", until="2027-01-01"))
    at = {
        day: figures(request(duration=1), moment(day), own)
        for day in ("2026-09-20", "2026-10-01", "2027-01-01")
    }
    assert at == {
        "2026-09-20": (480_000, 800_000),
        "2026-10-01": (500_000, 500_000),
        "2027-01-01": (480_000, 800_000),
    }
    soon = figures(request(duration=1), moment("2026-12-30"), own)
    assert soon == (500_000, 800_000), "an order may wait until the contract has ended"


def test_an_own_promotion_keeps_the_list_price_reserved():
    """A promotion that began yesterday is estimated, and the packaged list price reserved."""
    own = with_rows(row("0.03", promotion=True, since="2026-11-25", until="2026-12-24"))
    assert figures(request(duration=1), NOW, own) == (300_000, 800_000)
    assert own.estimate(request(), at=NOW).table == "own 0.03"
    contract = with_rows(row("0.03", promotion=True), row("0.06"))
    assert figures(request(duration=1), NOW, contract) == (300_000, 600_000)


@pytest.mark.parametrize(
    ("priced", "message"),
    [
        (request("seedance-3"), "the price of task type 'seedance-3' is not known; known: seedance-2, "),
        (request("remove-watermark"), "the price of task type 'remove-watermark' is not known"),
        (
            request(resolution="1080p"),
            "the price of seedance-2-fast at 1080p is not known; known: 480p, 720p",
        ),
    ],
)
def test_an_unknown_price_is_an_error(priced, message):
    """A request without a price is refused with the names that have one, never booked as free."""
    with pytest.raises(UnknownPriceError, match=message):
        CATALOG.estimate(priced, at=NOW)


@pytest.mark.parametrize("length", [-1.0, float("nan"), float("inf")])
def test_an_invalid_length_is_an_error(length):
    """An invalid length of input videos never lowers a price."""
    with pytest.raises(UnknownPriceError, match="must be 0 or more"):
        CATALOG.estimate(request(videos=1), at=NOW, input_video_s=length)


def test_limits_are_data():
    """The packaged limits are those of the vendor's pages, type by type."""
    limits = Limits.load()
    two, newest = limits.types["seedance-2"], limits.types["seedance-2.5"]
    assert two.durations == range(4, 16)
    assert two.max_references == 12
    assert two.aspect_ratios == newest.aspect_ratios == ("21:9", "16:9", "4:3", "1:1", "3:4", "9:16")
    assert newest.durations == range(4, 31)
    assert newest.max_of_kind == {"image": 9, "video": 3, "audio": 3}
    preview = limits.types["seedance-2-fast-preview"]
    assert list(preview.durations) == [5, 10, 15]
    assert preview.aspect_ratios == ("16:9", "9:16", "4:3", "3:4")


def test_defaults_in_fingerprints_are_those_of_the_limits():
    """The vendor's default resolutions, which the fingerprint has for good, are those of the data."""
    assert {name: default_resolution(name) for name in CATALOG.task_types} == {
        name: limits.default_resolution for name, limits in CATALOG.limits.types.items()
    }
