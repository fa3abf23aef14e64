"""A video store whose client is made once a request needs it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from seedance_dagster.storage.clients import create_client
from seedance_dagster.storage.names import bucket_name, prefix_path
from seedance_dagster.storage.requests import RequestOptions
from seedance_dagster.storage.s3 import VideoStore
from seedance_dagster.storage.writer import Writer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class DeferredVideoStore(VideoStore):
    """A video store for work that may send nothing, like most ticks: making a client takes 0.3 s of CPU time.

    Args:
        factory: Makes the client. Settings that boto3 cannot use raise `StoreError` at its first use.
        bucket: As for `VideoStore`, like the others.
    """

    def __init__(
        self, factory: Callable[[], S3Client], bucket: str, prefix: str, options: RequestOptions
    ) -> None:
        self._factory = factory
        self.bucket = bucket_name(bucket)
        self.prefix = prefix_path(prefix)
        self.options = options

    @cached_property
    def client(self) -> S3Client:  # type: ignore[override]
        """The client; two threads that first need it at once may make one each."""
        client = create_client(self._factory)
        self.options.apply(client)
        return client

    @cached_property
    def writer(self) -> Writer:  # type: ignore[override]
        """The writer, which uses the same client."""
        return Writer(self.client, self.bucket)
