"""Writes to the bucket: conditional and verified, as far as the store supports it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from botocore.exceptions import ClientError

from seedance_dagster.storage.errors import ABSENT_CODES, ObjectChangedError, error_code, http_status
from seedance_dagster.storage.objects import ObjectInfo

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHANGED = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict"}
# Stores that do not know conditions or checksums refuse writes with them, each in its own way.
_PERHAPS_NOT_KNOWN = {304, 400, 403, 405, 406, 411, 415, 422, 428, 500, 501, 505}
_OTHER_TROUBLE = {"RequestTimeout", "BadDigest", "IncompleteBody", "ExpiredToken", "InvalidToken"}
_PRECONDITION_FAILED = 412
_WHEN_REQUIRED = "when_required"


class Writer:
    """A writer of objects to one bucket, in one request each; thread-safe.

    Attributes:
        knows_conditions: False once the store refused a condition and accepted the same write without it.
    """

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self.knows_conditions = True

    @property
    def knows_checksums(self) -> bool:
        """Return False where boto3's own checksums are off, by setting or because the store refused them."""
        return bool(self._config.request_checksum_calculation != _WHEN_REQUIRED)

    @property
    def advice_on_size(self) -> str:
        """Return the end of a message about an object of another size than was sent."""
        # With its checksums boto3 sends parts with frames around them, which some stores keep as content.
        setting = ": set AWS_REQUEST_CHECKSUM_CALCULATION=when_required"
        return setting if self.knows_checksums else ""

    def write(
        self,
        key: str,
        body: bytes | Path,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        existing: ObjectInfo | None = None,
        conditional: bool = True,
    ) -> None:
        """Write an object, unless another one has taken its place since the check.

        A refused write is sent again without boto3's checksums, then without the condition. What the store
        accepts is remembered.

        Args:
            body: Its bytes, or the file with them.
            content_type: Such as "video/mp4".
            metadata: Names in lower-case ASCII.
            existing: The object that the check found.
            conditional: Fail if there is an object that the check did not find.

        Raises:
            ObjectChangedError: Another object took the place meanwhile.
            ClientError: S3 refused.
        """
        condition: dict[str, str] = {}
        if conditional and self.knows_conditions:
            condition = {"IfNoneMatch": "*"}
            if existing is not None:
                # A proxy that compresses responses makes ETags weak, and a weak one matches nothing.
                strong = existing.etag and not existing.etag.startswith("W/")
                condition = {"IfMatch": existing.etag} if strong else {}
        parameters = {"Key": key, "ContentType": content_type, "Metadata": dict(metadata)}
        try:
            self.put(body, **parameters, **condition)
        except ClientError as error:
            unknown = (
                http_status(error) in _PERHAPS_NOT_KNOWN
                and error_code(error) not in _OTHER_TROUBLE | _CHANGED
            )
            if not unknown and not self._is_as_found(key, condition, error):
                raise self._meant(error, key) from None
            self._write_plainly(body, parameters, condition, error)

    def put(self, body: bytes | Path, **parameters: Any) -> None:
        """Send one PUT with an MD5, which the server verifies and a bucket with Object Lock requires."""
        with _opened(body) as content:
            self._client.put_object(Bucket=self._bucket, Body=content, ContentMD5=_md5(content), **parameters)

    def _write_plainly(
        self,
        body: bytes | Path,
        parameters: Mapping[str, Any],
        condition: Mapping[str, str],
        refusal: ClientError,
    ) -> None:
        """Write without boto3's checksums, the condition, or both, as far as the store requires."""
        before = self._config.request_checksum_calculation
        tries = [(_WHEN_REQUIRED, condition), (before, {}), (_WHEN_REQUIRED, {})]
        tried = [(before, condition)]
        for checksums, kept in tries:
            if (checksums, kept) in tried:
                continue
            tried.append((checksums, kept))
            self._config.request_checksum_calculation = checksums
            try:
                self.put(body, **parameters, **kept)
            except ClientError as error:
                refusal = error
                continue
            self.knows_conditions = self.knows_conditions and kept == condition
            return
        self._config.request_checksum_calculation = before
        raise self._meant(refusal, str(parameters["Key"])) from None

    def _is_as_found(self, key: str, condition: Mapping[str, str], error: ClientError) -> bool:
        """Return True where a store wrongly reports that a key has an object, or another one."""
        if not condition or http_status(error) != _PRECONDITION_FAILED:
            return False
        try:
            current = self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as missing:
            return "IfNoneMatch" in condition and error_code(missing) in ABSENT_CODES
        return "IfMatch" in condition and current.get("ETag") == condition["IfMatch"]

    def _meant(self, error: ClientError, key: str) -> Exception:
        if error_code(error) in _CHANGED:
            return ObjectChangedError(f"s3://{self._bucket}/{key} was written by another worker meanwhile")
        return error

    @property
    def _config(self) -> Any:
        return self._client.meta.config


@contextlib.contextmanager
def _opened(body: bytes | Path) -> Iterator[bytes | BinaryIO]:
    if isinstance(body, bytes):
        yield body
        return
    # Not in parts: they use memory, and an interrupted upload leaves parts behind that cost money.
    with body.open("rb") as file:
        yield file


def _md5(content: bytes | BinaryIO) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    if isinstance(content, bytes):
        digest.update(content)
    else:
        while part := content.read(1024 * 1024):
            digest.update(part)
        content.seek(0)
    return base64.b64encode(digest.digest()).decode()
