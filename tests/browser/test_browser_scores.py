"""Scores and finals in a real Chromium: filtered by, sorted by, and rows of their own."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from factories import Clock
from order_factory import OrderFactory
from playwright.sync_api import Page, expect

from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.score_results import ScoreResult


def partitions(page: Page) -> list[str | None]:
    return [tile.get_attribute("data-partition") for tile in page.locator(".tile").all()]


@pytest.fixture
def scored(page: Page, shown: Ledger) -> Page:
    """The first page of a gallery in which all stored videos but one have scores."""
    motion = {"harbour": 0.4, "hostile": 0.1, "cat": 0.2, "cat.t2": 0.9}
    for video in shown.videos.current("spots"):
        if video.partition in motion:
            values = {"motion": motion[video.partition], "mood": "calm"}
            result = ScoreResult(score="s", version="1", values=values)
            shown.scores.record(str(video.order.sha256), [result])
    page.reload()
    page.wait_for_selector("#counts b")
    return page


def test_videos_are_filtered_by_scores(scored: Page) -> None:
    """The page offers the scores by name; each condition has a field, and an emptied one disappears."""
    offered = [option.get_attribute("value") for option in scored.locator("#scores option").all()]
    assert offered == ["mood==", "motion>="]
    scored.locator("input[name=score]").fill("motion>=0.2")
    scored.keyboard.press("Enter")
    scored.wait_for_url("**motion**")
    assert partitions(scored) == ["cat", "cat.t2", "harbour"]
    fields = scored.locator("input[name=score]")
    expect(fields).to_have_count(2)
    fields.nth(1).fill("motion<0.5")
    scored.keyboard.press("Enter")
    scored.wait_for_url("**0.5**")
    expect(scored.locator("input[name=score]")).to_have_count(3)
    expect(scored.locator("input[name=score]").nth(1)).to_have_value("motion<0.5")
    scored.locator("input[name=score]").nth(0).fill("")
    scored.keyboard.press("Enter")
    expect(scored.locator("input[name=score]")).to_have_count(2)
    assert partitions(scored) == ["cat", "hostile", "harbour"]


def test_videos_are_sorted_by_a_score(scored: Page) -> None:
    """Prompts are sorted by their best take, which shows its value; a filter keeps the choice."""
    scored.get_by_label("Sorted by").select_option("motion, highest first")
    scored.wait_for_url("**scores.motion**")
    assert partitions(scored) == ["cat", "cat.t2", "harbour", "hostile"]
    expect(scored.locator('.tile[data-partition="cat.t2"] .score')).to_have_text("0.9")
    expect(scored.get_by_label("Sorted by")).to_have_value("-scores.motion")
    scored.get_by_label("to review").check()
    scored.wait_for_url("**undecided**")
    expect(scored.get_by_label("Sorted by")).to_have_value("-scores.motion")
    results = Axe().run(scored)
    assert results.violations_count == 0, results.generate_report()
    scored.get_by_label("Sorted by").select_option("Newest first")
    scored.wait_for_url(lambda url: "sort" not in url)
    assert partitions(scored)[:3] == ["cat", "cat.t2", "cat.t3"]


def test_finals_have_a_row_of_their_own(page: Page, shown: Ledger) -> None:
    """Choosing a final by its number gives no verdict on the drafts, nor the other way round."""
    orders = OrderFactory(shown, Clock())
    asked = {"mug": PartitionRequest("draft", is_draft=True), "mug.final": PartitionRequest("final")}
    takes = {"mug.t2": PartitionRequest("draft", take=2, is_draft=True)}
    shown.partitions.update("spots", asked | takes | {"mug.t2.final": PartitionRequest("final", take=2)})
    for key, fingerprint, take in (
        ("mug", "draft", 1),
        ("mug.t2", "draft", 2),
        ("mug.final", "final", 1),
        ("mug.t2.final", "final", 2),
    ):
        orders.make(State.STORED, key, fingerprint=fingerprint, take=take)
    page.reload()
    page.wait_for_selector("#counts b")
    rows = {row.get_attribute("data-prompt"): row for row in page.locator(".prompt").all()}
    finals = rows["spots/mug.final"].locator(".tile")
    assert [tile.get_attribute("data-partition") for tile in finals.all()] == ["mug.final", "mug.t2.final"]
    page.locator('.tile[data-partition="mug.final"]').click()
    page.keyboard.press("2")
    expect(page.locator('.tile[data-partition="mug.t2.final"]')).to_have_attribute("data-verdict", "accepted")
    verdicts = {key: judgement.verdict.value for key, judgement in shown.verdicts.current("spots").items()}
    assert verdicts == {"mug.final": "discarded", "mug.t2.final": "accepted"}
