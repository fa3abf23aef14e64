"""The prompts of the demo: the sample set, and a preview whose watermark is removed at a price of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

_PREVIEW = """
  # A preview has a watermark; a second task takes it off, at a price of SEEDANCE_PRICES.
  - id: canal-preview
    prompt: A wooden boat drifts down a canal under plane trees, light flickers through the leaves
    task_type: seedance-2-preview
    remove_watermark: true
    tags: {campaign: travel}
"""
# What the emulator charges.
_PRICES = "prices:\n  - {type: remove-watermark, usd_per_second: 0.01}\n"


def write_demo_set(sample: Path, folder: Path) -> tuple[Path, Path]:
    """Write the demo's prompt set into a folder; return its file and the file of prices.

    Args:
        sample: The sample set; the files beside it are copied as well.
        folder: An existing folder.
    """
    prompts, prices = folder / "prompt_sets" / sample.name, folder / "prices.yaml"
    shutil.copytree(sample.parent, prompts.parent)
    text = sample.read_text(encoding="utf-8").rstrip("\n")
    prompts.write_text(f"{text}\n{_PREVIEW}", encoding="utf-8")
    prices.write_text(_PRICES, encoding="utf-8")
    return prompts, prices
