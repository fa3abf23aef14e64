"""The identity of a request: its normalized text, and the fingerprint of what would be rendered."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from functools import lru_cache
from typing import Any

from seedance_dagster.api.wire import REFERENCE_KINDS, GenerationRequest, Mode
from seedance_dagster.prompts.files import FileReference
from seedance_dagster.prompts.links import unsigned_link

# The vendor's defaults, fixed for good: a change here would change every fingerprint, and so what
# counts as already paid for.
_DEFAULT_RATIO = "16:9"
_DEFAULT_RESOLUTIONS = {
    "seedance-2": "480p",
    "seedance-2-fast": "480p",
    "seedance-2-mini": "720p",
    "seedance-2.5": "720p",
    "seedance-2-preview": "480p",
    "seedance-2-fast-preview": "480p",
}
_SAME_MODEL = "-less-restriction"
INVISIBLE = "\ufeff\u200b\u2060\u00ad\u180e\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters without a shape that copying leaves behind; not those that join letters and emoji."""
_SPELLINGS = str.maketrans(
    dict.fromkeys("\u00a0\u202f", " ")
    | dict.fromkeys("\v\u0085\u2028\u2029", "\n")
    | dict.fromkeys(INVISIBLE)
)
"""Non-breaking spaces, unusual line ends, and invisible characters."""
_SORTED = json.JSONEncoder(sort_keys=True)


def normalized_text(text: str) -> str:
    r"""Return a prompt's text in NFC, with one kind of space and line end, and without spaces at the ends.

    Example:
        >>> normalized_text("  A cafe\u0301\r\nat dawn \n")
        'A café\nat dawn'
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii() or "\v" in text:
        text = unicodedata.normalize("NFC", text).translate(_SPELLINGS)
    if "\n" in text:
        text = "\n".join(map(str.rstrip, text.split("\n")))
    return text.strip()


def default_resolution(task_type: str) -> str | None:
    """Return the resolution that the vendor renders when a request names none; None for an unknown type.

    Example:
        >>> default_resolution("seedance-2-mini-less-restriction")
        '720p'
    """
    return _DEFAULT_RESOLUTIONS.get(task_type.removesuffix(_SAME_MODEL))


def normalized(request: GenerationRequest) -> GenerationRequest:
    """Return a request as it is sent: with its text normalized, and its links unchanged."""
    text = normalized_text(request.prompt)
    return request if text == request.prompt else request.model_copy(update={"prompt": text})


def fingerprint(request: GenerationRequest) -> str:
    """Return the SHA-256, in hex, of what the vendor would render.

    A field that is not set counts as the vendor's default: 16:9, the type's resolution, with sound. The
    aspect ratio does not count in first_last_frames, where the first image decides it. The text counts
    as normalized, the team's own file by its content, and a link without the parameters that sign it. The
    removal of the watermark counts if it is requested.

    Example:
        >>> request = GenerationRequest(task_type="seedance-2", prompt="a", mode=Mode.TEXT_TO_VIDEO)
        >>> fingerprint(request) == fingerprint(request.model_copy(update={"aspect_ratio": "16:9"}))
        True
    """
    fields = {name: value for name, value in vars(request).items() if name != "prompt"}
    before, after = _around_the_text(**fields)
    text = _SORTED.encode(normalized_text(request.prompt))
    return hashlib.sha256(f"{before}{text}{after}".encode()).hexdigest()


@lru_cache(maxsize=1_000, typed=True)
def _around_the_text(**fields: Any) -> tuple[str, str]:
    """Return the JSON of what would be rendered, before and after its text."""
    rendered = {**fields, "prompt": ""}
    rendered["aspect_ratio"] = (
        None if fields["mode"] is Mode.FIRST_LAST_FRAMES else fields["aspect_ratio"] or _DEFAULT_RATIO
    )
    rendered["resolution"] = fields["resolution"] or default_resolution(fields["task_type"])
    rendered["audio"] = fields["audio"] is not False
    if not fields["remove_watermark"]:
        del rendered["remove_watermark"]
    for kind in REFERENCE_KINDS:
        rendered[f"{kind}_urls"] = list(map(reference_identity, rendered[f"{kind}_urls"]))
    # Quotation marks within a value are escaped, so this occurs once.
    before, name, after = _SORTED.encode(rendered).partition('"prompt": ""')
    return before + name.removesuffix('""'), after


def reference_identity(reference: str) -> str:
    """Return the identity of a reference: a file's content, or a link without its signature."""
    file = FileReference.parse(reference)
    return unsigned_link(reference) if file is None else file.identity
