"""The gallery in a real Chromium: it plays, takes verdicts, filters, and a hostile prompt does nothing."""

from __future__ import annotations

from collections.abc import Callable

from axe_playwright_python.sync_playwright import Axe
from browser_support import HOSTILE, awaited
from playwright.sync_api import Browser, Page, expect
from pydantic import SecretStr

from seedance_dagster.ledger.ledger import Ledger


def tile(page: Page, partition: str):
    return page.locator(f'.tile[data-partition="{partition}"]')


def verdicts_of(ledger: Ledger) -> dict[str, str]:
    return {key: judgement.verdict.value for key, judgement in ledger.verdicts.current("spots").items()}


def plays(page: Page, selector: str) -> None:
    """Wait until a video is beyond its first picture."""
    awaited(page, f"document.querySelector('{selector}')?.currentTime > 0.2")


def test_a_tile_plays_under_the_pointer_and_opens_its_clip(page: Page) -> None:
    """The panel has the prompt, the cost, the journal, and a player that the space bar starts."""
    tile(page, "harbour").hover()
    plays(page, '.tile[data-partition="harbour"] video')
    tile(page, "harbour").click()
    panel = page.locator("#panel")
    for words in ("harbour", "0.40 USD", "campaign: summer", "Journal of the order", "trace spots harbour"):
        expect(panel).to_contain_text(words)
    page.keyboard.press("Space")
    plays(page, "#panel video")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()


def test_verdicts_by_keyboard(page: Page, shown: Ledger) -> None:
    """Accept goes on to the next undecided video, undo comes back, and the header counts what is left."""
    expect(page.locator("#left")).to_have_text("5")
    tile(page, "hostile").click()
    page.keyboard.press("a")
    expect(tile(page, "hostile")).to_have_attribute("data-verdict", "accepted")
    expect(page.locator("#counts #left")).to_have_text("4")
    expect(tile(page, "harbour")).to_have_attribute("aria-current", "true")
    page.keyboard.press("x")
    expect(tile(page, "harbour")).to_have_attribute("data-verdict", "discarded")
    assert verdicts_of(shown) == {"hostile": "accepted", "harbour": "discarded"}
    page.keyboard.press("u")
    expect(tile(page, "harbour")).to_have_attribute("data-verdict", "undecided")
    assert [row.reviewer for row in shown.verdicts.history("spots", "harbour")] == ["ann", "ann"]


def test_a_key_concerns_the_tile_that_is_marked(page: Page, shown: Ledger) -> None:
    """A key applies to the marked tile even while the panel still shows the previous clip."""
    tile(page, "cat").click()
    page.wait_for_selector("#panel article")
    page.route("**/clip?*", lambda route: None)  # the panel hangs
    tile(page, "harbour").click()
    page.keyboard.press("x")
    expect(tile(page, "harbour")).to_have_attribute("data-verdict", "discarded")
    assert verdicts_of(shown) == {"harbour": "discarded"}
    page.unroute_all(behavior="ignoreErrors")


def test_a_take_is_chosen_after_all_were_played_in_step(page: Page, shown: Ledger) -> None:
    """Three takes run within a tenth of a second of each other; 2 accepts one and discards the others."""
    tile(page, "cat").click()
    page.keyboard.press("c")
    awaited(page, "document.querySelectorAll('.takes video').length === 3")
    plays(page, ".takes video")
    times = "[...document.querySelectorAll('.takes video')].map((video) => video.currentTime)"
    in_step = "(times) => Math.min(...times) > 0 && Math.max(...times) - Math.min(...times) < 0.2"
    awaited(page, f"({in_step})({times})")
    page.keyboard.press("2")
    expect(tile(page, "cat.t2")).to_have_attribute("data-verdict", "accepted")
    assert verdicts_of(shown) == {"cat": "discarded", "cat.t2": "accepted", "cat.t3": "discarded"}


def test_a_note_is_kept(page: Page, shown: Ledger) -> None:
    """The keys are letters again while a note is written."""
    tile(page, "harbour").click()
    expect(page.locator("#panel article")).to_have_attribute("data-partition", "harbour")
    page.keyboard.press("n")
    page.keyboard.type("a fox, jumping")
    page.get_by_role("button", name="Save the note").click()
    expect(page.locator("#status")).to_contain_text("harbour: undecided")
    [judgement] = shown.verdicts.history("spots", "harbour")
    assert judgement.note == "a fox, jumping"


def test_filters_are_a_part_of_the_address(page: Page) -> None:
    """Tag, state and text filter the tiles through the address; a tile without a video says why."""
    page.locator('select[name="set"]').select_option("spots")
    page.wait_for_url("**set=spots**")
    page.get_by_label("summer").check()
    page.wait_for_url("**campaign**")
    expect(page.locator(".tile")).to_have_count(1)
    page.get_by_role("link", name="Clear").click()
    page.get_by_label("no video").check()
    page.wait_for_url("**no_video**")
    expect(page.locator(".tile .reason")).to_contain_text("Rejected by moderation: copyright")
    page.get_by_role("link", name="Clear").click()
    page.wait_for_selector("#counts b")
    page.keyboard.press("/")
    page.keyboard.type("HARB")
    page.keyboard.press("Enter")
    page.wait_for_url("**HARB**")
    expect(page.locator(".tile")).to_have_count(1)


def test_a_hostile_prompt_does_nothing(page: Page) -> None:
    """Tile and panel show the prompt as it was written, and none of its markup has an effect."""
    tile(page, "hostile").click()
    expect(page.locator("#panel .prompt-text")).to_have_text(HOSTILE)
    assert page.title() == "All prompt sets - gallery"
    assert page.locator("img[src=x]").count() == 0


def test_a_visitor_logs_in(browser: Browser, serve: Callable[..., str]) -> None:
    """The form admits a visitor who knows the token, and leads on to the clip of the followed link."""
    page = browser.new_page()
    page.goto(f"{serve(token=SecretStr('a-token-that-is-long'))}/?set=spots&clip=harbour")
    page.get_by_label("Token").fill("a guess")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("This is not the token")
    page.get_by_label("Token").fill("a-token-that-is-long")
    page.keyboard.press("Enter")
    expect(page.locator("#panel article")).to_have_attribute("data-partition", "harbour")
    page.close()


def test_everybody_can_use_it(page: Page) -> None:
    """The pages violate none of axe's rules about contrast, names, roles and landmarks."""
    tile(page, "cat").click()
    page.wait_for_selector("#panel article")
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
