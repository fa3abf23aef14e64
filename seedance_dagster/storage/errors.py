"""The errors of S3, translated into messages that say what to set or fix, without a secret."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    EndpointProviderError,
    FlexibleChecksumError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError
from botocore.response import StreamingBody

from seedance_dagster.net.secrets import SafeError, one_line

NO_BUCKET = "no bucket: set SEEDANCE_S3_BUCKET to the bucket that should hold the videos"
ABSENT_CODES = {"404", "NoSuchKey", "NotFound"}

_WITHOUT_WORDS = {"HeadObject", "HeadBucket"}  # their responses have no body
_UNSENDABLE = "Invalid header value"
_PERMISSIONS = {
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
    "CopyObject": "GetObject and s3:PutObject",
}
_OTHER_REGION = {
    "301",
    "307",
    "308",
    "PermanentRedirect",
    "TemporaryRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "InvalidRegionName",
}
_IN_HOST_NAME = {"SecondLevelDomainForbidden", "PathStyleDomainForbidden", "VirtualHostDomainRequired"}
_NEEDED = re.compile(r"not authorized to perform: ([A-Za-z0-9-]{1,30}:[A-Za-z]{1,40})")


class Bucket(Protocol):
    """A user of one bucket."""

    @property
    def bucket(self) -> str:
        """The bucket's name."""

    @property
    def client(self) -> Any:
        """A boto3 S3 client."""


S = TypeVar("S", bound=Bucket)
P = ParamSpec("P")
T = TypeVar("T")


class StoreError(SafeError):
    """S3 refused or did not answer; the message says what to set or fix and contains no secret."""


class ObjectChangedError(StoreError):
    """Another worker wrote the object since it was read."""


_BUSY = "the store has too many requests for {bucket} just now: try again later"
_FULL = "{bucket} is full: free space in the store, or raise the quota"
_SUSPENDED = "the account of {bucket} at the store is suspended or not complete: look at its billing"
_WORDS = {
    "HeadObject 400": "a request for {bucket} was refused without a reason: are the credentials valid?",
    "ListObjectsV2 NoSuchKey": "AWS_ENDPOINT_URL_S3 names {bucket} already: leave it out of host and path",
    "KMS": "the key that encrypts {bucket} cannot be used: check SEEDANCE_S3_KMS_KEY and its state",
    "NoSuchKey": "{bucket} lacks an object, which may have been deleted: `seedance-dagster audit` says more",
    "InvalidObjectState": "an object of {bucket} is archived, such as in Glacier: restore it there first",
    "RequestTimeTooSkewed": "the clock of this machine differs from the store's: correct it",
    "RequestExpired": "the clock of this machine differs from the store's: correct it",
    "AccessControlListNotSupported": "{bucket} takes no ACL: leave SEEDANCE_S3_ACL empty",
    "InvalidStorageClass": "{bucket} lacks that storage class: correct SEEDANCE_S3_STORAGE_CLASS",
    "BadDigest": "the store received other bytes for {bucket} than were sent; if it does so again, set "
    "AWS_REQUEST_CHECKSUM_CALCULATION=when_required",
    **dict.fromkeys(("SlowDown", "TooManyRequests", "Throttling", "ThrottlingException", "429"), _BUSY),
    **dict.fromkeys(("QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"), _FULL),
    **dict.fromkeys(("InsufficientCapacity", "507"), _FULL),
    **dict.fromkeys(("AccountProblem", "NotSignedUp", "AllAccessDisabled"), _SUSPENDED),
}
_INSECURE = (
    "no secure connection to S3: set AWS_CA_BUNDLE to the file of your own certificate authority, or begin "
    "AWS_ENDPOINT_URL_S3 with http:// where the store has no TLS"
)
_NO_ADDRESS = (
    "these settings give no address of S3: check AWS_ENDPOINT_URL_S3 (http:// or https://, a port of at most "
    "65535), AWS_DEFAULT_REGION and SEEDANCE_S3_BUCKET"
)
_NO_LOGIN = (
    "the AWS credentials cannot be obtained: renew them, as by `aws sso login`, or correct the profile"
)
_FAILURES: dict[type[BotoCoreError], str] = {
    SSLError: _INSECURE,
    SSOError: _NO_LOGIN,
    TokenRetrievalError: _NO_LOGIN,
    CredentialRetrievalError: _NO_LOGIN,
    EndpointProviderError: _NO_ADDRESS,
    ParamValidationError: "a request to S3 is not valid",
    FlexibleChecksumError: "an object arrived damaged from S3",
}


def describe(error: ClientError, bucket: str, place: str) -> str:
    """Explain a refusal: what it means and what to do.

    Args:
        place: The object and the host.
    """
    code, name = error_code(error), f"the bucket {bucket!r}"
    message = str(error.response.get("Error", {}).get("Message") or "no message")
    reply = one_line(f"{code}: {message}")
    keys = (f"{error.operation_name} {code}", code, code.partition(".")[0])
    known = [_WORDS[key] for key in keys if key in _WORDS]
    match code:
        case "400" | "401" | "403" | "404" | "405" if error.operation_name not in _WITHOUT_WORDS:
            words = (
                f"a request for {name} was not answered as S3 does: check AWS_ENDPOINT_URL_S3, and what "
                "stands in front of the store"
            )
        case "NoSuchBucket" | "404":
            words = f"{name} does not exist: create it or correct its name (SEEDANCE_S3_BUCKET for videos)"
        case "AccessDenied" | "403":
            words = (
                f"{name} cannot be used with these AWS credentials: {_denied(error.operation_name, message)}"
            )
        case "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "Unauthorized" | "InvalidSecurity" | "401":
            words = "the AWS credentials are refused: check AWS_ACCESS_KEY_ID and its secret"
            reply = code  # the message may quote what was signed
        case "ExpiredToken" | "ExpiredTokenException" | "InvalidToken" | "TokenRefreshRequired":
            words, reply = "the AWS credentials have expired: renew them", code
        case "413" | "EntityTooLarge":
            words = (
                f"{name} takes no file of this size: raise the limit for request bodies, of the store or a "
                "proxy in front of it, to the size of a video"
            )
        case _ if known:
            words = known[0].format(bucket=name)
        case _ if code in _IN_HOST_NAME:
            words = f"{name} must be part of the host name: set SEEDANCE_S3_ADDRESSING=virtual"
        case _ if code in _OTHER_REGION:
            words = f"{name} is in another region: set AWS_DEFAULT_REGION to {_region(error)}"
        case _:
            words = f"S3 refused a request for {name}"
    return f"{words} ({reply}; {error.operation_name} of {place})"


def _denied(operation: str, message: str) -> str:
    """Return the missing permission, by the store's message, else by the operation."""
    named = _NEEDED.search(message)
    permission = named[1] if named else f"s3:{_PERMISSIONS.get(operation, operation)}"
    return f"a policy denies them {permission}" if "explicit deny" in message else f"they need {permission}"


def error_code(error: ClientError) -> str:
    """Return the server's code, such as "NoSuchKey"; a proxy's answer has only a status."""
    return str(error.response.get("Error", {}).get("Code") or http_status(error) or "unknown")


def http_status(error: ClientError) -> int:
    """Return the status of the server's reply; 0 where there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def in_trouble(error: ClientError) -> bool:
    """Return True where the server could not answer: its reply says nothing about objects or permissions."""
    status = http_status(error)
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS


def user_errors(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Translate boto3's errors into `StoreError`; a method's first argument is taken for the key."""

    @functools.wraps(method)
    def wrapped(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, *args, **kwargs)
        except ClientError as error:
            key = args[0] if args and isinstance(args[0], str) else ""
            place = f"s3://{self.bucket}/{key} at {host_of(self.client)}"
            raise StoreError(describe(error, self.bucket, place)) from None
        except (NoCredentialsError, PartialCredentialsError):
            raise StoreError(
                "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            ) from None
        except RecursionError:  # boto3 asks for the bucket's region, and is redirected again
            raise StoreError(
                f"{host_of(self.client)} answers with redirects: set AWS_ENDPOINT_URL_S3 to the address that "
                "they lead to, such as https:// for http://, or AWS_DEFAULT_REGION to the bucket's region"
            ) from None
        except (ResponseParserError, ValueError, AttributeError) as error:
            raise _unreadable(error, self) from None
        except BotoCoreError as error:
            if _UNSENDABLE in str(error):  # and quotes it
                raise StoreError(
                    "an AWS credential holds a line break or another character that cannot be sent: check "
                    "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
                ) from None
            raise StoreError(describe_failure(error)) from None
        except OSError as error:
            if error.filename is None or str(error.filename) in map(str, args):
                raise  # of the file that is sent
            raise StoreError(f"{_NO_LOGIN} ({error.filename}: {error.strerror})") from None

    return wrapped


def _unreadable(error: Exception, store: Bucket) -> Exception:
    """Return the error for a response that botocore cannot parse, such as a date or a number in it."""
    host = host_of(store.client)
    if not isinstance(error, AttributeError):
        return StoreError(f"{host} does not answer like S3: check AWS_ENDPOINT_URL_S3")
    if not isinstance(error.obj, StreamingBody):
        return error
    # botocore stumbles over a 5xx response with the checksum of the object.
    return StoreError(
        f"{host} failed to read an object of the bucket {store.bucket!r} (5xx): try again later, and look at "
        "the store's own log"
    )


def describe_failure(error: Exception, otherwise: str = "S3 did not answer") -> str:
    """Explain why no request was sent or answered.

    Args:
        otherwise: The words for any other failure.
    """
    detail = one_line(str(error))
    known = (f"{words} ({detail})" for kind, words in _FAILURES.items() if isinstance(error, kind))
    return next(known, f"{otherwise}: {detail}")


def host_of(client: Any) -> str:
    """Return the name of the host that a client talks to, without user and password."""
    try:
        parts = urlsplit(client.meta.endpoint_url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    except ValueError:
        return "the endpoint"


def _region(error: ClientError) -> str:
    """Return the region that a redirect names."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    named = headers.get("x-amz-bucket-region") or error.response.get("Error", {}).get("Region")
    message = error.response.get("Error", {}).get("Message") or ""
    expected = re.search(r"expecting '([a-z0-9-]+)'", message)
    return str(named or (expected[1] if expected else "the bucket's region"))[:50]
