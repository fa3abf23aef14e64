"""Takes the pictures of Dagster's pages in docs/images, of a set that is rendered for them.

    .venv/bin/python -m pip install --group browser
    .venv/bin/python docs/screenshots.py

It needs Chromium (Debian's package `chromium`), no account, and some minutes. Look at each picture
afterwards.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from seedance_dagster.cli.environ import reference_definitions, sample_set, unconfigured
from seedance_dagster.cli.local.demo_set import write_demo_set
from seedance_dagster.cli.local.stack import Stack, running_stack

IMAGES = Path(__file__).parent / "images"
SET, SHOWN = "showcase", "harbour-dawn"
REFUSED_SET, REFUSED = "street_scenes", "protest"
REFUSED_PROMPTS = """
name: street_scenes
defaults: {task_type: seedance-2-fast, duration: 5}
prompts:
  - {id: market, prompt: "A flea market in the rain, umbrellas from above"}
  - {id: protest, prompt: "A crowd in front of a burning house [fault:moderation]"}
  - {id: tram, prompt: "A tram turns a corner at night, sparks under the wire"}
"""
LOCATION = "/locations/__repository__@definitions.py"
ASSETS = ("prompts", "tasks", "videos", "index")
WAIT_MS = 120_000
COLORS = 128
SIZE: Any = {"width": 1360, "height": 900}

LAUNCH = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
  ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""


def main() -> None:
    """Render the set, and take the pictures."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory(prefix="seedance-pictures-") as folder, sync_playwright() as playwright:
        prompts, prices = write_demo_set(sample_set(), Path(folder))
        (prompts.parent / f"{REFUSED_SET}.yaml").write_text(REFUSED_PROMPTS, "utf-8")
        environ = unconfigured(os.environ)
        environ |= {"SEEDANCE_PROMPTS": str(prompts.parent), "SEEDANCE_PRICES": str(prices)}
        environ |= {"SEEDANCE_BUDGET_USD_PER_DAY": "25"}
        definitions = reference_definitions()
        with running_stack(
            Path(folder), environ, definitions=definitions, emulated=True, embedded_s3=True
        ) as stack:
            run_id = render(stack)
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            take_all(browser.new_page(viewport=SIZE), stack.dagster.url, run_id)
            browser.close()


def render(stack: Stack) -> str:
    """Plan the set, and launch it and another one; return the run of the plan."""
    api, wanted = stack.dagster.api, {SET: SHOWN, REFUSED_SET: REFUSED}
    while not all(key in api.partition_keys([name, "prompts"]) for name, key in wanted.items()):
        time.sleep(1)
    selector = {"repositoryLocationName": "definitions.py", "repositoryName": "__repository__"}
    config = {"ops": {"plan": {"config": {"set": SET}}}}
    params = {"selector": selector | {"jobName": "seedance_plan"}, "runConfigData": config, "mode": "default"}
    answer = httpx.post(
        f"{stack.dagster.url}/graphql",
        json={"query": LAUNCH, "variables": {"params": params}},
        timeout=60,
        trust_env=False,
    ).json()
    time.sleep(30)  # it says what is new, while nothing is ordered yet
    for name in wanted:
        keys = api.partition_keys([name, "prompts"])
        backfill = api.launch_backfill([(name, asset) for asset in ASSETS], keys, f"All of {name}")
        while not api.backfill(backfill).ended:
            time.sleep(1)
    return str(answer["data"]["launchRun"]["run"]["runId"])


def take_all(page: Page, url: str, run_id: str) -> None:
    """Take every picture."""
    page.set_default_timeout(WAIT_MS)
    videos, tasks = f"{url}/assets/{SET}/videos", f"{url}/assets/{REFUSED_SET}/tasks"

    page.set_viewport_size({"width": 2200, "height": 700})  # else the graph has names only
    page.goto(f"{url}{LOCATION}/asset-groups/{SET}")
    take(page, "lineage", "100% filled", clip={"x": 290, "y": 170, "width": 1860, "height": 520})
    page.set_viewport_size(SIZE)
    page.goto(f"{videos}?{urlencode({'view': 'overview'})}")
    take(page, "asset", "seedance/folder")
    page.goto(f"{videos}?{urlencode({'view': 'partitions', 'partition': SHOWN})}")
    take(page, "partitions", "dagster/uri")
    page.get_by_text("[Show Markdown]").first.click()
    take(page, "video-poster")
    page.goto(f"{videos}?{urlencode({'view': 'checks', 'checkDetail': 'budget_remaining'})}")
    take(page, "checks", "of 25.00 USD a day")
    page.goto(f"{tasks}?{urlencode({'view': 'events', 'partition': REFUSED})}")
    take(page, "rejected", "seedance/what_to_do")
    page.goto(f"{url}{LOCATION}/jobs/seedance_plan/playground")
    take(page, "launchpad", "Launch Run")
    page.goto(f"{url}/runs")
    take(page, "runs", "seedance_plan")
    page.goto(f"{url}/runs/{run_id}")
    expect(page.locator("body")).to_contain_text("Success", timeout=WAIT_MS)
    page.get_by_role("button", name="View full message").first.click()
    take(page, "plan", "ordered_as")
    page.set_viewport_size(SIZE | {"height": 4800})  # the index has many columns, and metadata below them
    page.goto(f"{url}/assets/{SET}/index?{urlencode({'view': 'overview'})}")
    page.get_by_text("seedance/spend_by_tag").first.wait_for()
    plot: Any = page.get_by_text("seedance/spend_plot").first.bounding_box()
    take(page, "spend", clip={"x": 263, "y": plot["y"] - 14, "width": 740, "height": 510})


def take(page: Page, name: str, text: str = "", clip: Any = None) -> None:
    """Take a picture once a text is there and the page stands still."""
    expect(page.locator("body")).to_contain_text(text, timeout=WAIT_MS, ignore_case=True)
    page.wait_for_timeout(4_000)
    picture = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")
    picture.quantize(COLORS).save(IMAGES / f"{name}.png", optimize=True)
    sys.stdout.write(f"{name}.png: {(IMAGES / f'{name}.png').stat().st_size // 1000} kB\n")


if __name__ == "__main__":
    main()
