"""Objects in S3 that prompts refer to, in any bucket that the credentials reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from seedance_dagster.net.secrets import one_line
from seedance_dagster.prompts.files import FileReference, too_large
from seedance_dagster.storage.errors import StoreError, error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_HOOK = "choose-signer.s3.GetObject"
_MISSING = {"NoSuchKey", "NoSuchVersion", "404"}
_DENIED = {"AccessDenied", "403", "AllAccessDisabled"}


@dataclass(frozen=True)
class ReadObject:
    """The bytes of an object as it was read, and its ETag, which changes with them."""

    etag: str
    content: bytes


def read_object(
    client: S3Client, reference: FileReference, *, etag: str | None, max_bytes: int
) -> ReadObject | None:
    """Read an object that a prompt refers to.

    Args:
        client: A boto3 S3 client.
        reference: A reference to an object in S3.
        etag: The ETag of the content that is known; None for none.
        max_bytes: The largest object that can be used.

    Returns:
        The object; None when it still has that ETag.

    Raises:
        StoreError: It cannot be used; the message continues a sentence, as in "does not exist".
    """
    bucket, key = reference.bucket_and_key
    try:
        # By HEAD: botocore fails to read some servers' answers to a conditional GET.
        if etag is not None and _etag(client, bucket, key) == etag:
            return None
        response = client.get_object(Bucket=bucket, Key=key)
        with response["Body"] as body:
            content = body.read(max_bytes + 1)  # some stores do not report the length
            if reason := too_large(response.get("ContentLength") or len(content), max_bytes):
                raise StoreError(reason)
            if len(content) < response.get("ContentLength", 0):  # boto3 checks only what is read at once
                raise StoreError("cannot be read: S3 ended the connection early; try again")
            return ReadObject(response.get("ETag", ""), content)
    except ClientError as error:
        raise StoreError(_reason(error, bucket)) from None
    except RecursionError:
        raise StoreError(f"cannot be read: the bucket {bucket!r} is in another region") from None
    except (BotoCoreError, ValueError) as error:  # ValueError: of a date or number in the response
        raise StoreError(f"cannot be read: {one_line(str(error))}") from None


def _sign_as_v4(signature_version: str, **_: object) -> str | None:
    """Choose the signature of a presigned link: boto3's default is version 2, which few servers accept."""
    return "s3v4-query" if signature_version.endswith("-query") else None


def _etag(client: S3Client, bucket: str, key: str) -> str | None:
    """Return the ETag of an object; None for an error, which the GET that follows reports."""
    try:
        return client.head_object(Bucket=bucket, Key=key).get("ETag")
    except ClientError:
        return None


def _reason(error: ClientError, bucket: str) -> str:
    code = error_code(error)
    if code == "NoSuchBucket":
        return f"cannot be read: there is no bucket {bucket!r}"
    if code in _MISSING:
        return "does not exist"
    if code in _DENIED:
        return "may not be read with these AWS credentials: allow them s3:GetObject on it"
    return f"cannot be read: S3 answers {code}"


def presigned_link(client: S3Client, bucket: str, key: str, *, expires_s: int) -> str:
    """Return a link to an object that anybody may read until it expires; raise `StoreError`."""
    client.meta.events.register_first(_HOOK, _sign_as_v4, unique_id=_HOOK)  # type: ignore[arg-type]  # it answers
    try:
        return client.generate_presigned_url(
            "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=expires_s
        )
    except (ClientError, BotoCoreError) as error:
        raise StoreError(f"no link to s3://{bucket}/{key} can be signed: {one_line(str(error))}") from None
