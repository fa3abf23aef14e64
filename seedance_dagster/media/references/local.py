"""Facts about a file whose content is at hand."""

from __future__ import annotations

import hashlib

from seedance_dagster.media.references.duration import PartialFile, duration_of
from seedance_dagster.media.references.facts import FileFacts
from seedance_dagster.media.references.file_types import MAGIC_BYTES, type_of


def facts_of(content: bytes) -> FileFacts:
    """Return the facts about a file.

    Raises:
        MediaError: It cannot be played or does not state its length.
    """
    kind = type_of(content[:MAGIC_BYTES])
    whole = PartialFile(content, len(content))
    return FileFacts(
        media_type=kind.value,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        duration_s=duration_of(whole, kind) if kind.container else None,
    )
