"""The errors of S3 in words that say what to set or fix, without a secret."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from seedance_dagster.net.secrets import SafeError, one_line

NO_BUCKET = "no bucket: set SEEDANCE_S3_BUCKET to the bucket that should hold the videos"

_UNSENDABLE = "Invalid header value"
_PERMISSIONS = {
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
    "CopyObject": "GetObject and s3:PutObject",
}


class HasBucket(Protocol):
    """A user of one bucket."""

    @property
    def bucket(self) -> str:
        """The bucket's name."""


S = TypeVar("S", bound=HasBucket)
P = ParamSpec("P")
T = TypeVar("T")


class StoreError(SafeError):
    """S3 refused or did not answer; the message says what to set or fix and contains no secret."""


def describe(error: ClientError, name: str) -> str:
    """Return what a refusal means and what to do, in words."""
    code, bucket = error_code(error), f"the bucket {name!r}"
    reply = one_line(f"{code}: {error.response.get('Error', {}).get('Message', 'no message')}")
    match code:
        case "NoSuchBucket" | "404":
            return f"{bucket} does not exist: create it or change SEEDANCE_S3_BUCKET ({reply})"
        case "AccessDenied" | "403":
            operation = error.operation_name
            missing = f"they need s3:{_PERMISSIONS.get(operation, operation)}"
            return f"{bucket} cannot be used with these AWS credentials: {missing} ({reply})"
        case "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "401":
            # Without the server's message, which may quote what was signed.
            return f"the AWS credentials are refused: check AWS_ACCESS_KEY_ID and its secret ({code})"
        case "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired":
            return f"the AWS credentials have expired: renew them ({code})"
        case _:
            return f"S3 refused a request for {bucket} ({reply})"


def error_code(error: ClientError) -> str:
    """Return the server's code, such as "NoSuchKey"."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def http_status(error: ClientError) -> int:
    """Return the status of the server's reply; 0 where there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def bucket_name(bucket: str) -> str:
    """Return the name of a bucket that may be written as an address, such as `s3://videos/`.

    Raises:
        StoreError: It holds more than a bucket.
    """
    name, _, rest = re.sub("^s3://", "", bucket.strip()).partition("/")
    if rest.strip("/"):
        raise StoreError(
            f"the bucket {bucket[:100]!r} holds a path: set SEEDANCE_S3_BUCKET={name[:100]} and "
            f"SEEDANCE_S3_PREFIX={rest.strip('/')[:100]}"
        )
    return name


def user_errors(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Raise what boto3 raises as `StoreError`, in words."""

    @functools.wraps(method)
    def wrapped(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, *args, **kwargs)
        except ClientError as error:
            raise StoreError(describe(error, self.bucket)) from None
        except (NoCredentialsError, PartialCredentialsError):
            raise StoreError(
                "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            ) from None
        except BotoCoreError as error:
            if _UNSENDABLE in str(error):  # and quotes it
                raise StoreError(
                    "an AWS credential holds a line break or another character that cannot be sent: check "
                    "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
                ) from None
            raise StoreError(f"S3 did not answer: {one_line(str(error))}") from None

    return wrapped
