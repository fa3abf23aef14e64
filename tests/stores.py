"""Video stores: one in memory, and one on a real S3 server."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import boto3
from botocore.exceptions import ClientError
from factories import NOW

from seedance_dagster.cli.environ import for_children
from seedance_dagster.cli.local.ports import free_port
from seedance_dagster.cli.local.programs import S3Service, s3
from seedance_dagster.storage.errors import ObjectChangedError, StoreError
from seedance_dagster.storage.objects import ListedObject, ObjectInfo
from seedance_dagster.storage.s3 import VideoStore, write_freely
from seedance_dagster.storage.versions import ObjectVersion

T = TypeVar("T")


class KeepingWriter:
    """A writer that honors conditions, as far as a check of the store tests them."""

    knows_conditions = knows_checksums = True

    def put(self, _body: bytes, **_what: object) -> None:
        raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")


class MemoryStore(VideoStore):
    """A video store whose bucket is a dictionary.

    Attributes:
        objects: The bucket's content by key.
        reads: The keys that were read, in order.
        puts: How many objects were written.
        written: The keys of objects that were replaced, in order.
        before_put: Called with each key before it is written.
    """

    def __init__(self, objects: Mapping[str, bytes] | None = None, *, prefix: str = "seedance") -> None:
        super().__init__(None, "videos", prefix)  # type: ignore[arg-type]
        self.writer = KeepingWriter()  # type: ignore[assignment]
        self.probed: dict[str, str] = {}
        self.objects: dict[str, bytes] = dict(objects or {})
        self.reads: list[str] = []
        self.puts = 0
        self.written: list[str] = []
        self.sums: dict[str, str] = {}
        self.before_put: Callable[[str], None] = lambda _: None

    def check_writable(self) -> None:
        """Do nothing: a dictionary can always be written."""

    def below(self, folder: str) -> VideoStore:
        return MemoryFolder(self, f"{self.prefix}/{folder}")

    @property
    def configuration(self) -> str:
        return "memory"

    def write_probe(self, key: str, path: Path, metadata: Mapping[str, str]) -> None:
        self.objects[key] = path.read_bytes()
        self.probed = dict(metadata)

    def delete(self, key: str) -> bool:
        return self.objects.pop(key, None) is not None

    def put_if_absent(self, key: str, body: bytes, *, content_type: str) -> None:
        self.objects.setdefault(key, body)

    def iter_objects(self, folder: str) -> Iterator[tuple[str, ListedObject]]:
        for key, body in list(self.objects.items()):
            if key.startswith(f"{self.prefix}/{folder}"):
                yield key, ListedObject(len(body), hashlib.md5(body).hexdigest(), NOW)

    def head(self, key: str) -> ObjectInfo | None:
        body = self.objects.get(key)
        about = self.probed if ".writable" in key else {}
        return None if body is None else ObjectInfo(len(body), "", about)

    def digest(self, key: str, into: BinaryIO | None = None) -> str:
        body = self.get_bytes(key)
        if into is not None:
            into.write(body)
        return hashlib.sha256(body).hexdigest()

    def copy(self, key: str, to: str) -> None:
        self.objects[to] = self.get_bytes(key)

    def get_bytes(self, key: str) -> bytes:
        self.reads.append(key)
        if key not in self.objects:
            raise StoreError(f"nothing at {key}")
        return self.objects[key]

    def read_version(self, key: str) -> ObjectVersion | None:
        body = self.objects.get(key)
        return None if body is None else ObjectVersion(body, _etag(body))

    def replace_version(self, key: str, body: bytes, *, content_type: str, over: str | None) -> None:
        self.before_put(key)
        stored = self.read_version(key)
        if self.writer.knows_conditions and (None if stored is None else stored.etag) != over:
            raise ObjectChangedError(f"{key} was written meanwhile")
        self.puts += 1
        self.written.append(key)
        self.objects[key] = body

    def put_bytes(
        self,
        key: str,
        body: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        overwrite: bool = False,
        before_write: Callable[[], None] = write_freely,
    ) -> None:
        self.puts += 1
        self.before_put(key)
        self.objects[key] = body


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


class MemoryFolder(MemoryStore):
    """A folder of a store in memory."""

    def __init__(self, store: MemoryStore, prefix: str) -> None:
        super().__init__(prefix=prefix)
        self.objects, self._sums, self._store = store.objects, store.sums, store

    def put_file(self, key: str, path: Path, *, sha256: str, **_options: Any) -> None:
        self._store.puts += 1
        self.objects[key], self._sums[key] = path.read_bytes(), sha256

    def head(self, key: str) -> ObjectInfo | None:
        body = self.objects.get(key)
        return None if body is None else ObjectInfo(len(body), "", {"sha256": self._sums.get(key, "")})


@contextmanager
def running_s3(folder: Path) -> Iterator[S3Service]:
    """Run a real S3 server on a folder."""
    with s3(folder, folder.parent / "s3.log", for_children(os.environ), port=free_port()) as service:
        yield service


def open_store(server: S3Service, bucket: str, prefix: str) -> VideoStore:
    """Return a store on a server."""
    client = boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.environ["AWS_REGION"],
    )
    return VideoStore(client, bucket, prefix)
