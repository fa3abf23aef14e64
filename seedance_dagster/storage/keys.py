"""The keys of objects in S3, which are deterministic, so that storing twice has no effect."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

TASK_ID = "seedance-task-id"
"""The S3 metadata that names the task of an object."""

_FINGERPRINT_CHARACTERS = 12
_FILES = {
    "video.mp4": "video",
    "poster.jpg": "poster",
    "preview.mp4": "preview",
    "manifest.json": "manifest",
}
_OLD_INDEX_FILES = ("index.jsonl", "index.parquet")
_INDEX_FILE = re.compile(r"_manifest\.json|part-\d{5,}\.(?:parquet|jsonl)")
_REFERENCES = ".references"
_PROMPTS = ".prompts"
_JOURNAL = ".journal"
_PROBE = ".writable"
_PREFIX_FILES = (_PROBE, f"{_PROBE}-copy", ".seedance-ledger.json")
_REPLACED = re.compile(r"\.replaced-\d{8}T\d{6}Z$")
_DATASET = re.compile(r"[^/]+/dataset/[0-9a-f]{16}")
_KEY = re.compile(r"((?:.*/)?([^/]+)/([^/]+)/([^/]+)-a([1-9][0-9]{0,8}))(?:/([^/]*))?", re.DOTALL)


@dataclass(frozen=True)
class IndexKeys:
    """The S3 keys of a set's index.

    Attributes:
        folder: The folder below the prefix, as `VideoStore.listing` takes it.
        manifest: The key of the object that names the parts. Readers of a whole folder as a table, such as
            pandas and Spark, leave out names that begin with an underscore.
        old: The keys that versions before 0.1 wrote.
    """

    folder: str
    manifest: str
    old: tuple[str, ...]

    def part(self, number: int, suffix: str) -> str:
        """Return the key of a part, such as `.../index/part-00001.parquet`."""
        return f"{self.manifest.rpartition('/')[0]}/part-{number:05d}{suffix}"


@dataclass(frozen=True)
class ObjectKeys:
    """The S3 keys of one finished order."""

    video: str
    poster: str
    preview: str
    manifest: str


@dataclass(frozen=True)
class OrderFolder:
    """The folder of a finished order, parsed from a key.

    Attributes:
        path: The folder's own key, without a slash at its end.
        fingerprint: The first characters of the fingerprint.
        attempt: The number of the attempt, from 1.
        file: The kind of object that the key names: "video", "poster", "preview", "manifest" or
            "folder".
    """

    path: str
    prompt_set: str
    partition: str
    fingerprint: str
    attempt: int
    file: str

    def belongs_to(self, fingerprint: str, attempt: int) -> bool:
        """Return True when an order of this partition has its files in this folder."""
        return fingerprint[:_FINGERPRINT_CHARACTERS] == self.fingerprint and attempt == self.attempt


def object_keys(prefix: str, prompt_set: str, partition: str, fingerprint: str, attempt: int) -> ObjectKeys:
    """Return the keys of an order's objects.

    Example:
        >>> object_keys("seedance", "spots", "cat", "0123456789abcdef", 1).video
        'seedance/spots/cat/0123456789ab-a1/video.mp4'
    """
    folder = _folder(prefix, prompt_set, partition, f"{fingerprint[:_FINGERPRINT_CHARACTERS]}-a{attempt}")
    return ObjectKeys(**{kind: f"{folder}/{name}" for name, kind in _FILES.items()})


def reference_key(prefix: str, sha256: str, suffix: str) -> str:
    """Return the key of the copy of a reference file, by its content.

    Example:
        >>> reference_key("seedance", "5f3a", ".png")
        'seedance/.references/5f3a.png'
    """
    return _folder(prefix, _REFERENCES, f"{sha256}{suffix}")


def prompt_table_key(prefix: str, prompt_set: str) -> str:
    """Return the key of the prompts of a set that another asset made.

    Example:
        >>> prompt_table_key("seedance", "spots")
        'seedance/.prompts/spots.json'
    """
    return _folder(prefix, _PROMPTS, f"{prompt_set}.json")


def journal_key(prefix: str, name: str) -> str:
    """Return the key of a part of the journal's archive.

    Example:
        >>> journal_key("seedance", "2026-04-06-5f3a")
        'seedance/.journal/2026-04-06-5f3a.parquet'
    """
    return _folder(prefix, _JOURNAL, f"{name}.parquet")


def object_metadata(task_id: str, fingerprint: str) -> dict[str, str]:
    """Return the S3 metadata of each object of an order."""
    return {TASK_ID: task_id, "seedance-fingerprint": fingerprint}


def replaced_key(key: str, at: datetime) -> str:
    """Return the key that keeps an object which a repair replaces at a time (UTC).

    Example:
        >>> replaced_key("spots/cat/video.mp4", datetime(2026, 4, 6, 18))
        'spots/cat/video.mp4.replaced-20260406T180000Z'
    """
    return f"{key}.replaced-{at:%Y%m%dT%H%M%SZ}"


def is_replaced(key: str) -> bool:
    """Return True for a key that `replaced_key` made."""
    return _REPLACED.search(key) is not None


def probe_key(prefix: str) -> str:
    """Return the key of the object that tests whether the store can be written."""
    return _folder(prefix, _PROBE)


def is_own_file(prefix: str, key: str) -> bool:
    """Return True for a file that belongs to no single order, such as an index, a dataset or a reference.

    Example:
        >>> is_own_file("seedance", "seedance/spots/index/part-00001.parquet")
        True
    """
    start = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    folder, _, name = key.removeprefix(start).rpartition("/")
    if folder in (_REFERENCES, _PROMPTS, _JOURNAL):
        return True
    if _DATASET.fullmatch(folder):
        return True
    if folder.endswith("/index"):
        return folder.count("/") == 1 and is_index_file(key)
    if folder:
        return "/" not in folder and name in _OLD_INDEX_FILES
    return name in _PREFIX_FILES


def order_folder(key: str) -> OrderFolder | None:
    """Return the folder that a key names or is in; None for a key that `object_keys` does not make.

    Example:
        >>> order_folder("seedance/spots/cat/0123456789ab-a1/video.mp4").partition
        'cat'
    """
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    path, prompt_set, partition, fingerprint, attempt, name = match.groups()
    return OrderFolder(path, prompt_set, partition, fingerprint, int(attempt), _FILES.get(name, "folder"))


def set_folder(prefix: str, prompt_set: str) -> str:
    """Return the folder of a set, below which all of its videos are, without a slash at its end.

    Example:
        >>> set_folder("seedance", "spots")
        'seedance/spots'
    """
    return _folder(prefix, prompt_set)


def index_keys(prefix: str, prompt_set: str) -> IndexKeys:
    """Return the keys of a set's index.

    Example:
        >>> index_keys("seedance", "spots").part(1, ".parquet")
        'seedance/spots/index/part-00001.parquet'
    """
    return IndexKeys(
        folder=_folder("", prompt_set, "index"),
        manifest=_folder(prefix, prompt_set, "index", "_manifest.json"),
        old=tuple(_folder(prefix, prompt_set, name) for name in _OLD_INDEX_FILES),
    )


def is_index_file(key: str) -> bool:
    """Return True for the key of a file of a set's index.

    Example:
        >>> is_index_file("seedance/spots/index/part-00001.parquet")
        True
    """
    folder, _, name = key.rpartition("/")
    return folder.endswith("/index") and _INDEX_FILE.fullmatch(name) is not None


def dataset_folder(prompt_set: str, version: str) -> str:
    """Return the folder of a version of a set's dataset, below the prefix.

    Example:
        >>> dataset_folder("spots", "0123456789abcdef")
        'spots/dataset/0123456789abcdef'
    """
    return _folder("", prompt_set, "dataset", version)


def _folder(prefix: str, *parts: str) -> str:
    return "/".join(part for part in (prefix.strip("/"), *parts) if part)
