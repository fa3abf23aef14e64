"""S3 servers of other projects, as far as packages ship them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
from stores import running_s3

from seedance_dagster.storage.requests import RequestOptions
from seedance_dagster.storage.s3 import VideoStore

BUCKET = "videos"


@dataclass(frozen=True)
class RealStore:
    """A running server with an empty bucket."""

    url: str
    access_key: str
    secret_key: str

    @property
    def environ(self) -> dict[str, str]:
        """The variables that make boto3 and the commands use it."""
        return {
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "SEEDANCE_S3_BUCKET": BUCKET,
        }

    def client(self):
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
        )

    def open(self, prefix: str, *, bucket: str = BUCKET, **options) -> VideoStore:
        return VideoStore(self.client(), bucket, prefix, RequestOptions(**options))


@contextmanager
def rclone(folder: Path) -> Iterator[RealStore]:
    """Run rclone's server, which demo and dev use."""
    folder.mkdir()
    with running_s3(folder / "s3") as server:
        yield RealStore(server.url, server.access_key, server.secret_key)


@contextmanager
def moto(folder: Path) -> Iterator[RealStore]:
    """Run moto's server, which plays Amazon's in memory."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        store = RealStore("http://{}:{}".format(*server.get_host_and_port()), "id", "secret")
        store.client().create_bucket(Bucket=BUCKET)
        yield store
    finally:
        server.stop()


STORES: dict[str, Callable[[Path], AbstractContextManager[RealStore]]] = {"rclone": rclone, "moto": moto}
