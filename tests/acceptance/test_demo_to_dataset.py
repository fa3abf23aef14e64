"""A visitor's way from `seedance-dagster demo` to a dataset that Hugging Face's library loads."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes_support import COMMAND, awaited

playwright = pytest.importorskip("playwright.sync_api", reason="pip install --group browser")

ROOT = Path(__file__).parents[2]
STATE = ROOT / ".seedance"
GALLERY = re.compile(r"In the gallery +(http://\S+)")


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[str]:
    """The address of the gallery of a demo whose videos are stored."""
    output = tmp_path / "demo.log"
    environ = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    with (
        output.open("w") as log,
        subprocess.Popen([*COMMAND, "demo"], cwd=ROOT, env=environ, stdout=log, stderr=log) as demo,
    ):
        awaited(lambda: demo.poll() is not None or "Press Ctrl-C" in output.read_text(), 600)
        match = GALLERY.search(output.read_text())
        assert match, output.read_text()
        yield match[1]
        demo.terminate()
        demo.wait(60)


def command(*words: str) -> Any:
    """Run a command beside the demo, and return its JSON output."""
    done = subprocess.run([*COMMAND, *words, "--json"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_visitor_accepts_takes_and_exports_what_datasets_loads(gallery, page, tmp_path):
    """Two takes are accepted and one is discarded by keyboard; the dataset holds the two, and only those."""
    page.goto(gallery)
    page.locator(".tile[data-partition] video, .tile[data-partition] img").first.wait_for()
    page.locator(".tile[data-partition]").first.click()
    for count, key in enumerate(("a", "a", "x"), 1):
        page.keyboard.press(key)
        decided = page.locator(".tile[data-verdict=accepted], .tile[data-verdict=discarded]")
        playwright.expect(decided).to_have_count(count)
    destination = tmp_path / "dataset"
    command("export", "showcase", str(destination))

    import datasets

    loaded = datasets.load_dataset(
        "videofolder", data_dir=str(destination), cache_dir=str(tmp_path / "cache"), drop_metadata=False
    )
    rows = [row for split in loaded.values() for row in split.remove_columns("video")]
    accepted = {
        row["partition"] for row in command("review", "list", "showcase", "--where", "verdict=accepted")
    }
    assert len(rows) == 2
    assert {row["partition"] for row in rows} == accepted
    assert all(row["cost_usd"] > 0 for row in rows)
