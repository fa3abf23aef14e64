"""The errors of S3 in words that say what to set or fix, without a secret."""

from __future__ import annotations

from botocore.exceptions import ClientError

from seedance_dagster.net.secrets import SafeError, one_line

NO_BUCKET = "no bucket: set SEEDANCE_S3_BUCKET to the bucket that should hold the videos"


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
            return f"{bucket} cannot be used with these AWS credentials ({reply})"
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
