"""A request's fingerprint: the same exactly when the vendor would render the same."""

from __future__ import annotations

import hashlib
import json

from seedance_dagster.api.wire import GenerationRequest, Mode

# The vendor's documented defaults when this package began. Fixed for good: a change here would
# change every fingerprint, and with it what counts as paid for already.
_DEFAULT_RATIO = "16:9"
_DEFAULT_RESOLUTION = "480p"


def fingerprint(request: GenerationRequest) -> str:
    """SHA-256, in hex, of what the vendor would render.

    What is left out counts as the vendor's documented default: 16:9, 480p, with sound. The aspect
    ratio does not count in first_last_frames, where the image decides it.

    Example:
        >>> short = GenerationRequest(task_type="seedance-2", prompt="a", mode=Mode.TEXT_TO_VIDEO)
        >>> fingerprint(short) == fingerprint(short.model_copy(update={"aspect_ratio": "16:9"}))
        True
    """
    rendered = request.model_dump(mode="json")
    rendered["aspect_ratio"] = (
        None if request.mode is Mode.FIRST_LAST_FRAMES else request.aspect_ratio or _DEFAULT_RATIO
    )
    rendered["resolution"] = request.resolution or _DEFAULT_RESOLUTION
    rendered["audio"] = request.audio is not False
    return hashlib.sha256(json.dumps(rendered, sort_keys=True).encode()).hexdigest()
