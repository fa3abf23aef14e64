"""Blind comparisons in a real Chromium: two videos in sync, answers by keyboard, and figures on request."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from axe_playwright_python.sync_playwright import Axe
from browser_support import awaited
from comparison_support import RESOLUTIONS, make_variant
from factories import Clock
from order_factory import OrderFactory
from playwright.sync_api import Page, expect

from seedance_dagster.ledger.ledger import Ledger

QUESTION = {"set": "spots", "name": "resolution", "first": "480p", "second": "720p"}


def in_step(page: Page) -> None:
    """Wait until both videos run, within a fifth of a second of each other."""
    times = "[...document.querySelectorAll('.sides video')].map((video) => video.currentTime)"
    awaited(page, f"((t) => Math.min(...t) > 0.1 && Math.abs(t[0] - t[1]) < 0.2)({times})")


def passes_axe(page: Page) -> None:
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_pairs_are_judged_by_keyboard(page: Page, address: str, shown: Ledger) -> None:
    """After the first page, keys alone answer all pairs, undo an answer, and show the results."""
    orders = OrderFactory(shown, Clock())
    for prompt in ("mug", "cup"):
        for resolution in ("480p", "720p"):
            make_variant(orders, prompt, resolution)
    page.get_by_role("link", name="Compare variants").click()
    page.get_by_label("Prompt set").select_option("spots")
    page.get_by_role("button", name="Show").click()
    passes_axe(page)
    page.get_by_role("link", name="Judge", exact=True).click()
    expect(page.locator("#left")).to_have_text("2 of 2 left")
    in_step(page)
    passes_axe(page)
    body = page.locator("body").inner_html()
    assert "480p" not in body
    assert "720p" not in body
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#left")).to_have_text("1 of 2 left")
    in_step(page)
    page.keyboard.press("=")
    expect(page.locator("#done")).to_be_visible()
    passes_axe(page)
    page.keyboard.press("u")
    expect(page.locator("#status")).to_contain_text("Taken back")
    in_step(page)
    page.keyboard.press("2")
    expect(page.locator("#done")).to_be_visible()
    held = shown.comparisons.answers("spots", RESOLUTIONS)
    assert [(row.preference, row.reviewer) for row in held] == [("left", "ann"), ("right", "ann")]
    page.get_by_role("button", name="Show the results").click()
    expect(page.locator("main")).to_contain_text("2 pairs judged, with 2 answers of 1 reviewer")
    passes_axe(page)
    page.goto(f"{address}/compare/pair?{urlencode(QUESTION)}")
    expect(page.locator("#done")).to_be_visible()
    page.get_by_role("button", name="Judge them again").click()
    in_step(page)


def test_a_read_only_gallery_takes_no_answer(page: Page, serve: Callable[..., str]) -> None:
    """The page says how to start the gallery for reviews, and its console shows no error."""
    page.goto(f"{serve(review=False)}/compare/pair?{urlencode(QUESTION)}")
    expect(page.locator("main")).to_contain_text("start it with --review")
    passes_axe(page)
