"""A delivered video: its file, its inspection, and the ledger's columns of it once it is stored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedance_dagster.engine.stages.download import Downloaded
from seedance_dagster.media.boxes import check_structure
from seedance_dagster.media.errors import CutShortError, MediaError
from seedance_dagster.media.inspection import Inspection, inspect_video
from seedance_dagster.media.properties import Probe
from seedance_dagster.storage.keys import ObjectKeys
from seedance_dagster.versions import CODE_VERSION, package_version


@dataclass(frozen=True)
class Delivery:
    """A file from the vendor's host.

    Attributes:
        file: The file.
        inspection: Its inspection; a whole file may be one that cannot be read.
        cut_short: What is missing at the end of a file that plays all the same; None for a whole one.
    """

    file: Downloaded
    inspection: Inspection
    cut_short: str | None = None

    @property
    def is_sound(self) -> bool:
        """True for a whole file that can be read."""
        return self.inspection.probe is not None and self.cut_short is None


@dataclass(frozen=True)
class SignedFile:
    """A file to store.

    Attributes:
        sha256: The hash of the file, in hex.
        credential: The ledger's record of its content credential; `{"error": ...}` where signing failed, None
            where no signer is configured.
    """

    path: Path
    size_bytes: int
    sha256: str
    credential: dict[str, Any] | None


def inspect_delivery(file: Downloaded) -> Delivery:
    """Inspect a downloaded file. One that cannot be read is accepted if it is whole: it was paid for.

    Raises:
        MediaError: It is not a whole mp4, and cannot be read.
        OSError: It cannot be read.
    """
    inspection = inspect_video(file.path)
    try:
        check_structure(file.path)
    except MediaError as error:
        if inspection.probe is None:
            raise MediaError(f"{inspection.problem}; {error}") from None
        # Its sound may be in the part that is missing; other oddities do a file that plays no harm.
        return Delivery(file, inspection, str(error) if isinstance(error, CutShortError) else None)
    return Delivery(file, inspection)


def artifacts_of(keys: ObjectKeys, delivery: Delivery, stored: SignedFile) -> dict[str, Any]:
    """Return the ledger's columns of a stored video.

    Args:
        keys: Where it is stored.
        delivery: The video as it was delivered.
        stored: The file that was stored, which may be a signed copy.
    """
    inspection = delivery.inspection
    poster = inspection.poster
    return {
        "video_key": keys.video,
        "poster_key": None if poster is None else keys.poster,
        "manifest_key": keys.manifest,
        "size_bytes": stored.size_bytes,
        "poster_size_bytes": None if poster is None else len(poster),
        "sha256": stored.sha256,
        "delivered_sha256": delivery.file.sha256,
        "credential": stored.credential,
        "poster_sha256": None if poster is None else hashlib.sha256(poster).hexdigest(),
        **_properties(inspection.probe),
        "video_problem": inspection.problem,
        "poster_problem": inspection.poster_problem,
        "package_version": package_version(),
        "code_version": CODE_VERSION,
    }


def _properties(probe: Probe | None) -> dict[str, Any]:
    sound = None if probe is None else probe.sound
    names = ("duration_s", "width", "height", "codec", "fps", "bit_depth", "hdr")
    return {name: getattr(probe, name, None) for name in names} | {
        "audio_codec": None if sound is None else sound.codec,
        "audio_channels": (None if probe is None else 0) if sound is None else sound.channels,
        "audio_silent": None if sound is None else sound.silent,
    }
