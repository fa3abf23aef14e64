"""Where things lie in the bucket: deterministic keys, so that storing twice is storing once."""

from __future__ import annotations

from dataclasses import dataclass

_FINGERPRINT_CHARACTERS = 12


@dataclass(frozen=True)
class IndexKeys:
    """The S3 keys of a set's index."""

    jsonl: str
    parquet: str


@dataclass(frozen=True)
class ObjectKeys:
    """The S3 keys of one finished order."""

    video: str
    poster: str
    manifest: str


def object_keys(prefix: str, prompt_set: str, partition: str, fingerprint: str, attempt: int) -> ObjectKeys:
    """The keys of one attempt at one video.

    Example:
        >>> object_keys("seedance", "spots", "cat", "0123456789abcdef", 1).video
        'seedance/spots/cat/0123456789ab-a1/video.mp4'
    """
    order = f"{fingerprint[:_FINGERPRINT_CHARACTERS]}-a{attempt}"
    folder = _folder(prefix, prompt_set, partition, order)
    return ObjectKeys(f"{folder}/video.mp4", f"{folder}/poster.jpg", f"{folder}/manifest.json")


def index_keys(prefix: str, prompt_set: str) -> IndexKeys:
    """The keys of a set's index.

    Example:
        >>> index_keys("seedance", "spots").jsonl
        'seedance/spots/index.jsonl'
    """
    folder = _folder(prefix, prompt_set)
    return IndexKeys(f"{folder}/index.jsonl", f"{folder}/index.parquet")


def _folder(prefix: str, *parts: str) -> str:
    return "/".join(part for part in (prefix.strip("/"), *parts) if part)
