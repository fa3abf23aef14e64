"""Objects that several writers replace, each only if it is still the version that they read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import ClientError

from seedance_dagster.storage.errors import (
    ABSENT_CODES,
    NO_BUCKET,
    ObjectChangedError,
    StoreError,
    error_code,
    user_errors,
)
from seedance_dagster.storage.objects import ObjectInfo
from seedance_dagster.storage.writer import Writer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class ObjectVersion(NamedTuple):
    """The bytes of an object as it was read, and the ETag of that version."""

    body: bytes
    etag: str


class VersionedObjects:
    """The part of a video store that replaces objects.

    Attributes:
        client: A boto3 S3 client.
        writer: Sends the writes, and knows whether the store supports conditions.
    """

    client: S3Client
    bucket: str
    writer: Writer

    @user_errors
    def read_version(self, key: str) -> ObjectVersion | None:
        """Read a small object into memory; return None where there is none.

        Raises:
            StoreError: It cannot be read.
        """
        if not self.bucket:
            raise StoreError(NO_BUCKET)
        try:
            response = self.client.get_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error_code(error) in ABSENT_CODES:
                return None
            raise
        return ObjectVersion(response["Body"].read(), response.get("ETag", ""))

    @user_errors
    def replace_version(self, key: str, body: bytes, *, content_type: str, over: str | None) -> None:
        """Write a small object in place of one version of it; stores without conditions replace any.

        Args:
            body: The new bytes.
            content_type: Such as "application/json".
            over: The ETag of the version; None where there was no object.

        Raises:
            ObjectChangedError: There is another version now.
            StoreError: S3 refused.
        """
        existing = None if over is None else ObjectInfo(0, "", {}, over)
        try:
            self.writer.write(key, body, content_type=content_type, metadata={}, existing=existing)
        except ClientError as error:
            if existing is not None and error_code(error) in ABSENT_CODES:
                raise ObjectChangedError(f"s3://{self.bucket}/{key} was deleted meanwhile") from None
            raise
