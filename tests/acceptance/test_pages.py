"""Dagster's pages in a browser: what a person clicks, and where the reasons of failures are shown."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
import yaml

playwright = pytest.importorskip("playwright.sync_api", reason="pip install --group browser")

PATIENT_MS = 120_000
SETS = {
    "spots": {"harbour": "A harbour at dawn", "crowd": "A crowd that moderation refuses [fault:moderation]"},
    "dear": {"lighthouse": "A lighthouse in the storm", "boat": "A paper boat in the rain"},
}
BUDGET = "the budget of prompt set dear of 0.50 USD a day"


def test_a_person_reads_on_the_pages_why_there_is_no_video(world, page, tmp_path):
    """The pages of a backfill name the refused prompt of one set and the full budget of another."""
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
    with world(folder, "--render-seconds", "2") as system:
        url = system.stack.dagster.url
        for name in SETS:
            system.partitions(name, 2)
        launched = [click_materialize_all(page, url, name) for name in SETS]
        assert [system.ended(backfill, 600) for backfill in launched] == ["COMPLETED_FAILED"] * 2

        expect_event(page, url, "spots/tasks", "crowd", "rejected by moderation", "edit the prompt")
        expect_event(page, url, "spots/videos", "crowd", "rejected by moderation", "edit the prompt")
        expect_event(page, url, "spots/videos", "harbour", "materialized in run", "seedance/cost_usd")
        for asset in ("dear/tasks", "dear/videos"):
            expect_event(page, url, asset, "boat", "nothing was ordered", f"do not fit {BUDGET}")
        page.goto(
            f"{url}/assets/dear/videos?{urlencode({'view': 'checks', 'checkDetail': 'budget_remaining'})}"
        )
        expect_text(page, "0.00 USD reserved, 0.00 USD spent, 0.50 USD left")
        page.goto(f"{url}/assets/spots/videos?{urlencode({'view': 'overview'})}")
        expect_text(page, "seedance_sensor")  # what drives the asset
        assert system.books()["tasks"] == 2


def click_materialize_all(page: playwright.Page, url: str, name: str) -> str:
    """Launch a backfill of a whole set by clicks, and return its id."""
    page.goto(f"{url}/locations/__repository__@definitions.py/asset-groups/{name}")
    page.get_by_role("button", name="Materialize all").click()
    page.get_by_role("button", name="All", exact=True).click()
    with page.expect_response(
        lambda reply: "LaunchPartitionBackfill" in (reply.request.post_data or "")
    ) as reply:
        page.get_by_role("button", name="Launch backfill").click()
    return str(reply.value.json()["data"]["launchPartitionBackfill"]["backfillId"])


def expect_event(page: playwright.Page, url: str, asset: str, partition: str, *texts: str) -> None:
    """Open the newest event of a partition by its address: lists that still load take no clicks."""
    page.goto(f"{url}/assets/{asset}?{urlencode({'view': 'events', 'partition': partition})}")
    for text in (f"Partition {partition} ", *texts):
        expect_text(page, text)


def expect_text(page: playwright.Page, text: str) -> None:
    playwright.expect(page.locator("body")).to_contain_text(text, timeout=PATIENT_MS)
