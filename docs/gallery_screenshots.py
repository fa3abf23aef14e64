"""Takes the pictures of the gallery in docs/images, of sets that are rendered for them.

    .venv/bin/python -m pip install --group browser
    .venv/bin/python docs/gallery_screenshots.py

It needs Chromium (Debian's package `chromium`), no account, and some minutes. Look at each picture
afterwards.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import httpx
from playwright.sync_api import Page, sync_playwright
from screenshots import take

from seedance_dagster.cli.environ import reference_definitions, sample_set, unconfigured
from seedance_dagster.cli.local.demo_set import write_demo_set
from seedance_dagster.cli.local.stack import Stack, running_stack

SET, VARIANTS, SORT = "showcase", "mugs", "-scores.sharpness"
SCORES = "scores: [motion, sharpness, cuts]\n"
MUGS = """
name: mugs
draft: {resolution: 480p}
final: {resolution: 720p}
defaults: {task_type: seedance-2-fast, duration: 4}
matrix: {style: [film noir, watercolour]}
prompts:
  - {id: mug, prompt: "A mug of tea on a wooden table, {style} style", takes: 3}
"""
ACCEPTED = ("cat-garden", "bottle-turntable", "glass-forest", "desert-train")
DISCARDED = ("ink-dragon", "painted-dance")
DRAFTS = ("mug-film-noir", "mug-film-noir.t3", "mug-watercolour.t2")
WAIT_S = 600


def main() -> None:
    """Render the sets, review some videos, and take the pictures."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory(prefix="seedance-pictures-") as folder, sync_playwright() as playwright:
        prompts, prices = write_demo_set(sample_set(), Path(folder))
        prompts.write_text(SCORES + prompts.read_text("utf-8"), "utf-8")
        (prompts.parent / f"{VARIANTS}.yaml").write_text(MUGS, "utf-8")
        environ = unconfigured(os.environ)
        environ |= {"SEEDANCE_PROMPTS": str(prompts.parent), "SEEDANCE_PRICES": str(prices)}
        with running_stack(
            Path(folder), environ, definitions=reference_definitions(), emulated=True, embedded_s3=True
        ) as stack:
            render(stack)
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            viewport = {"width": 1200, "height": 720}
            take_all(browser.new_page(viewport=viewport, color_scheme="dark"), stack.gallery.url)  # type: ignore[arg-type]
            browser.close()


def render(stack: Stack) -> None:
    """Materialize the sets, accept drafts, materialize their finals, and wait for scores."""
    materialize(stack, SET)
    materialize(stack, VARIANTS)
    review(stack, "accept", SET, *ACCEPTED)
    review(stack, "discard", SET, *DISCARDED)
    review(stack, "accept", VARIANTS, *DRAFTS)
    run(stack, "sync")
    materialize(stack, VARIANTS)
    address = f"{stack.gallery.url}/tiles?{urlencode({'set': SET, 'sort': SORT, 'score': 'cuts>=0'})}"
    await_that(lambda: httpx.get(address, trust_env=False).text.count('class="score"') >= len(ACCEPTED) * 3)


def materialize(stack: Stack, name: str) -> None:
    """Order everything of a set, and wait for the videos."""
    api = stack.dagster.api
    await_that(lambda: bool(api.partition_keys([name, "prompts"])))
    keys = api.partition_keys([name, "prompts"])
    assets = ("prompts", "tasks", "videos")
    backfill = api.launch_backfill([(name, asset) for asset in assets], keys, f"All of {name}")
    await_that(lambda: api.backfill(backfill).ended)


def review(stack: Stack, verdict: str, name: str, *partitions: str) -> None:
    """Give a verdict."""
    run(stack, "review", verdict, name, *partitions, "--reviewer", "ann")


def run(stack: Stack, *arguments: str) -> None:
    """Run a command beside the programs."""
    command = [str(Path(sys.executable).with_name("seedance-dagster")), *arguments]
    subprocess.run(command, env=stack.environ, check=True, stdout=subprocess.DEVNULL)  # noqa: S603


def await_that(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + WAIT_S
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError("it takes too long; look at the logs below $TMPDIR")
        time.sleep(1)


def take_all(page: Page, url: str) -> None:
    """Take every picture."""
    page.add_init_script("localStorage.setItem('seedance-reviewer', 'ann')")
    page.goto(f"{url}/?{urlencode({'set': SET, 'sort': SORT})}")
    page.wait_for_selector("#counts b")
    page.keyboard.press("j")
    take(page, "gallery", "sharpness, highest first")
    page.goto(f"{url}/?{urlencode({'set': VARIANTS})}")
    page.wait_for_selector("#counts b")
    take(page, "gallery-finals", "mug-film-noir.final")
    question = {"name": "resolution", "first": "480p", "second": "720p"}
    page.goto(f"{url}/compare/pair?{urlencode({'set': VARIANTS} | question)}")
    take(page, "compare", "left")


if __name__ == "__main__":
    main()
