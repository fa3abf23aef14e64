"""Dagster's pages in a browser: what a person clicks, and reads where something went wrong."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
import yaml

playwright = pytest.importorskip("playwright.sync_api", reason="pip install --group browser")

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SETS = {
    "spots": {"harbour": "A harbour at dawn", "crowd": "A crowd that moderation refuses [fault:moderation]"},
    "dear": {"lighthouse": "A lighthouse in the storm", "boat": "A paper boat in the rain"},
}


@pytest.fixture
def page() -> Iterator[playwright.Page]:
    """A page of a headless Chromium."""
    if PROGRAM is None:
        pytest.skip("no Chromium is installed; on Debian run: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 1100})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def test_a_person_reads_on_the_pages_why_there_is_no_video(world, page, tmp_path):
    """A backfill is clicked for a set with a refused prompt and one over its budget: both pages say why."""
    folder = tmp_path / "prompt_sets"
    folder.mkdir()
    for name, texts in SETS.items():
        prompts = [{"id": key, "prompt": text} for key, text in texts.items()]
        document = {
            "name": name,
            "defaults": {"task_type": "seedance-2-fast", "duration": 5},
            "prompts": prompts,
        }
        budget = {"budget_usd": {"day": 0.5}} if name == "dear" else {}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(document | budget))
    with world(folder, "--render-seconds", "2") as it:
        for name in SETS:
            it.partitions(name, 2)
            click_materialize_all(page, it.stack.dagster.url, name)
        it.until(lambda: len(it.runs(statuses=["FAILURE", "SUCCESS"])) == len(SETS), 300)

        shown = read_partition(page, it.stack.dagster.url, "spots", "crowd")
        assert "rejected" in shown
        assert "edit the prompt" in shown
        for asset in ("tasks", "videos"):
            shown = read_partition(page, it.stack.dagster.url, "dear", "boat", asset)
            assert "do not fit the budget of prompt set dear of 0.50 USD a day" in shown
        page.goto(f"{it.stack.dagster.url}/assets/dear/videos?view=checks")
        page.get_by_text("budget_remaining").first.click()
        assert "budget of prompt set dear of 0.50 USD a day" in text_of(page)
        assert it.books()["tasks"] == 2


def click_materialize_all(page: playwright.Page, url: str, name: str) -> None:
    page.goto(f"{url}/locations/__repository__@definitions.py/asset-groups/{name}")
    page.get_by_role("button", name="Materialize all").click()
    page.get_by_role("button", name="All", exact=True).click()
    with page.expect_response(lambda reply: "LaunchPartitionBackfill" in (reply.request.post_data or "")):
        page.get_by_role("button", name="Launch backfill").click()


def read_partition(page: playwright.Page, url: str, name: str, partition: str, asset: str = "videos") -> str:
    """Return what the page of a partition shows, with its last event opened."""
    page.goto(f"{url}/assets/{name}/{asset}?view=partitions&partition={partition}")
    page.get_by_text("View all historical events").click()
    page.wait_for_timeout(4_000)  # the page still moves
    row = page.get_by_role("row").filter(has_text="Observation").first
    row.locator("[role=button], button, svg").first.click()
    return text_of(page)


def text_of(page: playwright.Page) -> str:
    page.wait_for_timeout(3_000)
    return page.inner_text("body")
