"""The file that SEEDANCE_PRICES names: what it may hold, and every problem of one at once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from price_support import FAST, NEW, problems, rows, write
from prompts_support import load_prompts, only_prompt

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.prompts import price_file
from seedance_dagster.prompts.identity import fingerprint
from seedance_dagster.prompts.price_file import PriceFileError, load_catalog

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def test_rows_win_and_say_where_they_are_from(tmp_path):
    """A promotion that began yesterday is the price of now, and the packaged list price is reserved."""
    promotion = (
        f"{FAST}, usd_per_second: 0.03, valid_from: 2026-11-25, valid_until: 2026-12-24, promotion: true"
    )
    contract = "type: seedance-2, resolution: 720p, usd_per_second: 0.15"
    catalog = load_catalog(write(tmp_path, rows(promotion, contract)))
    price = catalog.prices.price("seedance-2-fast", "480p", at=NOW)
    assert (str(price.current.usd_per_second), price.current.table) == ("0.03", "prices.yaml, row 1")
    assert (str(price.reserved.usd_per_second), price.reserved.table) == ("0.08", "goapi-2026-11")
    price = catalog.prices.price("seedance-2", "720p", at=NOW)
    assert price.current == price.reserved
    assert price.current.table == "prices.yaml, row 2"


def test_dates_are_utc_unless_they_say_otherwise(tmp_path):
    """A day begins at 00:00 UTC, a time has its zone, and the last moment is not part of a row."""
    first = f"{FAST}, usd_per_second: 0.05, valid_until: 2026-12-01"
    then = f"{FAST}, usd_per_second: 0.06, valid_from: 2026-12-01T02:00+02:00"
    catalog = load_catalog(write(tmp_path, rows(first, then)))
    at = [datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)]
    rates = [
        catalog.prices.price("seedance-2-fast", "480p", at=moment).current.usd_per_second for moment in at
    ]
    assert list(map(str, rates)) == ["0.05", "0.06"]


def test_all_problems_are_reported_at_once(tmp_path):
    """All problems are reported at once, in a message that begins with the setting."""
    text = rows(
        "type: seedance-9, resolution: 8k, usd_per_second: -1, colour: red",
        f"{FAST}, usd_per_second: 1, valid_until: 2026-01-01",
        f"{FAST}, usd_per_second: 1, valid_from: 2026-02-01",
    )
    path = write(tmp_path, text + "extra: 1\ntypes: {a: {like: b}}\n")
    with pytest.raises(PriceFileError) as caught:
        load_catalog(path)
    head, *lines = str(caught.value).splitlines()
    assert head == "no price is certain, since the file that SEEDANCE_PRICES names cannot be used:"
    starts = (
        *(f"{path}: extra is not a part", f"{path}: types.a.like is 'b'"),
        *(f"{path}, row 1 (seedance-9): {name} is" for name in ("colour", "type", "usd_per_second")),
        f"{path}, row 3 (seedance-2-fast): valid_from leaves a gap: row 2 ends",
    )
    assert len(lines) == len(starts)
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True)), lines


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.yaml", "cannot be read: No such file"), (".", "is a folder"), ("a\0b", "cannot be read: ")],
)
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path, name, message):
    """A file that cannot be read is a problem that names the path."""
    with pytest.raises(PriceFileError) as caught:
        load_catalog(f"{tmp_path}/{name}")
    [problem] = caught.value.problems
    assert message in problem.message
    assert problem.source == f"{tmp_path}/{name}"


def test_a_file_that_is_too_large_is_a_problem(tmp_path, monkeypatch):
    """Whatever a path leads to, a price file is small."""
    monkeypatch.setattr(price_file, "_MAX_BYTES", 10)
    assert problems(tmp_path, rows(FAST)) == [(None, None, "is larger than 10 bytes")]


any_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just("seedance-2"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "prices",
                    "types",
                    "type",
                    "resolution",
                    "usd_per_second",
                    "valid_from",
                    "like",
                    "max_of_kind",
                ]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(any_value)
def test_any_content_gives_a_catalog_or_problems(tmp_path_factory, content):
    """Whatever a file holds, the answer is a catalog or an error for people."""
    import yaml

    folder = tmp_path_factory.mktemp("prices")
    try:
        load_catalog(write(folder, yaml.safe_dump({"prices": content, "types": content})))
    except PriceFileError as error:
        message = str(error)
    else:
        message = "fine"
    assert message


def test_without_a_file_the_packaged_prices_count():
    """Without a file, or with an empty setting, the packaged prices count."""
    assert load_catalog("") is Catalog.load()


def test_a_new_type_works_with_its_limits(tmp_path):
    """A type that the file defines is checked by its own limits, priced, and sent with its resolution."""
    row = "type: seedance-3, resolution: 720p, usd_per_second: 0.4"
    prices = write(tmp_path, NEW + rows(row, row.replace("720p", "4k")))
    (tmp_path / "sets").mkdir()
    prompt = {"prompt": "A cat", "task_type": "seedance-3"}

    def load(**fields):
        return load_prompts(tmp_path / "sets", {**prompt, **fields}, prices=prices)

    request = only_prompt(load(duration=20, resolution="4k")).request
    assert load_catalog(prices).estimate(request, at=NOW).points == 80_000_000
    [problem] = load(duration=21).problems
    assert problem.message == "is 21; allowed are whole seconds from 4 to 20"
    [problem] = load(resolution="480p").problems
    assert problem.message == "is '480p'; allowed are 720p, 4k"
    unset = only_prompt(load()).request
    assert unset.to_wire()["input"]["resolution"] == "720p"
    assert fingerprint(unset) == fingerprint(only_prompt(load(resolution="720p")).request)
    [problem] = load_prompts(tmp_path / "sets", prompt).problems
    assert problem.message.endswith(
        "another one needs its limits and prices in the file that SEEDANCE_PRICES names"
    )


def test_the_limits_of_a_packaged_type_can_be_replaced(tmp_path):
    """A resolution that the vendor adds to a type needs an entry and a row."""
    text = "types: {seedance-2-fast: {resolutions: [480p, 720p, 1080p]}}\n"
    prices = write(tmp_path, text + rows("type: seedance-2-fast, resolution: 1080p, usd_per_second: 0.4"))
    assert load_catalog(prices).resolutions("seedance-2-fast") == ("480p", "720p", "1080p")


def test_a_default_that_has_no_price_must_be_named(tmp_path):
    """A prompt without a resolution is refused where the default cannot be priced."""
    text = "types: {seedance-3: {like: seedance-2}}\n"
    prices = write(tmp_path, text + rows("type: seedance-3, resolution: 1080p, usd_per_second: 0.4"))
    (tmp_path / "sets").mkdir()
    prompt = {"prompt": "A cat", "task_type": "seedance-3"}
    [problem] = load_prompts(tmp_path / "sets", prompt, prices=prices).problems
    assert (problem.field, problem.message) == ("resolution", "must be set for seedance-3; allowed are 1080p")


def test_a_bad_file_is_a_problem_beside_the_prompt_sets(tmp_path):
    """Prompt sets are loaded without it, so that what is paid for is still followed; the problem is shown."""
    (tmp_path / "sets").mkdir()
    loaded = load_prompts(tmp_path / "sets", {"prompt": "A cat"}, prices=write(tmp_path, "prices: 5"))
    assert len(loaded.sets) == 1
    [problem] = loaded.errors
    assert str(problem) == f"{tmp_path}/prices.yaml: prices must be a list of rows, not a number"
