"""The capabilities that a store needs, each tried as it will be used before anything is paid for."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from seedance_dagster.storage.errors import StoreError, error_code
from seedance_dagster.storage.keys import TASK_ID, probe_key
from seedance_dagster.storage.s3 import VideoStore

_SAMPLE_BYTES = 2 * 1024 * 1024  # like a small video; proxies usually accept bodies of 1 MB
_SAMPLE_HEAD = b"\0\0\0\x18ftypisom\0\0\2\0isommp41"
_SEEN = {"412", "PreconditionFailed"}


class Verdict(StrEnum):
    """The result of trying a capability."""

    OK = "ok"
    WORKED_AROUND = "worked around"
    MISSING = "missing"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Capability:
    """A capability of a store.

    Attributes:
        name: A word for it.
        use: The purpose that it serves.
        permissions: The permissions that it needs.
        workaround: The replacement for it; None where nothing can be stored without it.
    """

    name: str
    use: str
    permissions: tuple[str, ...]
    workaround: str | None = None


@dataclass(frozen=True)
class Trial:
    """A capability that was tried; `words` are the store's answer, or the workaround."""

    capability: Capability
    verdict: Verdict
    words: str = ""

    @property
    def blocks(self) -> bool:
        """Return True where no video could be stored."""
        return self.verdict is Verdict.MISSING and self.capability.workaround is None


CAPABILITIES = (
    Capability("write", "stores videos, posters, manifests and indexes", ("s3:PutObject",)),
    Capability("head", "finds out whether a video is stored completely", ("s3:GetObject", "s3:ListBucket")),
    Capability("read", "reads manifests and the name of the prefix's owner", ("s3:GetObject",)),
    Capability(
        "metadata",
        "distinguishes an interrupted upload from another task's video, which is never overwritten",
        (),
    ),
    Capability(
        "conditions",
        "keeps a late worker from overwriting anything (`If-None-Match`)",
        (),
        "the object is checked before and after each write",
    ),
    Capability(
        "checksums",
        "verifies uploads by boto3's default checksums",
        (),
        "uploads are verified by their MD5, as with AWS_REQUEST_CHECKSUM_CALCULATION=when_required",
    ),
    Capability(
        "list",
        "lets checks and audits compare the stored objects",
        ("s3:ListBucket",),
        "videos are stored; `objects_intact` and `audit` cannot check them",
    ),
    Capability(
        "copy",
        "keeps objects that a repair replaces",
        ("s3:GetObject", "s3:PutObject"),
        "videos are stored; `audit --repair` repairs no object",
    ),
    Capability(
        "delete",
        "removes the object of this check, and files that an interrupted `archive` or index left",
        ("s3:DeleteObject",),
        "that object stays",
    ),
)
"""Everything that this program does in a bucket. Multipart uploads are not used."""


def policy(bucket: str, prefix: str, partition: str) -> dict[str, Any]:
    """Return the IAM policy that allows what the program needs, and no more.

    Args:
        partition: AWS's name for a group of regions: `aws`, `aws-cn` for China, `aws-us-gov`.
    """
    permissions = sorted({name for capability in CAPABILITIES for name in capability.permissions})
    objects = [name for name in permissions if name != "s3:ListBucket"]
    folder = f"{prefix}/*" if prefix else "*"
    point = bucket.startswith("arn:")
    place = bucket if point else f"arn:{partition}:s3:::{bucket}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": objects,
                "Resource": f"{place}/{'object/' if point else ''}{folder}",
            },
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket"],
                "Resource": place,
                "Condition": {"StringLikeIfExists": {"s3:prefix": [folder]}},
            },
        ],
    }


def policy_json(bucket: str, prefix: str, partition: str) -> str:
    """Return `policy` as JSON."""
    return json.dumps(policy(bucket, prefix, partition), indent=2)


def examine(store: VideoStore) -> list[Trial]:
    """Try every capability that a store needs, on the real prefix, with a file like a video.

    Raises:
        StoreError: No bucket is set.
    """
    return _Examination(store).run()


class _Examination:
    """Trials of one store, which end early where nothing can be written."""

    def __init__(self, store: VideoStore) -> None:
        self._store = store
        self._key = probe_key(store.prefix)
        self._copy = f"{self._key}-copy"
        self._sample = _SAMPLE_HEAD + bytes(_SAMPLE_BYTES - len(_SAMPLE_HEAD))
        self._metadata = {TASK_ID: "check-storage"}

    def run(self) -> list[Trial]:
        tries: dict[str, Callable[[], str | None]] = {
            "write": self._write,
            "head": self._head,
            "read": self._read,
            "metadata": self._keeps_metadata,
            "conditions": self._conditions,
            "checksums": self._checksums,
            "list": self._list,
            "copy": self._copies,
            "delete": self._delete,
        }
        trials: list[Trial] = []
        for capability in CAPABILITIES:
            if trials and trials[0].verdict is Verdict.MISSING:
                trials.append(Trial(capability, Verdict.NOT_TRIED, "nothing can be written"))
                continue
            trials.append(self._try(capability, tries[capability.name]))
        return trials

    def _try(self, capability: Capability, attempt: Callable[[], str | None]) -> Trial:
        try:
            lack = attempt()
        except StoreError as error:
            lack = str(error)
        if lack is None:
            return Trial(capability, Verdict.OK)
        if capability.workaround is None:
            return Trial(capability, Verdict.MISSING, lack)
        return Trial(capability, Verdict.WORKED_AROUND, f"{lack}: {capability.workaround}")

    def _write(self) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="seedance-") as folder:
                path = Path(folder) / "video.mp4"
                path.write_bytes(self._sample)
                self._store.write_probe(self._key, path, self._metadata)
        except OSError as error:
            # There is none on a file system that is read-only, as in some containers.
            folder = tempfile.tempdir or "(TMPDIR)"
            raise StoreError(f"the temporary folder {folder} cannot hold a video: {error.strerror}") from None

    def _head(self) -> str | None:
        info = self._store.head(self._key)
        if info is None:
            return "the written object is missing"
        if info.size_bytes != len(self._sample):
            sizes = f"an object of {len(self._sample)} bytes has {info.size_bytes} in the store"
            return f"{sizes}{self._store.writer.advice_on_size}"
        return None

    def _read(self) -> str | None:
        same = self._store.digest(self._key) == hashlib.sha256(self._sample).hexdigest()
        return None if same else "the object that was read differs from the one written"

    def _keeps_metadata(self) -> str | None:
        info = self._store.head(self._key)
        kept = info is not None and info.metadata.get(TASK_ID) == self._metadata[TASK_ID]
        return None if kept else "the store keeps no metadata"

    def _conditions(self) -> str | None:
        try:
            self._store.writer.put(
                b"ok", Key=self._key, ContentType="text/plain", Metadata=self._metadata, IfNoneMatch="*"
            )
        except ClientError as error:
            self._store.writer.knows_conditions = error_code(error) in _SEEN
            return None if self._store.writer.knows_conditions else f"refused ({error_code(error)})"
        except BotoCoreError as error:
            return f"not answered ({type(error).__name__})"
        return "ignored"

    def _checksums(self) -> str | None:
        return None if self._store.writer.knows_checksums else "not used"

    def _list(self) -> str | None:
        return None if self._key in self._store.listing("") else "the written object is not listed"

    def _copies(self) -> str | None:
        self._store.copy(self._key, self._copy)
        return None if self._store.head(self._copy) is not None else "the copy is not there"

    def _delete(self) -> str | None:
        deleted = [self._store.delete(key) for key in (self._copy, self._key)]
        if all(deleted):
            return None
        for key in (self._copy, self._key):  # what is left is small
            self._store.put_bytes(key, b"ok", content_type="text/plain", metadata={}, overwrite=True)
        return "not allowed"
