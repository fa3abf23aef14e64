"""Prompts that ask for more than text: with files of the team's own, and without watermark."""

from __future__ import annotations

import functools
import hashlib
import random
from pathlib import Path
from typing import Any

from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.emulator.samples import sample_file

_PICTURES = tuple(f"references/{name}.png" for name in ("cat", "dog", "fish"))
_PRICES = "prices: [{type: remove-watermark, usd_per_second: 0.01}]\n"


def write_files(folder: Path) -> Path:
    """Write the pictures that prompts refer to, and the price of a removal; return the price file."""
    (folder / "references").mkdir()
    for picture in _PICTURES:
        (folder / picture).write_bytes(_content(picture))
    prices = folder / "prices.yaml"
    prices.write_text(_PRICES)
    return prices


def with_own_file(rng: random.Random, common: dict[str, Any]) -> GenerationRequest:
    """Draw a request with a picture from the prompt file's folder."""
    picture = rng.choice(_PICTURES)
    sha256 = hashlib.sha256(_content(picture)).hexdigest()
    return GenerationRequest(
        **common,
        task_type="seedance-2-fast",
        mode=Mode.OMNI_REFERENCE,
        aspect_ratio="1:1",
        image_urls=(f"{picture}#sha256={sha256}",),
    )


def cleaned(rng: random.Random, common: dict[str, Any]) -> GenerationRequest:
    """Draw a request for a preview, most often without its watermark."""
    return GenerationRequest(
        **common | {"duration": 5},
        task_type=rng.choice(("seedance-2-preview", "seedance-2-fast-preview")),
        mode=Mode.TEXT_TO_VIDEO,
        aspect_ratio="16:9",
        remove_watermark=rng.random() < 0.8,
    )


@functools.cache
def _content(picture: str) -> bytes:
    return sample_file(picture, "png", duration_ms=0, ratio="1:1")
